"""The paper's own numbers next to a study's arms, and what can and cannot explain them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from seed_grpo.ablation.load import PAPER_ALPHA, PAPER_G, Settings
from seed_grpo.report.paper import PaperRow, paper_rows

if TYPE_CHECKING:
    from seed_grpo.ablation.study import Arm

TABLES = {"4a": "4(a)", "4b": "4(b)", "4c": "4(c)", "4d": "4(d)", "4e": "4(e)"}
"""A study's `table`, and what the paper's data calls it."""
NOTES = {
    "4a": (
        "The paper's SEED-GRPO stands 5.2 points above its Dr.GRPO (56.6 and 51.4). At α = 0.02 every weight lies in "
        "[0.98, 1], and among groups of 8 with right and wrong answers any two weights differ by at most 1.4 % (Eq. 5) "
        "or 1.7 % (Eq. 4): the weights alone are an unlikely cause.",
        "The two runs also differ in length: 928 steps and 400 (the paper's Table 3). At 384 steps the paper prints "
        "40.0 on AIME24 for SEED-GRPO, below Dr.GRPO's 43.3.",
        "The printed row is “the best performance”. Over 3 runs the paper prints a standard deviation of 2 points of "
        "the average; two single runs of one method then differ by 2.8 points (one standard deviation) by chance.",
    ),
    "4b": (
        "Between α = 0.01 and 0.02 the paper's average rises from 52.7 to 56.6, and no weight changes by more than "
        "0.01. A change of that size cannot explain the difference; noise between single runs can.",
    ),
    "4c": (
        "At α = 0.02 the weights of the linear, exponential and reciprocal forms differ by less than 0.0004: the form "
        "cannot explain the paper's 2.3 points between linear (56.6) and exponential (54.3).",
        "The focal form with γ = 2 lies in [0.9604, 1], close to linear at twice the α. The paper prints 55.1 for it "
        "and does not state γ.",
    ),
    "4d": (
        "The paper's averages at G = 8, 10 and 16 are 56.6, 56.2 and 58.2: not monotone. G is not all that differs: "
        "the run with G = 8 has 928 steps and 950,272 responses, the one with G = 16 has 360 and 737,280.",
    ),
    "4e": (
        "In Table 4(e) the row “Qwen2.5 7B: SEED-GRPO” is the run with G = 16, next to a Dr.GRPO with G = 8, and the "
        "base row of R1-Distill repeats four cells of another row. Differences taken from them are not the method's.",
    ),
}
"""What can explain the paper's differences. A test works the numbers out from the paper's tables and the method."""


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
    """What sets the arm apart from the paper's row, other than the model and the task: a short phrase, or nothing."""
    other_alpha = row.table != TABLES["4b"] and settings.alpha != PAPER_ALPHA
    return f"α = {settings.alpha:g} here, {PAPER_ALPHA} there" if settings.method == "seed_grpo" and other_alpha else ""


def paper_notes(tables: Sequence[str]) -> list[str]:
    """What can and cannot explain the paper's differences, for the tables that a study is compared with."""
    return [note for table in TABLES if table in tables for note in NOTES[table]]
