"""Semantic entropy against numbers worked out elsewhere, and its properties on random groups."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import ROOT

from seed_grpo import semantic_entropy
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.method import DROPPED
from seed_grpo.method.entropy import ESTIMATORS, MASSES, group_entropy

sys.path.insert(0, str(ROOT / "benchmarks"))
from weights import DISTRIBUTIONS, bias

IDS_G = [0, 0, 1, 2, 1, 0, 0, 3]
TOKEN_LOG_PROBS = [[-0.1 * (j + 1) - 0.05 * k for k in range(3 + j % 3)] for j in range(8)]
MEAN_LOG_PROBS_G = [float(np.mean(tokens)) for tokens in TOKEN_LOG_PROBS]
SUM_LOG_PROBS_G = [float(np.sum(tokens)) for tokens in TOKEN_LOG_PROBS]

BOUNDED = [name for name in ESTIMATORS if name != "chao_shen"]
"""With counts, these are at most log G."""

groups = st.lists(st.integers(0, 5), min_size=1, max_size=20)
log_probs = st.floats(-2000, 0, allow_nan=False)


@pytest.mark.parametrize(
    ("estimator", "mass", "log_probs_G", "expected"),
    [
        ("rao_blackwell", "count", None, 1.213007565980),
        ("monte_carlo", "count", None, 1.559581156260),
        # the rao_blackwell rows were computed with the code of Farquhar et al.
        ("rao_blackwell", "likelihood", MEAN_LOG_PROBS_G, 1.160037615770),
        ("monte_carlo", "likelihood", MEAN_LOG_PROBS_G, 1.625520477812),
        ("rao_blackwell", "likelihood", SUM_LOG_PROBS_G, 0.909052153040),
        ("monte_carlo", "likelihood", SUM_LOG_PROBS_G, 2.037973613224),
    ],
)
def test_reference_values(estimator: str, mass: str, log_probs_G: list[float] | None, expected: float) -> None:
    got = semantic_entropy(IDS_G, log_probs=log_probs_G, estimator=estimator, mass=mass)
    assert got == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("split", "monte_carlo", "rao_blackwell"), [((7, 1), 1.1065, 0.3768), ((4, 4), 0.6931, 0.6931)]
)
def test_equation_5_ranks_a_consensus_above_a_tie(
    split: tuple[int, int], monte_carlo: float, rao_blackwell: float
) -> None:
    ids = [0] * split[0] + [1] * split[1]
    assert semantic_entropy(ids, estimator="monte_carlo") == pytest.approx(monte_carlo, abs=5e-5)
    assert semantic_entropy(ids, estimator="rao_blackwell") == pytest.approx(rao_blackwell, abs=5e-5)


def test_very_small_probabilities_do_not_overflow() -> None:
    got = semantic_entropy(
        [0, 0, 1, 1], log_probs=[-750, -750, -750, -750.5], mass="likelihood", estimator="rao_blackwell"
    )
    assert got == pytest.approx(math.log(2), abs=0.01)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("mass", MASSES)
def test_one_response_and_one_cluster_are_certain(estimator: str, mass: str) -> None:
    for size in (1, 2, 8):
        got = semantic_entropy([0] * size, log_probs=[-3.7] * size, estimator=estimator, mass=mass)
        assert got == 0.0
        assert math.copysign(1.0, got) == 1.0


@pytest.mark.parametrize("estimator", BOUNDED)
def test_all_different_is_the_maximum(estimator: str) -> None:
    assert semantic_entropy(range(8), estimator=estimator) == pytest.approx(math.log(8))


@given(ids=groups, estimator=st.sampled_from(BOUNDED))
def test_counts_stay_within_zero_and_log_g(ids: list[int], estimator: str) -> None:
    assert 0.0 <= semantic_entropy(ids, estimator=estimator) <= math.log(len(ids)) + 1e-12


@given(
    rows=st.lists(st.tuples(st.integers(0, 4), log_probs), min_size=1, max_size=16),
    estimator=st.sampled_from(list(ESTIMATORS)),
    mass=st.sampled_from(list(MASSES)),
    random=st.randoms(use_true_random=False),
)
def test_the_order_of_rollouts_and_the_numbers_of_clusters_do_not_matter(rows, estimator, mass, random) -> None:
    def entropy(pairs: list[tuple[int, float]]) -> float:
        ids, values = zip(*pairs, strict=True)
        return semantic_entropy(ids, log_probs=values, estimator=estimator, mass=mass)

    shuffled = [(7 * cluster + 3, value) for cluster, value in rows]
    random.shuffle(shuffled)
    assert entropy(shuffled) == pytest.approx(entropy(rows), rel=1e-9, abs=1e-9)
    assert math.isfinite(entropy(rows))
    assert entropy(rows) >= 0


@given(
    batch=st.lists(st.lists(st.tuples(st.integers(0, 3), log_probs), min_size=1, max_size=9), min_size=1, max_size=6),
    estimator=st.sampled_from(list(ESTIMATORS)),
    mass=st.sampled_from(list(MASSES)),
    random=st.randoms(use_true_random=False),
)
def test_a_batch_is_its_groups_one_by_one(batch, estimator, mass, random) -> None:
    rows = [(f"prompt {p}", cluster, value) for p, group in enumerate(batch) for cluster, value in group]
    random.shuffle(rows)
    names, ids, values = zip(*rows, strict=True)
    together = group_entropy(names, ids, log_probs=values, estimator=estimator, mass=mass)
    for p, name in enumerate(dict.fromkeys(names)):
        group = batch[int(name.split()[1])]
        alone = semantic_entropy(
            [cluster for cluster, _ in group], log_probs=[v for _, v in group], estimator=estimator, mass=mass
        )
        assert together.entropy_P[p] == pytest.approx(alone, rel=1e-9, abs=1e-9)
        assert together.counted_P[p] == len(group)


def test_dropped_responses_take_no_part() -> None:
    groups = group_entropy(["a"] * 5, [0, DROPPED, 1, 0, DROPPED])
    assert groups.entropy_P[0] == pytest.approx(semantic_entropy([0, 1, 0]))
    assert groups.max_entropy_P[0] == pytest.approx(math.log(3))
    nobody = group_entropy(["a", "a"], [DROPPED, DROPPED], estimator="monte_carlo")
    assert nobody.entropy_P[0] == 0.0
    assert nobody.max_entropy_P[0] == 0.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cluster_ids": []}, "empty"),
        ({"cluster_ids": [0, 1], "estimator": "shannon"}, "rao_blackwell"),
        ({"cluster_ids": [0, 1], "mass": "counts"}, "likelihood"),
        ({"cluster_ids": [0, 1], "mass": "likelihood"}, "log-probability"),
        ({"cluster_ids": [0, 1], "mass": "likelihood", "log_probs": [0.0]}, "one number per response"),
        ({"cluster_ids": [0, 1], "mass": "likelihood", "log_probs": [0.0, float("nan")]}, r"log_probs\[1\]"),
        ({"cluster_ids": [0, 1], "mass": "likelihood", "log_probs": [-float("inf"), 0.0]}, r"log_probs\[0\]"),
        ({"cluster_ids": [0.0, 1.0]}, "integers"),
        ({"cluster_ids": [0, -2]}, "integers"),
    ],
)
def test_what_cannot_be_measured_is_an_error(arguments: dict, words: str) -> None:
    with pytest.raises((SeedGrpoError, UsageError), match=words):
        semantic_entropy(**arguments)


def test_huge_cluster_numbers_cost_nothing() -> None:
    assert semantic_entropy([2**62, 2**62, 5]) == pytest.approx(semantic_entropy([0, 0, 1]))


# ---- answers that were not seen -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        # C = 1: nothing was seen once. 2 · ½ ln 2 / (1 − ½⁸).
        ((4, 4), math.log(2) / (1 - 0.5**8)),
        # C = 7/8: p̃ = 49/64 and 7/64.
        (
            (7, 1),
            -49 / 64 * math.log(49 / 64) / (1 - (15 / 64) ** 8) - 7 / 64 * math.log(7 / 64) / (1 - (57 / 64) ** 8),
        ),
        # All seen once counts as all but one: C = 1/8, p̃ = 1/64.
        ((1,) * 8, 8 / 64 * math.log(64) / (1 - (63 / 64) ** 8)),
        ((8,), 0.0),
        ((1,), 0.0),
    ],
)
def test_chao_shen_by_hand(split: tuple[int, ...], expected: float) -> None:
    ids = [cluster for cluster, size in enumerate(split) for _ in range(size)]
    assert semantic_entropy(ids, estimator="chao_shen") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("split", "expected"),
    [((4, 4), 2.0), ((7, 1), 2 / (7 / 8)), ((1,) * 8, 64.0), ((6, 1, 1), 3 / (6 / 8)), ((3,), 1.0)],
)
def test_the_number_of_clusters_expected(split: tuple[int, ...], expected: float) -> None:
    """K / C, with the coverage C of Good and Turing."""
    ids = [cluster for cluster, size in enumerate(split) for _ in range(size)]
    assert group_entropy(["q"] * len(ids), ids).expected_clusters_P[0] == pytest.approx(expected)


def test_the_plug_in_is_too_low_in_small_groups_and_chao_shen_less_so() -> None:
    for name, masses in DISTRIBUTIONS.items():
        plug_in = [bias("rao_blackwell", masses, size) for size in (4, 8, 16, 64)]
        corrected = [bias("chao_shen", masses, size) for size in (4, 8, 16, 64)]
        assert plug_in == sorted(plug_in), name
        assert max(plug_in) < 0, name
        if len(masses) > 2:  # few answers are soon all seen
            assert all(abs(after) < abs(before) for before, after in zip(plug_in[1:], corrected[1:], strict=True)), name
        assert abs(corrected[-1]) < 0.08, name
