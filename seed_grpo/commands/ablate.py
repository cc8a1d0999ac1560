"""`seed-grpo ablate`: arms against each other, with seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seed_grpo.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from seed_grpo.ablation.sweep import Selection


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
        typer.Option(help="A shipped study or a .yaml file; the names: cpu, table4a to table4e, readings."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the study; by default runs/ablate/STUDY.")] = None,
    arms: Annotated[str | None, typer.Option(help="Only these arms, with commas.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Only these seeds, with commas.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List arms, samples, runs and the estimated time, and stop.")
    ] = False,
    launcher: Annotated[
        str, typer.Option(help="local, one run after the other; or slurm, a job for each run.")
    ] = "local",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run those again that failed before.")] = False,
) -> None:
    """Run a study: every arm with every seed, the same budget for each; then tables, differences and figures.

    Started again, it goes on where it was: a finished run is never run twice. A run that fails is reported, the others
    go on; --retry-failed runs it again. Two commands may work on one study at a time.

    Example: seed-grpo ablate --study cpu --dry-run

    Example: seed-grpo ablate --study cpu --out runs/ablate/cpu --seeds 1,2

    Example: seed-grpo ablate --study table4b --launcher slurm hydra.launcher.partition=gpu
    """
    from rich.console import Console

    from seed_grpo.ablation.compose import load_composed
    from seed_grpo.ablation.study import find_study, read_study, shipped_studies
    from seed_grpo.ablation.sweep import LAUNCHERS, Selection, check_folder, run_study, select

    if study is None:
        raise UsageError("No study is named.", f"give --study {'|'.join(shipped_studies())}, or a .yaml file.")
    if launcher not in LAUNCHERS:
        raise UsageError(f"Unknown launcher {launcher!r}.", f"choose one of {', '.join(LAUNCHERS)}.")
    of_launcher = [text for text in overrides or [] if text.lstrip("+").startswith(("hydra.launcher.", "hydra/"))]
    of_arms = [text for text in overrides or [] if text not in of_launcher]
    if of_launcher and launcher == "local":
        raise UsageError(f"{of_launcher[0]} is for another launcher than local.", "add --launcher slurm.")
    # What can be refused at once is, before a second goes into composing each arm.
    path = find_study(study)
    named = read_study(path)
    keys = select(named, _names(arms), _numbers(seeds))
    folder = out or Path("runs/ablate") / named.name
    with Console(stderr=True).status(f"composing {len(named.arms)} arms"):
        loaded, configs = load_composed(path, of_arms, folder)
        selection = Selection(loaded, configs, folder, keys)
        check_folder(selection)
    console = Console()
    if dry_run:
        for line in dry_run_report(selection):
            console.print(line, soft_wrap=isinstance(line, str), highlight=False, markup=False)
        return
    states = run_study(
        selection,
        Console(stderr=True),
        launcher=launcher,
        launcher_overrides=of_launcher,
        retry_failed=retry_failed,
    )
    if any(state.kind == "done" for state in states.values()):
        from seed_grpo.ablation.report import write_results

        write_results(folder, loaded)
    _conclude(selection, states, console)


def dry_run_report(selection: Selection) -> list[str | Table]:
    """What would be run: a table of the arms, and lines."""
    from rich.table import Table
    from rich.text import Text

    from seed_grpo.ablation.compose import budget_of
    from seed_grpo.ablation.estimate import duration, seconds_left

    study, states = selection.study, selection.states()
    table = Table(title=Text(f"{study.name}: {study.title}"))
    table.add_column("arm", no_wrap=True)
    table.add_column("overrides", overflow="fold")
    table.add_column("against", no_wrap=True)
    for heading in ("prompts × G × steps", "samples", "done", "failed", "missing"):
        table.add_column(heading, justify="right")
    chosen = [arm for arm in study.arms if any(name == arm.name for name, _ in selection.keys)]
    for arm in chosen:
        budget = budget_of(selection.configs[arm.name])
        kinds = [states[key].kind for key in selection.keys if key[0] == arm.name]
        done, failed = kinds.count("done"), kinds.count("failed")
        table.add_row(
            arm.name,
            Text("\n".join(arm.overrides)),
            study.against(arm.name) or "–",
            f"{budget.prompts} × {budget.group_size} × {budget.steps}",
            f"{budget.samples:,}",
            str(done),
            str(failed),
            str(len(kinds) - done - failed),
        )
    times = selection.times(states)
    kinds = [states[key].kind for key in selection.keys]
    seeds = ", ".join(str(seed) for seed in dict.fromkeys(seed for _, seed in selection.keys))
    lines: list[str | Table] = [
        table,
        f"for all arms: {' '.join(study.overrides)}",
        f"seeds: {seeds}",
        f"runs: {len(kinds)}, of which {kinds.count('done')} done, {kinds.count('running')} running, "
        f"{kinds.count('failed')} failed",
    ]
    if study.benchmarks:
        lines.append(f"evaluated after training: {', '.join(study.benchmarks)}")
    left = seconds_left(states, selection.keys, times)
    known = "" if left is None else ", one run after the other"
    lines.append(f"estimated time left: {duration(left)}{known} ({times.source})")
    return lines


def _conclude(selection: Selection, states: dict, console: object) -> None:
    """Say what became of the runs; a failed or unfinished one is the command's failure.

    Raises:
        SeedGrpoError: naming them.
    """
    from rich.console import Console

    from seed_grpo.errors import SeedGrpoError

    assert isinstance(console, Console)
    kinds = {key: states[key].kind for key in selection.keys}

    def named(kind: str) -> list[str]:
        return [f"{arm} seed {seed}" for (arm, seed), found in kinds.items() if found == kind]

    for key, kind in kinds.items():
        if kind == "failed":
            state = states[key]
            said = f"{state.cause} Remedy: {state.remedy}" if state.remedy else state.cause
            console.print(f"failed: {key[0]} seed {key[1]}: {said}", soft_wrap=True, highlight=False, markup=False)
    if elsewhere := named("running"):
        console.print(
            f"still running in another command: {', '.join(elsewhere)}", soft_wrap=True, highlight=False, markup=False
        )
    done = named("done")
    where = f"; tables and figures: {selection.out / 'results.md'}" if done else ""
    console.print(f"{len(done)} of {len(kinds)} runs are done{where}", soft_wrap=True, highlight=False, markup=False)
    if failed := named("failed"):
        raise SeedGrpoError(
            f"{len(failed)} of {len(kinds)} runs failed: {', '.join(failed)}.",
            "see failed.json and train.log in their folders; run the command again with --retry-failed.",
        )
    if unfinished := named("waiting"):
        raise SeedGrpoError(
            f"{len(unfinished)} of {len(kinds)} runs ended without a result: {', '.join(unfinished)}.",
            f"see {selection.out / 'logs'}; run the command again to go on.",
        )


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _numbers(text: str | None) -> list[int]:
    try:
        return [int(name) for name in _names(text)]
    except ValueError:
        raise UsageError(f"--seeds {text} holds no list of numbers.", "write --seeds 1,2,3.") from None
