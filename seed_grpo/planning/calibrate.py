"""The times of finished runs on a machine, compared with the estimate: a factor per stage."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.planning.seconds import STAGES, Seconds
from seed_grpo.planning.workload import Lengths, Workload, read_workload
from seed_grpo.runs.names import CONFIG, METRICS, SUMMARY
from seed_grpo.runs.records import read_lines

if TYPE_CHECKING:
    from omegaconf import DictConfig

Model = Callable[[Workload], Seconds]
FEWEST_STEPS = 3
"""Steps in addition to the first, which warms up."""


@dataclass(frozen=True)
class Measured:
    """A run's measured times.

    Attributes:
        folder: its folder.
        config: its configuration.
        workload: its work, with the lengths that it had.
        seconds: medians over its steps, without the first and those with a validation.
    """

    folder: Path
    config: DictConfig
    workload: Workload
    seconds: Seconds


@dataclass(frozen=True)
class Calibration:
    """Factors on the estimated seconds by stage, and the measured lengths."""

    factors: dict[str, float]
    prompt_tokens: float
    response_share: float
    runs: tuple[Path, ...]

    def apply(self, seconds: Seconds) -> Seconds:
        """The estimate, corrected."""
        return replace(seconds, **{name: getattr(seconds, name) * factor for name, factor in self.factors.items()})


def measure(folder: Path) -> Measured:
    """Read a run's times from its records.

    Raises:
        UsageError: not a run, or too few steps.
        SeedGrpoError: damaged records.
    """
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if not (folder / CONFIG).is_file() or not (folder / METRICS).is_file():
        raise UsageError(
            f"{folder} is not a run: it has no {CONFIG} or no {METRICS}.",
            "give the folder that `seed-grpo train` wrote.",
        )
    records = list(read_lines(folder / METRICS))
    plain = [each for each in records if "timing_s/update_actor" in each and "val/accuracy" not in each][1:]
    if len(plain) < FEWEST_STEPS:
        raise UsageError(
            f"{folder} has {len(plain)} steps to measure, not counting the first and those with a validation.",
            f"run at least {FEWEST_STEPS + 1} steps with trainer.test_freq=-1.",
        )
    try:
        config = OmegaConf.load(folder / CONFIG)
        assert isinstance(config, DictConfig)
        lengths = (fmean(each[f"{name}_length/mean"] for each in plain) for name in ("prompt", "response"))
        workload, _ = read_workload(config, Lengths(*lengths))
        seconds = _seconds(workload, plain, records)
        if (folder / SUMMARY).is_file():
            wall_seconds = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))["wall_seconds"]
            seconds = replace(seconds, start=max(wall_seconds - records[-1]["wall_seconds"], 0.0))
    except (AssertionError, OmegaConfBaseException, KeyError, TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise SeedGrpoError(f"The times of {folder} cannot be read: {error!r}.", "use another run.") from error
    return Measured(folder, config, workload, seconds)


def calibrate(measured: Sequence[Measured], model: Model) -> Calibration:
    """The factors that make the estimate agree with the runs; over several runs, their geometric mean.

    Args:
        measured: runs on the machine that the plan is for.
        model: estimates the seconds of a workload.
    """
    ratios: dict[str, list[float]] = {name: [] for name in (*STAGES, "validation", "start")}
    for each in measured:
        modelled = model(each.workload)
        for name, found in ratios.items():
            took, expected = getattr(each.seconds, name), getattr(modelled, name)
            if took > 0 and expected > 0:
                found.append(took / expected)
    factors = {name: math.exp(fmean(map(math.log, found))) for name, found in ratios.items() if found}
    # A stage that no run had gets the factor of the stage that is most like it.
    factors.setdefault("log_probs", factors.get("update", 1.0))
    factors.setdefault("validation", factors.get("generation", 1.0))
    return Calibration(
        factors,
        fmean(each.workload.prompt_tokens for each in measured),
        fmean(each.workload.response_tokens / each.workload.max_response for each in measured),
        tuple(each.folder for each in measured),
    )


def _seconds(workload: Workload, plain: Sequence[dict[str, Any]], records: Sequence[dict[str, Any]]) -> Seconds:
    def middle(name: str, among: Sequence[dict[str, Any]] = plain) -> float:
        values = [each[name] for each in among if name in each]
        return float(median(values)) if values else 0.0

    generation, update = middle("timing_s/gen"), middle("timing_s/update_actor")
    # From record to record: time also passes between the end of one step's clock and the start of the next.
    steps = {each["step"] for each in plain}
    walls = [b["wall_seconds"] - a["wall_seconds"] for a, b in pairwise(records) if b["step"] in steps]
    step = max(middle("timing_s/step"), float(median(walls)))
    log_probs = middle("timing_s/old_log_prob") + middle("timing_s/ref") if workload.forward_passes else 0.0
    return Seconds(
        generation=generation,
        log_probs=log_probs,
        update=update,
        rest=max(step - generation - log_probs - update, 0.0),
        communication=0.0,
        validation=middle("timing_s/testing", records),
        start=0.0,
    )
