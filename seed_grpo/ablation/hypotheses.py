"""What became of a study's hypotheses: held, refuted, or cannot be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seed_grpo.ablation.measures import measure
from seed_grpo.ablation.results import ArmResult, Results, p_value, points
from seed_grpo.ablation.statistics import Paired, compare, holm
from seed_grpo.report.tables import Row, Table

if TYPE_CHECKING:
    from seed_grpo.ablation.study import Hypothesis

HELD, REFUTED, OPEN = "held", "refuted", "cannot be told"


@dataclass(frozen=True)
class Tested:
    """A hypothesis and what the runs say of it.

    Attributes:
        hypothesis: as registered.
        against: the arm that its arm is compared with.
        paired: the differences, in the measure's unit.
        holm_p: after Holm's correction over the study's hypotheses; None if there is no spread to test.
        verdict: `HELD`, `REFUTED` or `OPEN`.
    """

    hypothesis: Hypothesis
    against: str
    paired: Paired
    holm_p: float | None
    verdict: str


def judged(results: Results) -> list[Tested]:
    """Each hypothesis of the study against the runs that count, corrected for their number."""
    study = results.study
    found = []
    for each in study.hypotheses:
        against = each.against or study.against(each.arm)
        assert against is not None
        arms = (results.arm(each.arm), results.arm(against))
        paired, _ = compare(*(_values(arm, each.measure) for arm in arms))
        found.append((each, against, paired))
    corrected = holm([paired.t_p for _, _, paired in found])
    return [
        Tested(each, against, paired, p, verdict(paired, p, each.direction, each.at_least))
        for (each, against, paired), p in zip(found, corrected, strict=True)
    ]


def verdict(paired: Paired, holm_p: float | None, direction: str, at_least: float) -> str:
    """What the differences say of a hypothesis.

    It held if the difference has its direction and survives Holm's correction. It is refuted if the 95 % interval ends
    below the smallest difference that would matter: the effect has the other direction, or is too small to matter.
    Everything else cannot be told.
    """
    if paired.t_interval is None or paired.mean is None or holm_p is None:
        return OPEN
    sign = 1.0 if direction == "higher" else -1.0
    if sign * paired.mean > 0 and holm_p < 0.05:
        return HELD
    most = max(sign * bound for bound in paired.t_interval)
    return REFUTED if most < at_least else OPEN


def hypotheses_table(results: Results) -> Table | None:
    """The hypotheses and their verdicts, null results in the same size of type."""
    if not results.study.hypotheses:
        return None
    rows = []
    for each in judged(results):
        hypothesis, paired = each.hypothesis, each.paired
        form = (
            points if hypothesis.measure == "accuracy" or hypothesis.measure.startswith("pass@") else "{:+.2f}".format
        )
        rows.append(
            Row(
                [
                    f"{hypothesis.name}: {hypothesis.statement}",
                    f"{results.arm(hypothesis.arm).label} − {results.arm(each.against).label}, {hypothesis.measure}",
                    str(paired.n),
                    "–" if paired.mean is None else form(paired.mean),
                    "–" if paired.t_interval is None else " to ".join(map(form, paired.t_interval)),
                    "–" if each.holm_p is None else p_value(each.holm_p),
                    "–" if paired.visible is None else form(paired.visible).lstrip("+"),
                    each.verdict,
                ]
            )
        )
    header = ["hypothesis", "difference of", "pairs", "difference", "95 % interval", "p, Holm", "visible", "verdict"]
    notes = [
        "Registered before the first run (registered.json). Held: the difference has the stated direction, and the "
        "paired t test survives Holm's correction over the hypotheses. Refuted: the interval ends below the smallest "
        "difference that would matter. Visible: the smallest true difference that this many pairs detect with a power "
        "of 80 %. Shares in points.",
        *([f"Number of seeds: {results.study.seeds_because}"] if results.study.seeds_because else []),
    ]
    return Table("Hypotheses", header, rows, notes)


def as_dict(each: Tested) -> dict[str, Any]:
    """For `results.json`."""
    return {
        "name": each.hypothesis.name,
        "statement": each.hypothesis.statement,
        "arm": each.hypothesis.arm,
        "against": each.against,
        "measure": each.hypothesis.measure,
        "direction": each.hypothesis.direction,
        "at_least": each.hypothesis.at_least,
        "pairs": each.paired.n,
        "difference": each.paired.mean,
        "interval": each.paired.t_interval,
        "holm_p": each.holm_p,
        "smallest_visible": each.paired.visible,
        "verdict": each.verdict,
    }


def _values(arm: ArmResult, name: str) -> Mapping[int, float]:
    return arm.outcomes if name == "accuracy" else measure(arm, name)
