"""The results of a study: its arms' numbers, and each arm's difference from the arm that it is compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import numpy as np

from seed_grpo.ablation.load import Settings, StudyRun, load_runs, load_settings, test_problems
from seed_grpo.ablation.paper import TABLES, paper_pair
from seed_grpo.ablation.registration import check_registered
from seed_grpo.ablation.statistics import (
    Interval,
    Paired,
    compare,
    holm,
    seeds_needed,
    share_error,
    std_interval,
)
from seed_grpo.evaluation.metrics import spread
from seed_grpo.report.paper import PaperRow

if TYPE_CHECKING:
    from seed_grpo.ablation.study import Arm, Study

ONE_POINT = 0.01


@dataclass(frozen=True)
class ArmResult:
    """An arm: its runs that count, and its settings (None if no run has begun)."""

    arm: Arm
    against: str | None
    runs: Mapping[int, StudyRun]
    settings: Settings | None

    @property
    def label(self) -> str:
        return self.arm.label or self.arm.name

    @property
    def outcomes(self) -> dict[int, float]:
        """The outcome of each seed."""
        return {seed: run.final for seed, run in self.runs.items() if run.final is not None}

    def spread(self, what: str) -> dict[str, float | None] | None:
        """Mean and standard deviation over seeds of `final`, `best` or `before`; None if no run has it."""
        values = [value for run in self.runs.values() if (value := getattr(run, what)) is not None]
        return spread(values) if values else None

    def mean(self, metric: str) -> float | None:
        """The mean of a training metric over steps, then over seeds."""
        values = [value for run in self.runs.values() if (value := run.mean(metric)) is not None]
        return fmean(values) if values else None

    @cached_property
    def weight_range(self) -> Interval | None:
        """The 5th and 95th percentile of the weights on mixed prompts, over all steps and seeds."""
        weights = [p.weight_N[p.mixed_N] for run in self.runs.values() if (p := run.prompts) is not None]
        pooled = np.concatenate(weights) if weights else np.array([])
        if not len(pooled):
            return None
        low, high = np.percentile(pooled, [5, 95])
        return float(low), float(high)

    @property
    def step_seconds(self) -> float | None:
        values = [run.summary.get("step_seconds_median") for run in self.runs.values()]
        known = [value for value in values if isinstance(value, (int, float))]
        return median(known) if known else None


@dataclass(frozen=True)
class Comparison:
    """An arm against another. Outcomes and differences are shares; the words are in points.

    Attributes:
        paired: the statistics.
        unpaired: seeds that one of the two lacks, left out.
        holm_p: the t test's p-value after Holm's correction over the study's comparisons.
        sign_flip_holm_p: the same for the sign-flip test.
        paper: the paper's rows for the two, if it has them.
    """

    arm: str
    against: str
    paired: Paired
    unpaired: tuple[int, ...]
    holm_p: float | None
    sign_flip_holm_p: float | None
    compared: int
    paper: tuple[PaperRow, PaperRow] | None

    @property
    def paper_difference(self) -> float | None:
        """The paper's difference, as a share."""
        if self.paper is None or self.paper[0].average is None or self.paper[1].average is None:
            return None
        return round(self.paper[0].average - self.paper[1].average, 6) / 100

    @property
    def visible(self) -> float | None:
        """See `Paired.visible`."""
        return self.paired.visible

    def seeds_for(self, difference: float | None) -> SeedsNeeded | None:
        """How many seeds a true difference of this size would need; None if the spread is unknown or 0."""
        std = self.paired.std
        if difference is None or not std:
            return None
        bounds = std_interval(std, self.paired.n)
        assert bounds is not None
        return SeedsNeeded(seeds_needed(difference, std), *(seeds_needed(difference, bound) for bound in bounds))

    @property
    def verdict(self) -> str:
        """The result in words."""
        return verdict(self.paired, self.holm_p, self.compared, self.visible)


@dataclass(frozen=True)
class SeedsNeeded:
    """Seeds for a power of 80 %, and at both ends of the 95 % interval of the standard deviation; None: no number
    below a million."""

    seeds: int | None
    low: int | None
    high: int | None


@dataclass(frozen=True)
class Results:
    """A study's results.

    Attributes:
        problems: size of the test files by name; None if they are gone.
        test_error: half the 95 % interval that the test set's size alone gives an accuracy, as a share.
    """

    study: Study
    arms: tuple[ArmResult, ...]
    comparisons: tuple[Comparison, ...]
    runs: tuple[StudyRun, ...]
    problems: Mapping[str, int] | None
    test_error: float | None

    def arm(self, name: str) -> ArmResult:
        return next(each for each in self.arms if each.arm.name == name)

    @property
    def not_counted(self) -> list[StudyRun]:
        return [run for run in self.runs if run.state != "done"]

    @property
    def tables(self) -> list[str]:
        """The paper's tables that the study is compared with: its own, or those that vary what its arms vary."""
        if self.study.table in TABLES:
            return [self.study.table]
        known = [each.settings for each in self.arms if each.settings is not None]
        weighted = [settings for settings in known if settings.weighted]
        varied: dict[str, set[Any]] = {
            "4a": {settings.method for settings in known} & {"dr_grpo", "seed_grpo"},
            "4b": {settings.alpha for settings in weighted},
            "4c": {settings.form for settings in weighted},
            "4d": {settings.group_size for settings in weighted},
            "4e": {settings.model for settings in known},
        }
        return [table for table, values in varied.items() if len(values) > 1]

    @property
    def notes(self) -> list[str]:
        """What makes the runs unequal, if anything."""
        done = [run for run in self.runs if run.state == "done"]
        notes = []
        versions = {json.dumps(run.summary.get("versions"), sort_keys=True) for run in done}
        if len(versions) > 1:
            notes.append(f"The runs were made with {len(versions)} different sets of package versions.")
        commits = sorted({str(run.summary.get("commit")) for run in done})
        if len(commits) > 1:
            notes.append(f"The runs were made at {len(commits)} commits of this project: {', '.join(commits)}.")
        no_prompts = [f"{run.arm}, seed {run.seed}" for run in done if run.prompts is None]
        if no_prompts:
            notes.append(
                f"The prompts' records are missing or damaged, and their weights are left out: {'; '.join(no_prompts)}."
            )
        samples: dict[int, list[str]] = {}
        for each in self.arms:
            if each.settings is not None:
                samples.setdefault(each.settings.samples, []).append(each.label)
        if len(samples) > 1:
            groups = [f"{number:,} ({', '.join(labels)})" for number, labels in sorted(samples.items())]
            notes.append(f"The arms are trained on different numbers of responses: {'; '.join(groups)}.")
        return notes


