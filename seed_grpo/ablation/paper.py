"""The paper's own numbers beside a study's arms, and what their cause can and cannot be.

The bounds in the sentences are computed with the library's own functions, not quoted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from seed_grpo.ablation.load import PAPER_ALPHA, PAPER_G, Settings
from seed_grpo.method.entropy import semantic_entropy
from seed_grpo.method.weighting import uncertainty_weight
from seed_grpo.report.paper import PaperRow, paper_rows

if TYPE_CHECKING:
    from seed_grpo.ablation.study import Arm

TABLES = {"4a": "4(a)", "4b": "4(b)", "4c": "4(c)", "4d": "4(d)", "4e": "4(e)"}
"""A study's `table`, and what the paper's data calls it."""
CLOSE_FORMS = ("linear", "exponential", "reciprocal")


def paper_row(table: str, arm: Arm, settings: Settings | None) -> PaperRow | None:
    """The row of one of the paper's tables that an arm corresponds to: the one that the study names, or else the one
    whose varied setting the arm has. None where the paper has none.

    Other settings need not agree: `differences` names them.
    """
    label = arm.paper or (_label(table, settings) if settings is not None else None)
    found = [row for row in paper_rows(TABLES[table]) if row.label == label] if label else []
    return found[0] if found else None


def _label(table: str, settings: Settings) -> str | None:
    weighted = settings.method == "seed_grpo"
    if table == "4a":
        name = {"dr_grpo": "Dr.GRPO", "seed_grpo": "SEED-GRPO"}.get(settings.method)
        published = not weighted or (settings.form == "linear" and settings.alpha == PAPER_ALPHA)
        return name if published and settings.group_size == PAPER_G else None
    if table == "4e":
        model = next((name for part, name in _MODELS.items() if part in settings.model.lower()), None)
        method = {"dr_grpo": "Dr.GRPO", "seed_grpo": "SEED-GRPO"}.get(settings.method)
        return f"{model}: {method}" if model and method else None
    if not weighted or (settings.estimator, settings.mass) != ("monte_carlo", "count"):
        return None
    if table == "4b":
        return f"α = {settings.alpha:g}" if settings.form == "linear" and settings.group_size == PAPER_G else None
    if settings.alpha != PAPER_ALPHA:
        return None
    if table == "4c":
        return settings.form.capitalize() if settings.group_size == PAPER_G else None
    return f"G = {settings.group_size}" if settings.form == "linear" else None


_MODELS = {"r1-distill": "R1-Distill 7B", "qwen2.5-math-1.5b": "Qwen2.5 1.5B", "qwen2.5-math-7b": "Qwen2.5 7B"}


def paper_pair(
    table: str | None, arm: Arm, settings: Settings | None, against: Arm, against_settings: Settings | None
) -> tuple[PaperRow, PaperRow] | None:
    """The paper's rows for an arm and the arm it is compared with, from one table if it has both.

    Where a table lacks the other arm, Dr.GRPO's row of Table 4(a) stands for it: the paper's own baseline.
    """
    tables = [table] if table in TABLES else [name for name in TABLES if name != "4e"]
    for name in tables:
        mine, other = settings, against_settings
        if name in ("4c", "4d") and mine is not None and other is not None and mine.alpha == other.alpha:
            # What is compared is the form, or G; both arms at another α of the study's are still that comparison.
            mine, other = replace(mine, alpha=PAPER_ALPHA), replace(other, alpha=PAPER_ALPHA)
        row, other_row = paper_row(name, arm, mine), paper_row(name, against, other)
        if row and other_row and row.label != other_row.label:
            return row, other_row
    row = next((found for name in tables if (found := paper_row(name, arm, settings))), None)
    baseline = paper_row("4a", against, against_settings)
    return (row, baseline) if row and baseline and baseline.label == "Dr.GRPO" != row.label else None


def differences(settings: Settings, row: PaperRow) -> str:
    """What sets the arm apart from the paper's row, beside the model and the task: a short phrase, or nothing."""
    other_alpha = row.table != TABLES["4b"] and settings.alpha != PAPER_ALPHA
    return f"α = {settings.alpha:g} here, {PAPER_ALPHA} there" if settings.method == "seed_grpo" and other_alpha else ""


def sentences(tables: Sequence[str]) -> list[str]:
    """What the paper's effects cannot come from, for the tables that a study stands beside."""
    known: dict[str, list[str]] = {
        "4a": _methods(),
        "4b": _alphas(),
        "4c": _forms(),
        "4d": _rollouts(),
        "4e": _models(),
    }
    return [sentence for table in TABLES if table in tables for sentence in known[table]]


def weight_range(
    alpha: float, form: str, estimator: str | None = None, group_size: int = PAPER_G
) -> tuple[float, float]:
    """The smallest and largest weight that can occur.

    Args:
        alpha, form: of the method; gamma at its default.
        estimator: with it, only groups of at least two clusters by counts, as every group of right and wrong answers
            is; without, any entropy.
        group_size: G.
    """
    top = float(np.log(group_size))
    entropies = [0.0, top] if estimator is None else [
        semantic_entropy(np.repeat(np.arange(len(split)), split), estimator=estimator)
        for split in _splits(group_size) if len(split) > 1
    ]  # fmt: skip
    weights = [uncertainty_weight(entropy, top, alpha=alpha, form=form) for entropy in entropies]
    return min(weights), max(weights)


