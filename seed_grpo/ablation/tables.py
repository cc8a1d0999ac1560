"""The tables of a study's results, as rows of text."""

from __future__ import annotations

from collections.abc import Sequence

from seed_grpo.ablation.paper import differences, paper_notes, paper_row
from seed_grpo.ablation.results import ONE_POINT, ArmResult, Comparison, Results, SeedsNeeded, p_value, points
from seed_grpo.ablation.statistics import POWER, Interval, bootstrap_coverage
from seed_grpo.evaluation.metrics import spread
from seed_grpo.report.tables import Row, Table, count, mean_and_std, number, percent


def arms_table(results: Results) -> Table:
    """Accuracy after the last step, and what the runs were like."""
    header = [
        "arm", "seeds", "before", "after the last step", "best evaluation (biased)", "entropy", "mixed prompts",
        "weight on mixed prompts", "time per step",
    ]  # fmt: skip
    rows = [
        Row(
            [
                each.label,
                f"{len(each.runs)} of {len(results.study.seeds_of(each.arm))}",
                _spread(each, "before"),
                _spread(each, "final"),
                _spread(each, "best"),
                number(each.mean("seed_grpo/entropy"), "{:.3f}"),
                percent(each.mean("seed_grpo/mixed_share")),
                _weights(each),
                number(each.step_seconds, "{:.2f} s"),
            ]
        )
        for each in results.arms
    ]
    notes = [
        "Greedy accuracy in percent, mean ± standard deviation over seeds (n − 1). The last step is the result. The "
        "best evaluation is what picking on the test set would have reported: it is biased upwards and shown for that "
        "reason only. Entropy in nats and mixed prompts (right and wrong responses) in percent, means over all "
        "training steps; weights: mean (5th to 95th percentile), over the prompts for which they act; time per step: "
        "median.",
        *_picking(results),
        *_test_error(results),
        *results.notes,
    ]
    return Table("Accuracy", header, rows, notes)


def benchmarks_table(results: Results) -> Table | None:
    """The last evaluation by benchmark, if there are several."""
    names = list(dict.fromkeys(name for run in results.runs for name in run.by_benchmark))
    if len(names) < 2:
        return None
    rows = []
    for each in results.arms:
        cells = []
        for name in names:
            values = [run.by_benchmark[name] for run in each.runs.values() if name in run.by_benchmark]
            found = spread(values) if values else {"mean": None, "std": None}
            cells.append(mean_and_std(found["mean"], found["std"]))
        rows.append(Row([each.label, *cells, _spread(each, "final")]))
    note = "After the last step, in percent, mean ± standard deviation over seeds."
    return Table("By benchmark", ["arm", *names, "outcome"], rows, [note])


def differences_table(results: Results) -> Table:
    """Each arm against the arm that it is compared with, on the same seeds."""
    header = [
        "arm − compared with", "pairs", "difference", "95 % interval, t", "95 % interval, bootstrap", "p, t",
        "p, Holm", "p, sign flips",
    ]  # fmt: skip
    rows, words = [], []
    for each in results.comparisons:
        paired = each.paired
        name = f"{results.arm(each.arm).label} − {results.arm(each.against).label}"
        rows.append(
            Row(
                [
                    name,
                    str(paired.n),
                    "–" if paired.mean is None else points(paired.mean),
                    _interval(paired.t_interval),
                    _interval(paired.bootstrap),
                    *("–" if p is None else p_value(p) for p in (paired.t_p, each.holm_p, paired.sign_flip_p)),
                ]
            )
        )
        left_out = (
            f" Seed{'s' * (len(each.unpaired) > 1)} {', '.join(map(str, each.unpaired))} left out: one of the two runs "
            "does not count." if each.unpaired else ""
        )  # fmt: skip
        words.append(f"{name}: {each.verdict}{left_out}")
    return Table("Differences", header, rows, [*words, *_reading(results.comparisons)])


def power_table(results: Results) -> Table:
    """What so many seeds could have seen, and how many others would need."""
    header = ["arm − compared with", "pairs", "std of the differences", "smallest visible difference",
              "seeds for the observed difference", "seeds for the paper's", "seeds for 1 point"]  # fmt: skip
    rows = []
    for each in results.comparisons:
        paired, paper = each.paired, each.paper_difference
        needed = each.seeds_for(paper)
        rows.append(
            Row(
                [
                    f"{results.arm(each.arm).label} − {results.arm(each.against).label}",
                    str(paired.n),
                    "–" if paired.std is None else f"{100 * paired.std:.2f}",
                    "–" if each.visible is None else f"{100 * each.visible:.1f}",
                    _needed(each.seeds_for(paired.mean)),
                    "–" if paper is None or needed is None else f"{_needed(needed)} for {points(paper)}",
                    _needed(each.seeds_for(ONE_POINT)),
                ]
            )
        )
    notes = [
        f"In points. A paired t test at 5 %, two-sided, power {100 * POWER:.0f} %, from the noncentral t distribution; "
        "in brackets the same at both ends of the standard deviation's 95 % interval, hardly known from few seeds. "
        "No correction for several comparisons: with one, more seeds are needed. The seeds for the observed "
        "difference are for planning a new study; they are no evidence for the difference."
    ]
    return Table("What these seeds could see", header, rows, notes)