def collect(out: Path, study: Study) -> Results:
    """Read the study's folder and compare what has ended.

    Raises:
        SeedGrpoError: the study is not the one that was registered.
    """
    check_registered(study, out)
    runs = load_runs(out, study)
    arms = []
    for arm in study.arms:
        seeds = study.seeds_of(arm)
        settings = load_settings([runs[arm.name, seed] for seed in seeds])
        for seed in seeds:
            run = runs[arm.name, seed]
            if run.state == "done" and settings is not None and run.last_step != settings.steps:
                reason = f"ended after step {run.last_step} of {settings.steps}"
                runs[arm.name, seed] = StudyRun(arm.name, seed, run.folder, "unusable", reason)
        done = {seed: runs[arm.name, seed] for seed in seeds if runs[arm.name, seed].state == "done"}
        arms.append(ArmResult(arm, study.against(arm.name), done, settings))
    problems = next((found for each in arms if each.settings and (found := test_problems(each.settings))), None)
    return Results(
        study,
        tuple(arms),
        tuple(compare_arms(arms, study.table)),
        tuple(runs.values()),
        problems,
        _test_error(arms, problems),
    )


def compare_arms(arms: Sequence[ArmResult], table: str | None) -> list[Comparison]:
    """Each arm against the one that it is compared with.

    Args:
        arms: all of the study.
        table: the paper's, if the study reproduces one.
    """
    by_name = {each.arm.name: each for each in arms}
    pairs = [(each, by_name[each.against]) for each in arms if each.against]
    compared = [compare(a.outcomes, b.outcomes) for a, b in pairs]
    t_holm = holm([paired.t_p for paired, _ in compared])
    flip_holm = holm([paired.sign_flip_p for paired, _ in compared])
    number = sum(paired.t_p is not None for paired, _ in compared)
    return [
        Comparison(
            a.arm.name, b.arm.name, paired, tuple(unpaired), t_p, flip_p, number,
            paper_pair(table, a.arm, a.settings, b.arm, b.settings),
        )
        for (a, b), (paired, unpaired), t_p, flip_p in zip(pairs, compared, t_holm, flip_holm, strict=True)
    ]  # fmt: skip


def _test_error(arms: Sequence[ArmResult], problems: Mapping[str, int] | None) -> float | None:
    """Of the mean accuracy of all arms; over several benchmarks their unweighted mean's."""
    runs = [run for each in arms for run in each.runs.values()]
    if not problems or not runs:
        return None
    names = list(runs[0].by_benchmark)
    if len(names) < 2 and not runs[0].evaluated:
        return share_error(fmean(value for each in arms for value in each.outcomes.values()), sum(problems.values()))
    if not set(names) <= set(problems) or any(list(run.by_benchmark) != names for run in runs):
        return None
    shares = {name: fmean(run.by_benchmark[name] for run in runs) for name in names}
    return sum(share_error(shares[name], problems[name]) ** 2 for name in names) ** 0.5 / len(names)


def verdict(paired: Paired, holm_p: float | None, compared: int, visible: float | None) -> str:
    """A comparison in words; differences in points.

    A difference counts if the t test survives Holm's correction. One whose own interval excludes 0 but that does not
    survive is reported as such. Everything else is a null result, with the size that could not have been seen.
    """
    n = paired.n
    if paired.mean is None:
        return "not compared: no seed has both arms."
    if n == 1:
        return f"{points(paired.mean)} points from one seed: no interval, since one difference does not show a spread."
    if paired.std == 0:
        if paired.mean == 0:
            return f"identical: the same accuracy in each of {n} pairs."
        return f"{points(paired.mean)} points in each of {n} pairs: without a spread there is no interval."
    assert paired.t_interval is not None
    assert paired.t_p is not None
    assert holm_p is not None
    assert visible is not None
    low, high = (points(bound) for bound in paired.t_interval)
    unseen = f"a difference below {100 * visible:.1f} points could not have been seen reliably with {n} seeds"
    if paired.t_p >= 0.05:
        return f"no difference seen: interval {low} to {high} points; {unseen}."
    direction = "higher" if paired.mean > 0 else "lower"
    found = f"{direction} by {abs(100 * paired.mean):.1f} points (interval {low} to {high})"
    corrected = f"Holm's correction over {compared} comparisons (p = {p_value(holm_p)})"
    if holm_p < 0.05:
        return f"{found}" + (f", also after {corrected}." if compared > 1 else f" (p = {p_value(holm_p)}).")
    return f"{found} on its own, which does not survive {corrected}: not a finding; {unseen}."


def points(share: float) -> str:
    """A difference of shares in points, with its sign."""
    value = 100 * share
    return f"{'+' if round(value, 1) > 0 else '−' if round(value, 1) < 0 else ''}{abs(value):.1f}"


def p_value(p: float) -> str:
    """A p-value with three decimals."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"
