"""The forms of f."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seed_grpo import uncertainty_weight
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.method.weighting import FORMS, exceeds_maximum

unit = st.floats(0, 1, allow_nan=False)
FALLING = [name for name, form in FORMS.items() if not form.rises]
RISING = [name for name, form in FORMS.items() if form.rises]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("linear", 0.75),
        ("exponential", math.exp(-0.25)),
        ("focal", 0.75**2),
        ("reciprocal", 0.8),
        ("linear_up", 1.25),
        ("exponential_up", math.exp(0.25)),
    ],
)
def test_formulas(form: str, expected: float) -> None:
    assert uncertainty_weight(1.0, 2.0, alpha=0.5, form=form) == pytest.approx(expected, abs=1e-15)


def test_focal_takes_its_exponent() -> None:
    assert uncertainty_weight(1.0, 1.0, alpha=0.5, form="focal", gamma=3.0) == pytest.approx(0.125)


@given(ratio=unit, alpha=unit, form=st.sampled_from(FALLING), gamma=st.floats(0, 10))
def test_weights_lie_between_zero_and_one(ratio: float, alpha: float, form: str, gamma: float) -> None:
    weight = uncertainty_weight(ratio * math.log(8), math.log(8), alpha=alpha, form=form, gamma=gamma)
    assert 0.0 <= weight <= 1.0


@given(low=unit, high=unit, alpha=unit, form=st.sampled_from(FALLING))
def test_more_uncertainty_never_weighs_more(low: float, high: float, alpha: float, form: str) -> None:
    low, high = sorted((low, high))
    assert uncertainty_weight(low, 1.0, alpha=alpha, form=form) >= uncertainty_weight(high, 1.0, alpha=alpha, form=form)


@given(low=unit, high=unit, alpha=unit, form=st.sampled_from(RISING))
def test_the_forms_that_rise_never_weigh_less(low: float, high: float, alpha: float, form: str) -> None:
    low, high = sorted((low, high))
    lower, higher = (uncertainty_weight(entropy, 1.0, alpha=alpha, form=form) for entropy in (low, high))
    assert 1.0 <= lower <= higher <= math.e


@given(entropy=st.floats(0, 10), form=st.sampled_from(list(FORMS)))
def test_alpha_zero_is_exactly_one(entropy: float, form: str) -> None:
    assert uncertainty_weight(entropy, math.log(8), alpha=0, form=form) == 1.0


def test_at_the_papers_alpha_the_forms_hardly_differ() -> None:
    """Its Table 4c cannot come from the form at equal alpha."""
    for entropy in np.linspace(0, math.log(8), 50):
        weights = [
            uncertainty_weight(entropy, math.log(8), alpha=0.02, form=form)
            for form in ("linear", "exponential", "reciprocal")
        ]
        assert min(weights) >= 0.98
        assert max(weights) - min(weights) < 4e-4


def test_a_single_response_weighs_one() -> None:
    assert uncertainty_weight(0.0, 0.0, alpha=1.0) == 1.0


def test_an_entropy_above_its_maximum_counts_as_the_maximum() -> None:
    assert uncertainty_weight(3.0, 2.0, alpha=1.0) == 0.0
    assert exceeds_maximum(np.array([3.0, 2.0]), np.array([2.0, 2.0])).tolist() == [True, False]


def test_arrays_give_arrays() -> None:
    weights_P = uncertainty_weight(np.array([0.0, 1.0]), np.array([2.0, 2.0]), alpha=0.5)
    assert weights_P.tolist() == [1.0, 0.75]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"alpha": -0.1}, "alpha"),
        ({"alpha": 1.1}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"alpha": "0.1"}, "alpha"),
        ({"alpha": True}, "alpha"),
        ({"form": "cubic"}, "linear"),
        ({"gamma": -1.0}, "gamma"),
    ],
)
def test_settings_out_of_range_are_named(arguments: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        uncertainty_weight(1.0, 2.0, **arguments)


@pytest.mark.parametrize("entropy", [-1.0, float("nan"), float("inf")])
def test_an_entropy_that_is_no_entropy_is_an_error(entropy: float) -> None:
    with pytest.raises(SeedGrpoError, match="entropy"):
        uncertainty_weight(entropy, 2.0)
