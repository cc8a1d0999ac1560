"""What a study's validations with several samples per problem show beside the outcome: where accuracy hides harm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from seed_grpo.ablation.results import ArmResult, Results, points
from seed_grpo.ablation.statistics import compare
from seed_grpo.evaluation.metrics import spread
from seed_grpo.report.tables import Row, Table, mean_and_std

if TYPE_CHECKING:
    from seed_grpo.ablation.load import StudyRun


def sampled(run: StudyRun) -> dict[str, float]:
    """The finite numbers of a run's last validation with several samples: `pass@1`, `pass@k`, `distinct_right` …"""
    found = run.summary.get("final_sampled")
    if not isinstance(found, Mapping):
        return {}
    return {
        str(name): float(value)
        for name, value in found.items()
        if isinstance(value, (int, float)) and math.isfinite(value)
    }


def measure(arm: ArmResult, name: str) -> dict[int, float]:
    """One of these numbers by seed, for the seeds that have it."""
    return {seed: found[name] for seed, run in arm.runs.items() if name in (found := sampled(run))}


def measures(results: Results) -> list[str]:
    """The names of the numbers that the study's runs have, in their order."""
    return list(dict.fromkeys(name for arm in results.arms for run in arm.runs.values() for name in sampled(run)))


def sampled_table(results: Results) -> Table | None:
    """Each arm's numbers, and the difference of each from the arm that it is compared with."""
    names = measures(results)
    if not names:
        return None
    rows = [Row([arm.label, *(_cell(results, arm, name) for name in names)]) for arm in results.arms]
    note = (
        "The last validation, mean ± standard deviation over seeds; in brackets the difference from the arm that it is "
        "compared with and its 95 % t interval, not corrected for their number. Pass@k in percent and points: the "
        "share of problems with a right answer among k samples. Distinct right answers per problem; their entropy in "
        "nats, over the problems that have one."
    )
    return Table("With several samples per problem", ["arm", *(_heading(name) for name in names)], rows, [note])


def _heading(name: str) -> str:
    return {"distinct_right": "distinct right answers", "entropy_right": "entropy of the right answers"}.get(name, name)


def _cell(results: Results, arm: ArmResult, name: str) -> str:
    values = measure(arm, name)
    if not values:
        return "–"
    share = name.startswith("pass@")
    found = spread(list(values.values()))
    shown = mean_and_std(found["mean"], found["std"]) if share else plain_mean_and_std(found["mean"], found["std"])
    if arm.against is None:
        return shown
    paired, _ = compare(values, measure(results.arm(arm.against), name))
    if paired.mean is None:
        return shown
    form = points if share else "{:+.2f}".format
    interval = "" if paired.t_interval is None else f", {form(paired.t_interval[0])} to {form(paired.t_interval[1])}"
    return f"{shown} ({form(paired.mean)}{interval})"


def plain_mean_and_std(mean: float | None, std: float | None) -> str:
    """Mean and standard deviation of a number that is not a percentage."""
    return f"{mean:.2f}" + ("" if std is None else f" ± {std:.2f}")