@cache
def largest_gap(alpha: float, forms: tuple[str, ...] = CLOSE_FORMS) -> float:
    """The most by which two of the forms give different weights to one prompt, at equal alpha."""
    ratio_N = np.linspace(0.0, 1.0, 1001)
    weights = np.array([uncertainty_weight(ratio_N, np.ones_like(ratio_N), alpha=alpha, form=form) for form in forms])
    return float(np.ptp(weights, axis=0).max())


def _splits(total: int, largest: int | None = None) -> Iterator[list[int]]:
    """The ways to divide so many responses into clusters."""
    if total == 0:
        yield []
    for first in range(min(total, largest or total), 0, -1):
        for rest in _splits(total - first, first):
            yield [first, *rest]


def _average(table: str, label: str) -> float:
    [row] = [row for row in paper_rows(table) if row.label == label]
    assert row.average is not None
    return row.average


def _spread(alpha: float) -> str:
    parts = []
    for estimator, equation in (("monte_carlo", "Eq. 5"), ("rao_blackwell", "Eq. 4")):
        low, high = weight_range(alpha, "linear", estimator)
        parts.append(f"{100 * (high / low - 1):.1f} % ({equation})")
    return " or ".join(parts)


def _methods() -> list[str]:
    seed, base = _average("4(a)", "SEED-GRPO"), _average("4(a)", "Dr.GRPO")
    low, high = weight_range(PAPER_ALPHA, "linear")
    [three] = [row for row in paper_rows("2") if "3 runs" in row.label]
    std = three.std["average"]
    return [
        f"The paper's SEED-GRPO is {seed - base:+.1f} points from Dr.GRPO ({base} to {seed}). At its α = {PAPER_ALPHA} "
        f"every weight lies in [{low:.2f}, {high:g}], and among groups of {PAPER_G} with right and wrong answers any "
        f"two differ by at most {_spread(PAPER_ALPHA)}: the updates are nearly Dr.GRPO's, so weights alone are an "
        "unlikely cause.",
        "The two runs also differ in length: 928 steps against 400 (the paper's Table 3), 2.3 times the samples; at "
        "384 steps the paper prints 40.0 on AIME24, below Dr.GRPO's 43.3.",
        f"The printed row is “the best performance”. Over 3 runs the paper prints a standard deviation of {std:g} "
        f"points of the average: two single runs of one method then differ by {2**0.5 * std:.1f} points (one standard "
        "deviation) by chance.",
    ]


def _alphas() -> list[str]:
    low, high = _average("4(b)", "α = 0.01"), _average("4(b)", "α = 0.02")
    (low_1, _), (low_2, _), (low_3, _) = (weight_range(alpha, "linear") for alpha in (0.01, 0.02, 0.03))
    return [
        f"Between α = 0.01 and 0.02 the paper's average differs by {high - low:.1f} points ({low} and {high}). The "
        f"weights of any prompt differ by at most {low_1 - low_2:.2f} between the two (by {low_1 - low_3:.2f} up to "
        f"α = 0.03), and among groups with right and wrong answers by {_spread(PAPER_ALPHA)} at α = {PAPER_ALPHA}: "
        "changes of that size cannot account for such an effect, noise between single runs can.",
    ]


def _forms() -> list[str]:
    linear, exponential, focal = (_average("4(c)", name) for name in ("Linear", "Exponential", "Focal"))
    gap = largest_gap(PAPER_ALPHA)
    low, _ = weight_range(PAPER_ALPHA, "focal")
    return [
        f"At α = {PAPER_ALPHA} the forms linear, exponential and reciprocal give any prompt weights that differ by "
        f"less than {_ceiling(gap)}: the paper's {linear - exponential:.1f} points between linear ({linear}) and "
        f"exponential ({exponential}) cannot come from the form at equal α.",
        f"Focal (γ = 2) at α = {PAPER_ALPHA} lies in [{low:.4f}, 1], about linear's weights at twice the α; the paper "
        f"prints {focal} for it and does not state γ.",
    ]


def _rollouts() -> list[str]:
    small, middle, large = (_average("4(d)", f"G = {g}") for g in (8, 10, 16))
    return [
        f"The paper's averages at G = 8, 10, 16 are {small}, {middle}, {large}: not monotone. The runs differ in "
        f"samples too: {928 * 128 * 8:,} at G = 8 (928 steps), {360 * 128 * 16:,} at G = 16 (360 steps); G alone is "
        "not what changed.",
    ]


def _models() -> list[str]:
    return [
        "In Table 4(e) the row “Qwen2.5 7B: SEED-GRPO” is the run with G = 16, beside a Dr.GRPO with G = 8; the base "
        "row of R1-Distill repeats four cells of another row. Differences taken from them are not the method's.",
    ]


def _ceiling(value: float) -> str:
    """A bound with one digit, rounded up."""
    exponent = math.floor(math.log10(value))
    return f"{math.ceil(value / 10**exponent) * 10.0**exponent:.{max(-exponent, 0)}f}"
