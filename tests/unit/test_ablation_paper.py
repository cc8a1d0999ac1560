"""The numbers in the notes on the paper: worked out from the paper's tables and from the method, never quoted twice."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from seed_grpo.ablation.paper import NOTES, TABLES, paper_notes
from seed_grpo.method.entropy import semantic_entropy
from seed_grpo.method.weighting import uncertainty_weight
from seed_grpo.report.paper import PaperRow, paper_rows

G = 8


def splits(total: int, largest: int | None = None) -> Iterator[list[int]]:
    """The ways to divide so many responses into clusters."""
    if total == 0:
        yield []
    for first in range(min(total, largest or total), 0, -1):
        for rest in splits(total - first, first):
            yield [first, *rest]


def weights(alpha: float, form: str = "linear", estimator: str = "monte_carlo") -> list[float]:
    """Of every group of 8 that can have right and wrong answers."""
    entropies = [
        semantic_entropy(np.repeat(np.arange(len(split)), split), estimator=estimator)
        for split in splits(G)
        if len(split) > 1
    ]
    return [uncertainty_weight(entropy, np.log(G), alpha=alpha, form=form) for entropy in entropies]


def weights_of_any_entropy(alpha: float, form: str = "linear") -> np.ndarray:
    ratio_N = np.linspace(0, 1, 2001)
    return uncertainty_weight(ratio_N, np.ones_like(ratio_N), alpha=alpha, form=form)


def row(table: str, label: str) -> PaperRow:
    [found] = [each for each in paper_rows(table) if each.label == label]
    return found


def average(table: str, label: str) -> float:
    found = row(table, label).average
    assert found is not None
    return found


def said(table: str) -> str:
    return " ".join(NOTES[table])


def test_every_table_has_notes_and_brings_its_own() -> None:
    assert NOTES.keys() == TABLES.keys()
    assert paper_notes(["4d", "4b"]) == [*NOTES["4b"], *NOTES["4d"]]


def test_the_method() -> None:
    seed, base = average("4(a)", "SEED-GRPO"), average("4(a)", "Dr.GRPO")
    assert f"{seed - base:.1f} points above its Dr.GRPO ({seed} and {base})" in said("4a")
    any_N = weights_of_any_entropy(0.02)
    assert f"[{any_N.min():.2f}, {any_N.max():g}]" in said("4a")
    for estimator, equation in (("monte_carlo", "Eq. 5"), ("rao_blackwell", "Eq. 4")):
        found = weights(0.02, estimator=estimator)
        assert f"{100 * (max(found) / min(found) - 1):.1f} % ({equation})" in said("4a")
    [three] = [each for each in paper_rows("2") if "3 runs" in each.label]
    std = three.std["average"]
    assert f"deviation of {std:g} points" in said("4a")
    assert f"differ by {2**0.5 * std:.1f} points" in said("4a")


def test_alpha() -> None:
    low, high = average("4(b)", "α = 0.01"), average("4(b)", "α = 0.02")
    assert f"from {low} to {high}" in said("4b")
    change_N = weights_of_any_entropy(0.01) - weights_of_any_entropy(0.02)
    assert change_N.max() == pytest.approx(0.01)


def test_the_forms() -> None:
    gap = np.ptp([weights_of_any_entropy(0.02, form) for form in ("linear", "exponential", "reciprocal")], axis=0).max()
    assert 0.0003 < gap < 0.0004
    linear, exponential, focal = (average("4(c)", name) for name in ("Linear", "Exponential", "Focal"))
    assert f"{linear - exponential:.1f} points between linear ({linear}) and exponential ({exponential})" in said("4c")
    assert f"lies in [{weights_of_any_entropy(0.02, 'focal').min():.4f}, 1]" in said("4c")
    assert f"prints {focal} for it" in said("4c")


def test_the_rollouts() -> None:
    small, middle, large = (average("4(d)", f"G = {g}") for g in (8, 10, 16))
    assert f"{small}, {middle} and {large}: not monotone" in said("4d")
    assert middle < small < large
    for group_size in (8, 16):
        [steps] = [steps for steps, size in lengths("SEED-GRPO") if size == group_size and steps != 384]
        assert f"{steps}" in said("4d")
        assert f"{steps * 128 * group_size:,}" in said("4d")


def lengths(method: str) -> list[tuple[int, int]]:
    """(steps, G) of a method's runs in Table 3."""
    matches = (re.fullmatch(rf"{method}: .*, 128, G=(\d+), (\d+) steps", each.label) for each in paper_rows("3"))
    return [(int(match[2]), int(match[1])) for match in matches if match]


def test_the_lengths_of_the_two_runs() -> None:
    [(theirs, _)] = lengths("Dr.GRPO")
    assert f"928 steps and {theirs}" in said("4a")
    assert (928, G) in lengths("SEED-GRPO")
    short, base = (row("3", label) for label in ("SEED-GRPO: 8.5k, 128, G=8, 384 steps",
                                                  "Dr.GRPO: 8.5k, 128, G=8, 400 steps"))  # fmt: skip
    assert f"At 384 steps the paper prints {short.values['aime24']} on AIME24" in said("4a")
    assert f"below Dr.GRPO's {base.values['aime24']}" in said("4a")