def paper_table(results: Results) -> Table | None:
    """The paper's numbers next to the arms'."""
    rows = []
    by_arm = {each.arm: each for each in results.comparisons}
    for each in results.arms:
        comparison = by_arm.get(each.arm.name)
        pair = comparison.paper if comparison else None
        row = pair[0] if pair else next(
            (found for table in results.tables if (found := paper_row(table, each.arm, each.settings))), None
        )  # fmt: skip
        if row is None:
            continue
        paired = comparison.paired if comparison else None
        paper_difference = comparison.paper_difference if comparison else None
        rows.append(
            Row(
                [
                    each.label,
                    _spread(each, "final"),
                    "–" if paired is None or paired.mean is None else points(paired.mean),
                    f"Table {row.table}, {row.label}",
                    "–" if row.average is None else f"{row.average:.1f}",
                    "–"
                    if pair is None or paper_difference is None
                    else f"{points(paper_difference)} to {pair[1].label}",
                    (differences(each.settings, row) if each.settings else "") or "–",
                ]
            )
        )
    if not rows:
        return None
    note = (
        "The paper's columns are its printed averages over five benchmarks with Qwen2.5-Math-7B, one run each (arXiv "
        "2505.12346v1); nothing of them was measured here, and another model on another task need not repeat them."
    )
    header = ["arm", "here", "difference here", "the paper's row", "its average", "its difference", "set differently"]
    return Table("Next to the paper", header, rows, [note, *paper_notes(results.tables)])


def missing_table(results: Results) -> Table | None:
    """The runs that do not count, and why."""
    if not results.not_counted:
        return None
    rows = [
        Row([results.arm(run.arm).label, str(run.seed), run.state, run.reason or "–"]) for run in results.not_counted
    ]
    return Table("Runs that do not count", ["arm", "seed", "state", "reason"], rows, [])


def _spread(each: ArmResult, what: str) -> str:
    found = each.spread(what)
    return "–" if found is None else mean_and_std(found["mean"], found["std"])


def _weights(each: ArmResult) -> str:
    mean, bounds = each.mean("seed_grpo/weight_mixed"), each.weight_range
    if each.settings is None or not each.settings.weighted or mean is None:
        return "1 (not weighted)" if each.settings is not None else "–"
    return f"{mean:.3f}" + ("" if bounds is None else f" ({bounds[0]:.3f} to {bounds[1]:.3f})")


def _interval(bounds: Interval | None) -> str:
    return "–" if bounds is None else f"{points(bounds[0])} to {points(bounds[1])}"


def _needed(needed: SeedsNeeded | None) -> str:
    if needed is None:
        return "–"
    numbers = ["> 1 million" if each is None else f"{each:,}" for each in (needed.seeds, needed.low, needed.high)]
    return f"{numbers[0]} ({numbers[1]} to {numbers[2]})"


def _picking(results: Results) -> list[str]:
    gains = [run.best - run.final for run in results.runs if run.best is not None and run.final is not None]
    if not gains:
        return []
    looks = max(sum(step > 0 for step in run.steps_V) for run in results.runs)
    return [
        f"Picking the best of up to {looks} validations would have added {100 * sum(gains) / len(gains):.1f} points on "
        f"average over {count(len(gains), 'run')}, with nothing learned."
    ]


def _test_error(results: Results) -> list[str]:
    if not any(run.state == "done" for run in results.runs):
        return []
    if results.problems is None or results.test_error is None:
        return [
            "The size of the test set is not known here (its files are gone), so its own sampling error is not given."
        ]
    return [
        f"The test set has {sum(results.problems.values()):,} problems, the same for all arms: as a statement about "
        f"all such problems an accuracy is uncertain by ± {100 * results.test_error:.1f} points (95 %) from that "
        "alone, whatever the number of seeds. Part of this cancels in a difference of two arms; no interval below "
        "includes it."
    ]


def _reading(comparisons: Sequence[Comparison]) -> list[str]:
    floors = {each.paired.n: each.paired.sign_flip_floor for each in comparisons if each.paired.t_p is not None}
    notes = [
        "Differences are of runs with the same seed, in points of accuracy after the last step. The verdicts rest on "
        "the paired t test after Holm's correction over all comparisons of the study; the test assumes that the "
        "differences are roughly normal, which so few cannot show."
    ]
    for n, floor in sorted(floors.items()):
        assert floor is not None
        never = ": it cannot reach 0.05" if floor > 0.05 else ""
        notes.append(
            f"With {n} seeds the sign-flip test, which assumes nothing of the kind, gives at least {floor:.3g}"
            f"{never}. The percentile bootstrap's 95 % interval holds the truth in about "
            f"{100 * bootstrap_coverage(n):.0f} % of studies with so many seeds (simulated with normal differences): "
            "too narrow, so the t interval, which then has 95 %, is the one to read."
        )
    return notes
