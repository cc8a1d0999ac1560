"""`seed-grpo plan`: what a run would cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seed_grpo.terminal import make_console

if TYPE_CHECKING:
    from rich.table import Table

    from seed_grpo.planning.plan import Plan


def plan(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Hydra overrides.", metavar="[KEY=VALUE]...", show_default=False)
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(
            help="a100-40gb, a100-80gb, l40s, h100, h200, or cpu-2-cores.",
            show_default="a100-80gb; the CPU with platform=cpu",
        ),
    ] = None,
    model_config: Annotated[
        Path | None, typer.Option(help="The model's config.json, for a model whose shape is not built in.")
    ] = None,
    prompt_tokens: Annotated[
        float | None, typer.Option(help="Mean length of a prompt.", show_default="assumed")
    ] = None,
    response_tokens: Annotated[
        float | None, typer.Option(help="Mean length of a response.", show_default="assumed")
    ] = None,
    calibrate: Annotated[
        list[Path] | None,
        typer.Option(help="A finished run on the same machine, whose times correct the estimate. May be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Estimate a run's time, GPU hours and memory, and say where it would not fit (exit status 1).

    Example: seed-grpo plan experiment=qwen2.5_math_7b platform=gpu

    Example: seed-grpo plan experiment=qwen2.5_math_7b_g16 platform=gpu --gpu h100 --response-tokens 900

    Example: seed-grpo plan experiment=quickstart actor_rollout_ref.rollout.n=16 --calibrate runs/quickstart/seed_1/run
    """
    import json

    from seed_grpo.planning.plan import Wishes, make_plan
    from seed_grpo.training.compose import compose_config

    wishes = Wishes(gpu, model_config, prompt_tokens, response_tokens, tuple(calibrate or ()))
    made = make_plan(compose_config(overrides or []), wishes)
    if as_json:
        print(json.dumps(made.as_json(), indent=1))
    else:
        _show(made)
    if made.shortages:
        raise made.shortages[0].as_error(made.device)


def _show(made: Plan) -> None:

    console = make_console()
    for table in filter(None, (_time(made), _memory(made))):
        console.print(table)
    for line in _words(made):
        console.print(line)


def _time(made: Plan) -> Table:
    from rich.table import Table

    from seed_grpo.planning.seconds import STAGES

    work, seconds = made.workload, made.seconds
    where = f"{work.gpus} × {made.device}" if made.phases else made.device
    table = Table(title=f"{made.shape.name}, {work.prompts} prompts × {work.group_size} responses per step, {where}")
    table.add_column("stage")
    table.add_column("seconds per step", justify="right")
    table.add_column("share", justify="right")
    for name in STAGES:
        value = getattr(seconds, name)
        table.add_row(name.replace("_", "-"), f"{value:.2f}", f"{value / seconds.step:.0%}")
    table.add_row("step", f"{seconds.step:.2f}", "", style="bold")
    return table


def _memory(made: Plan) -> Table | None:
    from rich.table import Table

    if not made.phases:
        return None
    parts = list(dict.fromkeys(name for phase in made.phases for name in phase.parts))
    table = Table(title="Memory per GPU by phase (GiB)")
    table.add_column("part")
    for phase in made.phases:
        table.add_column(phase.name, justify="right")
    for name in parts:
        table.add_row(
            name, *(f"{phase.parts[name] / 2**30:.1f}" if name in phase.parts else "" for phase in made.phases)
        )
    table.add_row("needed", *(f"{phase.needed / 2**30:.1f}" for phase in made.phases), style="bold")
    table.add_row("available", *(f"{phase.available / 2**30:.1f}" for phase in made.phases))
    return table


def _words(made: Plan) -> list[str]:
    work, seconds = made.workload, made.seconds
    lines = [
        f"{work.steps} steps of {seconds.step:.1f} s, {work.validations} validations of {seconds.validation:.1f} s, "
        f"{seconds.start:.0f} s to start: {_hours(made.hours)}."
    ]
    if made.phases:
        line = f"{made.hours * work.gpus:.0f} GPU hours"
        if made.best_hours is not None:
            line += f"; {made.best_hours * work.gpus:.0f} ({_hours(made.best_hours)}) if training runs at its best"
        lines.append(f"{line}.")
    if made.calibration is not None:
        factors = ", ".join(f"{name} {value:.2f}" for name, value in made.calibration.factors.items())
        lines.append(f"Calibrated by {len(made.calibration.runs)} run(s); factors on the estimate: {factors}.")
    else:
        lines.append("An estimate, good to a factor of 2 (docs/planning.md); --calibrate RUN narrows it.")
    return [*lines, *made.remarks]


def _hours(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"
