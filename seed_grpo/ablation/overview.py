"""A study at a glance: arms × seeds, what is done, and the time left."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from seed_grpo.ablation.estimate import RunTimes, duration, seconds_left
from seed_grpo.ablation.job import RunKey
from seed_grpo.ablation.run import State
from seed_grpo.ablation.study import Study
from seed_grpo.terminal import say

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

KINDS = ("done", "running", "failed", "waiting")
STYLES = {"done": "green", "running": "bold cyan", "failed": "bold red", "waiting": "dim"}


class Overview:
    """The study on a terminal: a table that is kept up to date, or a line per event if it is not a terminal.

    Args:
        console: where to.
        study: what is run.
        steps: of each run.
        wanted: the runs that this invocation is about, in order.
        states: of the runs, before it begins.
    """

    def __init__(
        self, console: Console, study: Study, steps: int, wanted: Sequence[RunKey], states: Mapping[RunKey, State]
    ) -> None:
        from rich.live import Live

        self._console, self._study, self._steps, self._wanted = console, study, steps, wanted
        self._before = dict(states)
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Overview:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, states: Mapping[RunKey, State], times: RunTimes) -> None:
        """Show the states as they are now."""
        if self._live:
            self._live.update(self._table(states, times), refresh=True)
        else:
            for key in self._wanted:
                if states[key].kind != self._before[key].kind:
                    say(self._line(key, states, times), self._console)
        self._before = dict(states)

    def _table(self, states: Mapping[RunKey, State], times: RunTimes) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        seeds = list(dict.fromkeys(seed for _, seed in self._wanted))
        table = Table(title=Text(self._study.title))
        table.add_column("arm")
        for seed in seeds:
            table.add_column(f"seed {seed}", justify="right")
        for arm in dict.fromkeys(arm for arm, _ in self._wanted):
            cells = [
                Text(self._cell(states[arm, seed]), STYLES[states[arm, seed].kind]) if (arm, seed) in states else ""
                for seed in seeds
            ]
            table.add_row(arm, *cells)
        return Group(table, Text(self._summary(states, times)))

    def _cell(self, state: State) -> str:
        if state.kind == "running":
            return f"{state.step}/{self._steps}"
        if state.kind == "done":
            final = state.accuracy[1]
            return "done" if final is None else f"{final:.1%}"
        return "failed" if state.kind == "failed" else "·"

    def _summary(self, states: Mapping[RunKey, State], times: RunTimes) -> str:
        counts = {kind: sum(states[key].kind == kind for key in self._wanted) for kind in KINDS}
        said = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        left = seconds_left(states, self._wanted, times)
        return f"{said}; time left: {'unknown' if left is None else duration(left)} ({times.source})"

    def _line(self, key: RunKey, states: Mapping[RunKey, State], times: RunTimes) -> str:
        state = states[key]
        line = f"{time.strftime('%H:%M:%S')}  {key[0]}, seed {key[1]}: {state.kind}"
        if state.kind == "done":
            before, after = state.accuracy
            if before is not None and after is not None:
                line += f", accuracy {before:.1%} → {after:.1%}"
            line += f", {duration(state.seconds)}. {self._summary(states, times)}"
        elif state.kind == "failed":
            line += f". {state.cause}"
        return line
