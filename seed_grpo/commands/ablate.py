"""`seed-grpo ablate`: arms against each other, with seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seed_grpo.errors import UsageError
from seed_grpo.terminal import make_console

if TYPE_CHECKING:
    from seed_grpo.ablation.selection import Selection


def ablate(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="Hydra overrides for all arms, or for the launcher (hydra.launcher.…).",
            metavar="[KEY=VALUE]...",
            show_default=False,
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(help="A shipped study (cpu, readings, table4a to table4e) or a .yaml file."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the study.", show_default="runs/ablate/STUDY")] = None,
    arms: Annotated[str | None, typer.Option(help="Run only these arms, separated by commas.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Run only these seeds, separated by commas.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List arms, samples, runs and the estimated time, and stop.")
    ] = False,
    launcher: Annotated[str, typer.Option(help="local: one run after the other; slurm: a job for each run.")] = "local",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed runs again.")] = False,
) -> None:
    """Run a study: every arm with every seed on the same budget; then write tables, differences and figures.

    Started again, the command resumes: it never repeats a finished run. It reports a run that fails and continues with
    the others; --retry-failed runs it again. Two commands may work on one study at a time.

    Example: seed-grpo ablate --study cpu --dry-run

    Example: seed-grpo ablate --study cpu --out runs/ablate/cpu --seeds 1,2

    Example: seed-grpo ablate --study table4b --launcher slurm hydra.launcher.partition=gpu
    """

    from seed_grpo.ablation.dry_run import show_dry_run
    from seed_grpo.ablation.sweep import Launch, finish, run_study

    of_launcher = [text for text in overrides or [] if text.lstrip("+").startswith(("hydra.launcher.", "hydra/"))]
    launch = Launch(launcher, of_launcher, retry_failed)
    of_arms = [text for text in overrides or [] if text not in of_launcher]
    selection = _selection(study, of_arms, out, _names(arms), _numbers(seeds))
    if dry_run:
        show_dry_run(selection, make_console())
    else:
        finish(selection, run_study(selection, make_console(stderr=True), launch), make_console())


def _selection(
    study: str | None, overrides: Sequence[str], out: Path | None, arms: Sequence[str], seeds: Sequence[int]
) -> Selection:

    from seed_grpo.ablation.compose import load_composed
    from seed_grpo.ablation.selection import Selection, check_folder, select
    from seed_grpo.ablation.study import find_study, read_study, shipped_studies

    if study is None:
        raise UsageError("No study is named.", f"give --study {'|'.join(shipped_studies())}, or a .yaml file.")
    # Everything that can be refused at once is refused before the arms are composed, which takes a second for each.
    path = find_study(study)
    named = read_study(path)
    keys = select(named, arms, seeds)
    folder = (out or Path("runs/ablate") / named.name).expanduser()
    with make_console(stderr=True).status(f"composing {len(named.arms)} arms"):
        loaded, configs = load_composed(path, overrides, folder)
        selection = Selection(loaded, configs, folder, keys)
        check_folder(selection)
    return selection


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _numbers(text: str | None) -> list[int]:
    try:
        return [int(name) for name in _names(text)]
    except ValueError:
        raise UsageError(f"--seeds {text} is not a list of numbers.", "write --seeds 1,2,3.") from None
