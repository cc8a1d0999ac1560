"""What a study would run, in words that fit a terminal of 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seed_grpo.ablation.compose import budget_of
from seed_grpo.ablation.estimate import duration, seconds_left
from seed_grpo.ablation.selection import Selection
from seed_grpo.terminal import say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def show_dry_run(selection: Selection, console: Console) -> None:
    """Print the arms with their budgets, what is done and what is missing, their overrides, and the time left."""
    study, states = selection.study, selection.states()
    kinds = [states[key].kind for key in selection.keys]
    seeds = ", ".join(str(seed) for seed in dict.fromkeys(seed for _, seed in selection.keys))
    lines = [
        f"seeds: {seeds}",
        f"runs: {len(kinds)}, of which {kinds.count('done')} done, {kinds.count('running')} running, "
        f"{kinds.count('failed')} failed",
    ]
    if study.benchmarks:
        lines.append(f"evaluated after training: {', '.join(study.benchmarks)}")
    times = selection.times(states)
    left = seconds_left(states, selection.keys, times)
    known = "" if left is None else ", one run after the other"
    lines.append(f"estimated time left: {duration(left)}{known} ({times.source})")
    console.print(_budgets(selection))
    console.print(_overrides(selection))
    for line in lines:
        say(line, console)


def _budgets(selection: Selection) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    study, states = selection.study, selection.states()
    table = Table(title=Text(f"{study.name}: {study.title}"), box=box.SIMPLE_HEAD, padding=0)
    table.add_column("arm", overflow="fold")
    table.add_column("against", overflow="fold")
    for heading in ("prompts × G × steps", "samples", "done", "failed"):
        table.add_column(heading, justify="right")
    for arm in _arms(selection):
        budget = budget_of(selection.configs[arm])
        kinds = [states[key].kind for key in selection.keys if key[0] == arm]
        table.add_row(
            arm,
            study.against(arm) or "–",
            f"{budget.prompts} × {budget.group_size} × {budget.steps}",
            f"{budget.samples:,}",
            f"{kinds.count('done')} of {len(kinds)}",
            str(kinds.count("failed")),
        )
    return table


def _overrides(selection: Selection) -> Table:
    """An override per line, and the arm next to the first of its own."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    table.add_row("all arms", Text("\n".join(selection.study.overrides)))
    for arm in _arms(selection):
        table.add_row(arm, Text("\n".join(selection.study.arm(arm).overrides)))
    return table


def _arms(selection: Selection) -> list[str]:
    return [arm.name for arm in selection.study.arms if any(name == arm.name for name, _ in selection.keys)]
