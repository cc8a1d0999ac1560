"""How long the runs of a study take: measured once a run has ended, assumed until then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from seed_grpo.ablation.job import RunKey
from seed_grpo.ablation.run import State
from seed_grpo.ablation.study import Study


@dataclass(frozen=True)
class RunTimes:
    """Seconds of a run.

    Attributes:
        by_arm: the mean of each arm that has finished runs.
        overall: of the others; None if nothing is known.
        source: where the numbers come from.
    """

    by_arm: Mapping[str, float]
    overall: float | None
    source: str

    def of(self, arm: str) -> float | None:
        """Seconds of a run of the arm."""
        return self.by_arm.get(arm, self.overall)


def run_times(study: Study, states: Mapping[RunKey, State], steps: int) -> RunTimes:
    """The times of the finished runs if there are any, else what the study assumes."""
    finished = [(arm, state.seconds) for (arm, _), state in states.items() if state.kind == "done" and state.seconds]
    if finished:
        arms = {arm for arm, _ in finished}
        by_arm = {arm: fmean(seconds for name, seconds in finished if name == arm) for arm in arms}
        source = f"the mean of {len(finished)} finished run{'s' if len(finished) > 1 else ''} of this study"
        return RunTimes(by_arm, fmean(seconds for _, seconds in finished), source)
    if study.assumed is not None:
        assumed = study.assumed
        seconds = assumed.other_seconds + steps * assumed.step_seconds
        return RunTimes({}, seconds, f"assumed, {assumed.step_seconds:g} s per step: {assumed.source}")
    return RunTimes({}, None, "no run has finished yet, and the study assumes nothing")


def seconds_left(states: Mapping[RunKey, State], wanted: Iterable[RunKey], times: RunTimes) -> float | None:
    """Time for the wanted runs that are not over, with as many at a time as run now; None if unknown."""
    total, running = 0.0, 0
    for key in wanted:
        state = states[key]
        if state.kind in ("done", "failed"):
            continue
        seconds = times.of(key[0])
        if seconds is None:
            return None
        if state.kind == "running":
            running += 1
            seconds = max(seconds - (state.seconds or 0.0), 0.0)
        total += seconds
    return total / max(running, 1)


def duration(seconds: float | None) -> str:
    """A time in words."""
    if seconds is None:
        return "unknown"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 72 else f"{hours / 24:.1f} days"
