"""Rewards that a group gives itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seed_grpo.errors import UsageError
from seed_grpo.method import DROPPED
from seed_grpo.method.batch import measure_batch
from seed_grpo.method.labels import LABELS, cluster_share, majority
from seed_grpo.method.settings import MethodSettings
from seed_grpo.settings import Settings
from seed_grpo.training.compose import compose_config
from seed_grpo.training.preflight import check_method


def labels(name: str, ids: list[int], answered: list[bool] | None = None) -> list[float]:
    return LABELS[name](np.array(ids), np.array(answered or [True] * len(ids))).tolist()


@pytest.mark.parametrize(
    ("ids", "shares", "votes"),
    [
        ([0, 0, 1, 2], [0.5, 0.5, 0.25, 0.25], [1, 1, 0, 0]),
        ([0, 1, 1, 1], [0.25, 0.75, 0.75, 0.75], [0, 1, 1, 1]),
        ([0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5], [0, 0, 0, 0]),  # a tie is no majority
        ([0, 1, 2], [1 / 3] * 3, [0, 0, 0]),
        ([0], [1.0], [1]),
    ],
)
def test_by_hand(ids: list[int], shares: list[float], votes: list[float]) -> None:
    assert labels("cluster_share", ids) == pytest.approx(shares)
    assert labels("majority", ids) == votes


def test_no_answer_is_never_rewarded() -> None:
    """Three without an answer, in one cluster, do not outvote two that agree."""
    ids, answered = [0, 0, 0, 1, 1], [False, False, False, True, True]
    assert labels("majority", ids, answered) == [0, 0, 0, 1, 1]
    assert labels("cluster_share", ids, answered) == pytest.approx([0, 0, 0, 0.4, 0.4])
    assert labels("cluster_share", [DROPPED, 0], [False, True]) == pytest.approx([0, 0.5])
    assert labels("majority", [0, 0], [False, False]) == [0, 0]


@given(
    rows=st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=12),
    name=st.sampled_from(list(LABELS)), random=st.randoms(use_true_random=False),
)  # fmt: skip
def test_the_order_of_responses_does_not_matter(rows: list, name: str, random) -> None:
    # As meanings give them: a response without an answer shares no cluster with one that has one.
    rows = [(2 * cluster + answered, answered) for cluster, answered in rows]
    order = random.sample(range(len(rows)), len(rows))
    plain = labels(name, [row[0] for row in rows], [row[1] for row in rows])
    shuffled = labels(name, [rows[i][0] + 5 for i in order], [rows[i][1] for i in order])
    assert shuffled == pytest.approx([plain[i] for i in order])
    assert all(0 <= label <= 1 for label in plain)
    # A cluster is rewarded as a whole.
    assert all(len({label for row, label in zip(rows, plain, strict=True) if row == each}) == 1 for each in rows)


def test_the_majority_is_the_largest_share() -> None:
    ids, answered = np.array([0, 0, 0, 1, 1, 2]), np.ones(6, dtype=bool)
    assert (majority(ids, answered) > 0).tolist() == (cluster_share(ids, answered) == 0.5).tolist()


def test_metrics_tell_labels_from_truth() -> None:
    """The first prompt's majority is right, the second's wrong; the third has no majority."""
    uids, ids = list("aaabbbcc"), [0, 0, 1, 0, 0, 1, 0, 1]
    rewards, true = [1, 1, 0, 1, 1, 0, 0, 0], [1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0]
    measured = measure_batch(uids, ["x"] * 8, ids, rewards, MethodSettings())
    metrics = measured.label_metrics(true)
    assert metrics["seed_grpo/labels/reward"] == pytest.approx(4 / 8)
    assert metrics["seed_grpo/labels/true_accuracy"] == metrics["train/accuracy"] == pytest.approx(4 / 8)
    assert metrics["seed_grpo/labels/label_accuracy"] == pytest.approx(1 / 3)
    assert metrics["seed_grpo/labels/largest_cluster_share"] == pytest.approx((2 / 3 + 2 / 3 + 1 / 2) / 3)
    without = measured.label_metrics([None, *true[1:]])
    assert set(without) == {"seed_grpo/labels/reward", "seed_grpo/labels/largest_cluster_share"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"labels": "votes"}, "majority"),
        ({"labels": "majority", "votes": 1}, "at least 2"),
        ({"labels": "majority", "votes": 8.0}, "whole number"),
        ({"labels": "cluster_share", "votes": 8}, "labels=majority"),
        ({"votes": 8}, "labels=majority"),
        ({"weight_parameters": {"entropy_band": {"low": 0.9, "high": 0.1}}}, "0 <= low < high <= 1"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Settings.from_config(settings)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["baseline=ttrl", "seed_grpo.votes=4"], "less than actor_rollout_ref.rollout.n=8"),
        (["baseline=empo", "actor_rollout_ref.rollout.agent.agent_loop_manager_class=null"], "whole groups"),
        (["baseline=mgpo", "algorithm.norm_adv_by_std_in_grpo=true"], "both divide"),
    ],
)
def test_runs_that_cannot_be(overrides: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_method(compose_config(["experiment=quickstart", *overrides]))
