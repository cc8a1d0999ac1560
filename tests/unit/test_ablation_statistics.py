"""The statistics of a study: against scipy, against simulation, and where there is nothing to compute."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seed_grpo.ablation.statistics import (
    EXACT_SEEDS,
    LEVEL,
    bootstrap_coverage,
    compare,
    holm,
    paired,
    power,
    seeds_needed,
    share_error,
    sign_flip,
    smallest_visible,
    std_interval,
)
from seed_grpo.errors import SeedGrpoError
from seed_grpo.evaluation.metrics import bootstrap_interval

SHARES = st.integers(-258, 258).map(lambda k: k / 258)
DIFFERENCES = st.lists(SHARES, min_size=2, max_size=9)
P_VALUES = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12)


@given(DIFFERENCES)
def test_the_t_test_is_the_textbook_s(values: list[float]) -> None:
    found, n = paired(values), len(values)
    if found.std == 0:
        assert found.t_p is None
        assert found.t_interval is None
        assert found.bootstrap is None
        return
    mean, std = math.fsum(values) / n, float(np.std(values, ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * std / math.sqrt(n)
    assert found.t_p == pytest.approx(2 * stats.t.sf(abs(mean) / (std / math.sqrt(n)), n - 1), abs=1e-9)
    assert found.t_interval == pytest.approx((mean - half, mean + half))
    assert found.std == pytest.approx(std)


@given(st.lists(st.integers(-258, 258), min_size=1, max_size=8))
def test_the_sign_flip_test_counts_every_flip(problems: list[int]) -> None:
    """Against whole numbers, where outcomes are equal or not and nothing is rounded."""
    p, floor = sign_flip([k / 258 for k in problems])
    sums = [abs(sum(signed)) for signed in product(*((k, -k) for k in problems))]
    assert p == pytest.approx(sum(each >= abs(sum(problems)) for each in sums) / len(sums))
    assert floor == 2 / 2 ** len(problems)
    assert p >= floor


def test_a_sum_of_zero_but_for_rounding_is_no_evidence() -> None:
    assert sum([0.3, -0.1, -0.2]) != 0
    assert sign_flip([0.3, -0.1, -0.2])[0] == 1.0


def test_the_sign_flip_test_of_many_seeds_is_drawn_and_repeats_itself() -> None:
    values = np.random.default_rng(1).normal(0.4, 1, EXACT_SEEDS + 6)
    p, floor = sign_flip(values)
    assert (p, floor) == sign_flip(values)
    assert p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.03)
    assert floor == pytest.approx(1 / 2**EXACT_SEEDS)
    assert sign_flip(np.full(20, 1.0))[0] == pytest.approx(floor)


def test_all_differences_on_one_side_reach_the_floor() -> None:
    found = paired([0.01, 0.02, 0.03, 0.02, 0.04])
    assert found.sign_flip_p == found.sign_flip_floor == 0.0625


@pytest.mark.parametrize("n", [3, 5, 10])
def test_coverage(n: int) -> None:
    """Over studies of normal differences: t holds the truth in 95 %, the bootstrap in what we say it does."""
    random = np.random.default_rng(n)
    studies = [paired(random.normal(0.7, 1.3, n)) for _ in range(600)]
    t = np.mean([low <= 0.7 <= high for each in studies for low, high in [each.t_interval or (9, 9)]])
    bootstrap = np.mean([low <= 0.7 <= high for each in studies[:200] for low, high in [each.bootstrap or (9, 9)]])
    error = 3 * math.sqrt(0.95 * 0.05 / 600)
    assert abs(t - LEVEL) < error
    assert abs(bootstrap - bootstrap_coverage(n)) < 3 * math.sqrt(0.25 / 200)
    assert bootstrap_coverage(n) < LEVEL - 0.02


def test_the_bootstrap_comes_close_with_many_seeds() -> None:
    assert bootstrap_coverage(5) < 0.88
    assert bootstrap_coverage(100) == pytest.approx(LEVEL, abs=0.02)
    assert paired([0.1, 0.2, 0.4]).bootstrap == tuple(bootstrap_interval(np.array([0.1, 0.2, 0.4])))


@given(P_VALUES)
def test_holm(p_K: list[float | None]) -> None:
    corrected = holm(p_K)
    known = [(p, c) for p, c in zip(p_K, corrected, strict=True) if p is not None]
    assert [c is None for c in corrected] == [p is None for p in p_K]
    assert all(p <= c <= 1 for p, c in known)
    in_order = [c for _, c in sorted(known)]
    assert in_order == sorted(in_order)
    if known:
        assert min(c for _, c in known) == pytest.approx(min(1.0, len(known) * min(p for p, _ in known)))


def test_holm_by_hand() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]


@pytest.mark.parametrize(("effect", "n"), [(0.0, 5), (0.5, 5), (1.5, 5), (3.0, 3), (0.4, 40), (12.0, 2)])
def test_power_against_simulation(effect: float, n: int) -> None:
    random = np.random.default_rng(0)
    values = random.normal(effect * 2.0, 2.0, (40_000, n))
    seen = float(np.mean(stats.ttest_1samp(values, 0, axis=1).pvalue < 0.05))
    assert power(effect * 2.0, 2.0, n) == pytest.approx(seen, abs=4 * math.sqrt(0.25 / 40_000))


@given(st.floats(0, 1e3), st.floats(1e-3, 10), st.integers(2, 200))
def test_power_is_a_chance_and_grows(effect: float, std: float, n: int) -> None:
    here = power(effect, std, n)
    assert 0.05 - 1e-9 <= here <= 1
    assert power(effect, std, n + 5) >= here - 1e-9
    assert power(effect * 1.1, std, n) >= here - 1e-9


@given(st.floats(1e-3, 1), st.floats(1e-3, 0.1))
def test_the_seeds_needed_are_the_fewest(effect: float, std: float) -> None:
    n = seeds_needed(effect, std)
    assert n is not None
    assert power(effect, std, n) >= 0.8
    assert n == 2 or power(effect, std, n - 1) < 0.8


@given(st.floats(1e-4, 1), st.integers(2, 100))
def test_what_is_visible_is_seen(std: float, n: int) -> None:
    size = smallest_visible(std, n)
    assert size is not None
    assert power(size, std, n) == pytest.approx(0.8, abs=1e-6)
    needed = seeds_needed(size * (1 + 1e-6), std)
    assert needed == n


def test_textbook_numbers() -> None:
    # Cohen's d = 0.5: 34 pairs (G*Power's example); 1 unit at std 1: 10 pairs.
    assert seeds_needed(0.5, 1.0) == 34
    assert seeds_needed(1.0, 1.0) == 10
    low, high = std_interval(1.0, 5) or (0, 0)
    assert (low, high) == (pytest.approx(0.599, abs=1e-3), pytest.approx(2.874, abs=1e-3))
    assert share_error(0.7, 258) == pytest.approx(0.0559, abs=1e-4)


def test_where_there_is_nothing_to_compute() -> None:
    none = paired([])
    assert (none.n, none.mean, none.sign_flip_p) == (0, None, None)
    one = paired([0.02])
    assert (one.n, one.mean, one.std, one.t_interval, one.t_p) == (1, 0.02, None, None, None)
    assert (one.sign_flip_p, one.sign_flip_floor) == (1.0, 1.0)
    same = paired([0.0, 0.0, 0.0])
    assert (same.std, same.t_p, same.sign_flip_p) == (0.0, None, 1.0)
    # Three times the same difference, but for rounding.
    shifted = paired([0.3 - 0.2, 0.4 - 0.3, 0.1])
    assert (shifted.std, shifted.t_interval) == (0.0, None)
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(1e-9, 1.0) is None
    assert seeds_needed(0.1, 0.0) == 2
    assert smallest_visible(1.0, 1) is None
    assert smallest_visible(0.0, 5) == 0.0
    assert power(1.0, 1.0, 1) == 0.0
    assert std_interval(1.0, 1) is None


def test_pairs_are_of_one_seed() -> None:
    found, unpaired = compare({1: 0.5, 2: 0.7, 9: 0.1}, {2: 0.6, 1: 0.5, 4: 0.0})
    assert found.differences_S == (0.0, pytest.approx(0.1))
    assert unpaired == [4, 9]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(SeedGrpoError, match="seed 2"):
        compare({1: 0.5, 2: bad}, {1: 0.5})
