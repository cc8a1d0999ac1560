"""A measured batch: its metrics and records by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seed_grpo.errors import SeedGrpoError
from seed_grpo.method import DROPPED
from seed_grpo.method.batch import MeasuredBatch, measure_batch
from seed_grpo.method.groups import Groups
from seed_grpo.method.settings import MethodSettings

SETTINGS = MethodSettings(alpha=1.0, estimator="rao_blackwell")


def batch() -> MeasuredBatch:
    """p: right, right, wrong, none (3 clusters of 4); q: all wrong in one cluster; their rows alternate."""
    return measure_batch(
        ["p", "q", "p", "q", "p", "p"],
        ["1", "5", "1", "5", "2", None],
        [0, 0, 0, 0, 1, 2],
        [1.0, 0.0, 1.0, 0.0, 0.0, 0.0],
        SETTINGS,
    )


def test_groups_are_numbered_by_first_appearance() -> None:
    groups = Groups.of(np.array([7, 3, 7, 7]))
    assert groups.ids == [7, 3]
    assert groups.size_P.tolist() == [3, 1]
    assert [rows.tolist() for rows in groups.rows_P] == [[0, 2, 3], [1]]
    np.testing.assert_allclose(groups.mean(np.array([1.0, 5.0, 2.0, 3.0])), [2.0, 5.0])
    with pytest.raises(SeedGrpoError, match="empty"):
        Groups.of([])


def test_metrics_by_hand() -> None:
    entropy = -(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25))
    weight = 1 - entropy / math.log(4)
    metrics = batch().metrics()
    assert metrics["train/accuracy"] == pytest.approx(2 / 6)
    assert metrics["seed_grpo/entropy"] == pytest.approx(entropy / 2)
    assert metrics["seed_grpo/entropy_mixed"] == pytest.approx(entropy)
    assert metrics["seed_grpo/weight"] == pytest.approx((weight + 1) / 2)
    assert metrics["seed_grpo/weight_mixed"] == pytest.approx(weight)
    assert metrics["seed_grpo/weight_mixed_spread"] == 0
    assert metrics["seed_grpo/clusters"] == 2
    assert metrics["seed_grpo/mixed_share"] == 0.5
    assert metrics["seed_grpo/no_answer_share"] == pytest.approx(1 / 6)
    assert metrics["seed_grpo/half_rewarded_share"] == 0
    assert "seed_grpo/entropy_accuracy_correlation" not in metrics  # two prompts are too few


def test_without_a_mixed_prompt_there_are_no_numbers_of_mixed_prompts() -> None:
    metrics = measure_batch(["p", "p"], ["1", "2"], [0, 1], [1.0, 1.0], SETTINGS).metrics()
    assert metrics["seed_grpo/mixed_share"] == 0
    assert not any("mixed" in name for name in metrics if name != "seed_grpo/mixed_share")


def test_a_cluster_of_right_and_wrong_responses_is_counted() -> None:
    measured = measure_batch(["p"] * 4, ["1"] * 4, [0, 0, 1, DROPPED], [1.0, 0.0, 0.0, 1.0], SETTINGS)
    assert measured.metrics()["seed_grpo/half_rewarded_share"] == 0.5


def test_records_keep_the_order_of_prompts_and_responses() -> None:
    first, second = batch().records()
    assert (first["uid"], first["G"], first["K"]) == ("p", 4, 3)
    assert first["answers"] == ["1", "1", "2", None]
    assert first["cluster_ids"] == [0, 0, 1, 2]
    assert first["rewards"] == [1.0, 1.0, 0.0, 0.0]
    assert first["max_entropy"] == pytest.approx(math.log(4))
    assert (second["uid"], second["accuracy"], second["weight"]) == ("q", 0.0, 1.0)
