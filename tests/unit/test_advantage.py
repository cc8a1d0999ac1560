"""Advantages (Eq. 1 and 6) and the settings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seed_grpo import seed_grpo_advantages, semantic_entropy, uncertainty_weight
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.method.advantage import prompt_weights
from seed_grpo.method.groups import Groups
from seed_grpo.method.settings import MethodSettings
from seed_grpo.settings import Settings

batches = st.lists(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.integers(0, 4)), min_size=1, max_size=8), min_size=1, max_size=5
)


def flatten(batch: list) -> tuple[list[float], list[int], list[int]]:
    rows = [(reward, prompt, cluster) for prompt, group in enumerate(batch) for reward, cluster in group]
    return tuple(map(list, zip(*rows, strict=True)))  # type: ignore[return-value]


def test_one_group_by_hand() -> None:
    rewards, ids = [1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 2, 3, 4, 5]
    weight = 1 - 0.5 * semantic_entropy(ids) / math.log(8)
    expected = (np.array(rewards) - 0.25) * weight
    np.testing.assert_allclose(seed_grpo_advantages(rewards, ["q"] * 8, ids, alpha=0.5), expected, rtol=1e-12)


@given(batch=batches, alpha=st.floats(0, 1), random=st.randoms(use_true_random=False))
def test_shuffling_the_rows_shuffles_the_advantages(batch: list, alpha: float, random) -> None:
    rewards, prompts, clusters = flatten(batch)
    order = list(range(len(rewards)))
    random.shuffle(order)
    straight = seed_grpo_advantages(rewards, prompts, clusters, alpha=alpha)
    shuffled = seed_grpo_advantages(
        [rewards[i] for i in order], [prompts[i] for i in order], [clusters[i] for i in order], alpha=alpha
    )
    np.testing.assert_allclose(shuffled, straight[order], rtol=1e-9, atol=1e-12)


@given(batch=batches, form=st.sampled_from(["linear", "exponential", "focal", "reciprocal"]))
def test_each_prompt_is_its_plain_advantages_times_its_weight(batch: list, form: str) -> None:
    rewards, prompts, clusters = flatten(batch)
    got = seed_grpo_advantages(rewards, prompts, clusters, alpha=0.7, form=form)
    at = 0
    for group in batch:
        rewards_G = np.array([reward for reward, _ in group])
        weight = uncertainty_weight(
            semantic_entropy([cluster for _, cluster in group]), math.log(len(group)), alpha=0.7, form=form
        )
        np.testing.assert_allclose(got[at : at + len(group)], (rewards_G - rewards_G.mean()) * weight, atol=1e-12)
        at += len(group)


@given(batch=batches)
def test_switched_off_is_exactly_plain_grpo(batch: list) -> None:
    rewards, prompts, clusters = flatten(batch)
    off = seed_grpo_advantages(rewards, prompts, clusters, enabled=False, alpha=0.9)
    zero = seed_grpo_advantages(rewards, prompts, clusters, alpha=0)
    assert off.tolist() == zero.tolist()
    means = {p: np.mean([r for r, q in zip(rewards, prompts, strict=True) if q == p]) for p in prompts}
    np.testing.assert_allclose(zero, [r - means[p] for r, p in zip(rewards, prompts, strict=True)], atol=1e-12)


def test_agreed_groups_have_no_advantage_whatever_their_entropy() -> None:
    assert not seed_grpo_advantages([0] * 4, ["q"] * 4, [0, 1, 2, 3], alpha=1.0).any()


def test_a_clipped_ratio_is_reported() -> None:
    settings = MethodSettings(mass="likelihood", alpha=1.0)
    weights = prompt_weights([1.0, 0.0], Groups.of(["q", "q"]), [0, 1], settings, log_probs=[-1.0, -500.0])
    assert weights.clipped_P.tolist() == [True]
    assert weights.weight_P.tolist() == [0.0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rewards": [1.0, float("nan")]}, r"rewards\[1\]"),
        ({"rewards": [1.0]}, "one reward per response"),
        ({"alhpa": 0.5}, "alpha"),
        ({"alpha": 2.0}, "alpha"),
        ({"estimator": "nope"}, "monte_carlo"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, words: str) -> None:
    with pytest.raises((SeedGrpoError, UsageError), match=words):
        seed_grpo_advantages(**{"rewards": [1.0, 0.0], "group_ids": ["q", "q"], "cluster_ids": [0, 1], **arguments})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cluster_level": "fuzzy"}, "exact"),
        ({"no_answer": "ignore"}, "singleton"),
        ({"enabled": "yes"}, "true or false"),
        ({"cluster_level": "symbolic", "grade_level": "exact"}, "half rewarded"),
    ],
)
def test_settings_that_cannot_be(settings: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Settings.from_config(settings)


def test_the_defaults_are_the_papers() -> None:
    settings = Settings.from_config(None)
    assert (settings.alpha, settings.form, settings.estimator, settings.mass, settings.meaning) == (
        0.02,
        "linear",
        "monte_carlo",
        "count",
        "exact",
    )
