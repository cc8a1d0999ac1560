"""The weights of prompts, side by side: numbers worked out by hand, and what holds for each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from seed_grpo import seed_grpo_advantages
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.method.advantage import PromptWeights, prompt_weights
from seed_grpo.method.groups import Groups
from seed_grpo.method.settings import MethodSettings
from seed_grpo.method.weights import WEIGHTS, default_parameters, may_exceed_one
from seed_grpo.settings import Settings, default_node

batches = st.lists(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.integers(0, 4)), min_size=1, max_size=8), min_size=1, max_size=5
)


def weigh(batch: list[list[tuple[float, int]]], names: list[str], **settings: Any) -> PromptWeights:
    rewards, clusters = zip(*(pair for group in batch for pair in group), strict=True)
    groups = Groups.of([prompt for prompt, group in enumerate(batch) for _ in group])
    return prompt_weights(rewards, groups, clusters, MethodSettings(weights=tuple(names), **settings))


def right(count: int, size: int = 8) -> list[tuple[float, int]]:
    """A group of `size` responses, of which the first `count` are right."""
    return [(float(row < count), int(row < count)) for row in range(size)]


# ---- by hand --------------------------------------------------------------------------------------------------------

# Groups of 8 with 1, 4 and 7 right. σ² = 8 · r̄(1 − r̄) / 7; Σ|r − r̄| = 16 · r̄(1 − r̄).
BY_HAND = {
    "none": (1.0, 1.0, 1.0),
    # Eq. 5 of 1–7, 4–4 and 7–1, over log 8, at α = 0.02.
    "uncertainty": tuple(1 - 0.02 * x / math.log(8) for x in (math.log(64 / 7) / 2, math.log(2), math.log(64 / 7) / 2)),
    "inverse_std": tuple(1 / (s + 1e-6) for s in (math.sqrt(1 / 8), math.sqrt(2 / 7), math.sqrt(1 / 8))),
    "inverse_mean": (8.0, 2.0, 8 / 7),
    "inverse_mad": (8 / 1.7501, 8 / 4.0001, 8 / 1.7501),
    # 3 · softmax of −1/16, −4/16, −7/16.
    "difficulty": tuple(3 * math.exp(-k / 16) / sum(math.exp(-j / 16) for j in (1, 4, 7)) for k in (1, 4, 7)),
    # KL(1/8 ‖ 1/2) = ln 2 + 1/8 ln 1/8 + 7/8 ln 7/8.
    "target_rate": (0.5 * 8**0.125 * (8 / 7) ** 0.875, 1.0, 0.5 * 8**0.125 * (8 / 7) ** 0.875),
    "learnability": (7 / 16, 1.0, 7 / 16),
    "entropy_band": (1.0, 1.0, 1.0),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_by_hand(name: str) -> None:
    weights = weigh([right(1), right(4), right(7)], [name])
    np.testing.assert_allclose(weights.weight_P, BY_HAND[name], rtol=1e-12)


def test_parameters_act() -> None:
    batch = [right(2), right(4)]
    hard, easy = weigh(batch, ["difficulty"], weight_parameters={"difficulty": {"temperature": 0.1}}).weight_P
    assert hard / easy == pytest.approx(math.exp(0.25 / 0.1))
    peak, beside = weigh(
        batch, ["target_rate"], weight_parameters={"target_rate": {"target": 0.25, "strength": 3.0}}
    ).weight_P
    assert peak == pytest.approx(1.0)
    assert beside == pytest.approx(math.exp(-3 * (0.5 * math.log(2) + 0.5 * math.log(2 / 3))))


def test_an_entropy_band_leaves_prompts_out() -> None:
    """4–4 has a third of the maximum under Eq. 5, 7–1 more than half."""
    batch = [right(1), right(4), right(8)]
    kept = weigh(batch, ["entropy_band"], weight_parameters={"entropy_band": {"low": 0.1, "high": 0.4}}).weight_P
    assert kept.tolist() == [0.0, 1.0, 0.0]


def test_several_multiply() -> None:
    batch = [right(1), right(4), right(7)]
    together = weigh(batch, ["inverse_mad", "difficulty"])
    np.testing.assert_allclose(
        together.weight_P, np.multiply(BY_HAND["inverse_mad"], BY_HAND["difficulty"]), rtol=1e-12
    )
    assert list(together.weight_by_name) == ["inverse_mad", "difficulty"]


def test_maxrl_of_one_right_response_of_four() -> None:
    """(r − r̄) / r̄: 3, −1, −1, −1."""
    got = seed_grpo_advantages([1, 0, 0, 0], ["q"] * 4, [0, 1, 2, 3], weights=["inverse_mean"])
    np.testing.assert_allclose(got, [3, -1, -1, -1])


# ---- what holds for each --------------------------------------------------------------------------------------------


@given(batch=batches, name=st.sampled_from(list(WEIGHTS)), random=st.randoms(use_true_random=False))
def test_weights_are_finite_and_know_no_order(batch: list, name: str, random) -> None:
    weights = weigh(batch, [name])
    assert np.isfinite(weights.weight_P).all()
    assert (weights.weight_P >= 0).all()
    if not WEIGHTS[name].exceeds_one:
        assert (weights.weight_P <= 1).all()
    shuffled = [random.sample(group, len(group)) for group in batch]
    np.testing.assert_allclose(weigh(shuffled, [name]).weight_P, weights.weight_P, rtol=1e-9)
    back = weigh(batch[::-1], [name]).weight_P[::-1]
    np.testing.assert_allclose(back, weights.weight_P, rtol=1e-9)


@given(size=st.integers(1, 9), reward=st.sampled_from([0.0, 1.0]), name=st.sampled_from(list(WEIGHTS)))
def test_a_group_of_one_opinion_teaches_nothing(size: int, reward: float, name: str) -> None:
    got = seed_grpo_advantages(
        [reward] * size + [1.0, 0.0], ["same"] * size + ["mixed"] * 2, [*range(size), 0, 1], weights=[name]
    )
    assert not got[:size].any()
    assert got[size] > 0 > got[size + 1]


@given(batch=batches, factor=st.floats(0.01, 100), name=st.sampled_from(["inverse_std", "inverse_mad"]))
def test_what_divides_by_the_spread_does_not_see_the_scale(batch: list, factor: float, name: str) -> None:
    rewards, clusters = zip(*(pair for group in batch for pair in group), strict=True)
    prompts = [prompt for prompt, group in enumerate(batch) for _ in group]
    plain = seed_grpo_advantages(rewards, prompts, clusters, weights=[name])
    scaled = seed_grpo_advantages(np.multiply(rewards, factor), prompts, clusters, weights=[name])
    np.testing.assert_allclose(scaled, plain, rtol=0.05)  # but for the constants in the denominators


@given(batch=batches)
def test_difficulty_is_one_on_average(batch: list) -> None:
    weights = weigh(batch, ["difficulty"])
    if weights.statistics.mixed_P.any():
        assert weights.weight_P[weights.statistics.mixed_P].mean() == pytest.approx(1.0)


def test_harder_prompts_count_for_more() -> None:
    for name in ("inverse_mean", "difficulty"):
        weight_P = weigh([right(count) for count in range(1, 8)], [name]).weight_P
        assert (np.diff(weight_P) < 0).all(), name


# ---- what cannot be -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"weights": []}, "uncertainty"),
        ({"weights": "uncertainty"}, r"\[uncertainty\]"),
        ({"weights": None}, r"\[uncertainty\]"),
        ({"weights": ["inverse_sdt"]}, "inverse_std"),
        ({"weights": ["uncertainty", "uncertainty"]}, "twice"),
        ({"weights": [3]}, "choose one of"),
        ({"weight_parameters": {"difficulty": {"temperature": 0}}}, "temperature"),
        ({"weight_parameters": {"difficulty": {"temperature": -1.0}}}, "temperature"),
        ({"weight_parameters": {"difficulty": {"temperature": None}}}, "temperature"),
        ({"weight_parameters": {"difficulty": {"heat": 1}}}, "there are temperature"),
        ({"weight_parameters": {"difficulty": 2}}, "temperature by name"),
        ({"weight_parameters": {"inverse_std": {}}}, "difficulty"),
        ({"weight_parameters": {"target_rate": {"target": 1.0}}}, "between 0 and 1"),
        ({"weight_parameters": {"target_rate": {"target": 0}}}, "between 0 and 1"),
        ({"weight_parameters": {"target_rate": {"strength": -1}}}, "strength"),
        ({"weight_parameters": None}, "by weight"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Settings.from_config(settings)


@pytest.mark.parametrize(
    ("name", "reward", "words"),
    [("inverse_mean", 0.5, "inverse_mean"), ("inverse_mean", -1.0, "0 and 1"), ("learnability", 1.5, "learnability"),
     ("target_rate", -0.5, "target_rate")],
)  # fmt: skip
def test_rewards_that_a_weight_cannot_take_are_refused(name: str, reward: float, words: str) -> None:
    with pytest.raises(SeedGrpoError, match=words):
        seed_grpo_advantages([reward, 1.0], ["q", "q"], [0, 1], weights=[name])


# ---- settings -------------------------------------------------------------------------------------------------------


def test_settings_come_from_a_configuration() -> None:
    node = OmegaConf.create(default_node())
    node.weights = ["inverse_mad", "difficulty"]
    node.weight_parameters.difficulty.temperature = 0.5
    settings = Settings.from_config(node)
    assert settings.weights == ("inverse_mad", "difficulty")
    assert settings.parameters_of("difficulty").temperature == 0.5
    assert settings.parameters_of("target_rate") == WEIGHTS["target_rate"].parameters()
    assert Settings.from_config(settings.as_dict()) == settings


def test_an_older_runs_settings_still_say_uncertainty() -> None:
    settings = Settings.from_config({"alpha": 0.1, "form": "focal"})
    assert settings.weights == ("uncertainty",)
    assert settings.weight_parameters == default_parameters()


def test_which_weights_can_exceed_one() -> None:
    assert may_exceed_one(("uncertainty",), "linear_up")
    assert may_exceed_one(("uncertainty", "inverse_std"), "linear")
    assert not may_exceed_one(("uncertainty", "learnability"), "linear")
