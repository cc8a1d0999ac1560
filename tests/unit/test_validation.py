"""Validation with several samples: pass@k, the right answers that a model knows, and when a run's own labels part
from the truth."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seed_grpo.errors import UsageError
from seed_grpo.meaning.by_answer import ByAnswer
from seed_grpo.runs.label_turn import OWN, TRUE, label_turn
from seed_grpo.training.compose import compose_config
from seed_grpo.training.preflight import check_validation
from seed_grpo.validation import validation_metrics

NORMALIZED = ByAnswer("normalized", "singleton")


def test_numbers_by_hand() -> None:
    """Three prompts of four samples: four right answers of three kinds, one right, none."""
    uids = [*"aaaabbbbcccc"]
    right = [1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0]
    answers = ["1+6", "2+5", "3+4", "1+6", "1+1", "3+4", None, "9", *"1234"]
    found = validation_metrics(uids, right, answers, NORMALIZED)
    assert found["val/pass@1"] == pytest.approx(5 / 12)
    assert found["val/pass@4"] == pytest.approx(2 / 3)
    assert found["val/distinct_right"] == pytest.approx((3 + 1 + 0) / 3)
    assert found["val/entropy_right"] == pytest.approx((0.5 * math.log(2) + 2 * 0.25 * math.log(4)) / 2)


def test_one_sample_a_prompt_says_nothing_of_it() -> None:
    assert validation_metrics([*"abc"], [1, 0, 1], [*"123"], NORMALIZED) == {}


def test_nothing_right() -> None:
    found = validation_metrics([*"aabb"], [0] * 4, [None] * 4, NORMALIZED)
    assert found == {"val/pass@1": 0.0, "val/pass@2": 0.0, "val/distinct_right": 0.0}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.sampled_from("1234")), min_size=2, max_size=40))
def test_bounds(rows: list[tuple[str, bool, str]]) -> None:
    uids, right, answers = zip(*rows, strict=True)
    found = validation_metrics(uids, right, answers, NORMALIZED)
    if not found:
        return
    k = max(uids.count(uid) for uid in uids)
    assert 0 <= found["val/pass@1"] <= found[f"val/pass@{k}"] <= 1
    assert found[f"val/pass@{k}"] <= found["val/distinct_right"] <= min(k, 4)
    assert 0 <= found.get("val/entropy_right", 0) <= math.log(4) + 1e-9


@pytest.mark.parametrize(
    ("overrides", "refused"),
    [
        (["n=8"], True),
        (["n=8", "do_sample=true"], True),
        (["n=8", "temperature=1"], True),
        (["n=8", "temperature=1", "do_sample=true"], False),
        (["n=1"], False),
    ],
)
def test_several_greedy_samples_are_refused(overrides: list[str], refused: bool) -> None:
    keys = [f"actor_rollout_ref.rollout.val_kwargs.{override}" for override in overrides]
    config = compose_config(["experiment=quickstart", *keys])
    if refused:
        with pytest.raises(UsageError, match="the same response 8 times"):
            check_validation(config)
    else:
        check_validation(config)


# ---- labels of a run's own -----------------------------------------------------------------------------------------


def steps(true: list[float], own: list[float]) -> list[dict[str, Any]]:
    return [{"step": n, TRUE: t, OWN: o} for n, (t, o) in enumerate(zip(true, own, strict=True), start=1)]


def test_the_turn_of_a_run_that_fools_itself() -> None:
    rise, fall = [0.4 + 0.02 * n for n in range(10)], [0.58 - 0.03 * n for n in range(10)]
    found = label_turn(steps(rise + fall, [0.5 + 0.02 * n for n in range(20)]))
    assert found is not None
    assert 10 <= found["step"] <= 14  # the mean of five steps turns a little later than the steps
    assert found["accuracy_last"] < found["accuracy"] - 0.05
    assert found["reward_last"] > found["reward"]


@pytest.mark.parametrize(
    ("true", "own"),
    [
        ([0.4 + 0.02 * n for n in range(20)], [0.5 + 0.02 * n for n in range(20)]),  # both rise
        ([0.8 - 0.02 * n for n in range(20)], [0.9 - 0.02 * n for n in range(20)]),  # both fall
        ([0.5, 0.52, 0.49, 0.51] * 5, [0.5 + 0.02 * n for n in range(20)]),  # noise
        ([0.5, 0.1], [0.5, 0.9]),  # too few steps
    ],
)
def test_no_turn(true: list[float], own: list[float]) -> None:
    assert label_turn(steps(true, own)) is None


def test_a_run_without_golds_has_no_turn() -> None:
    assert label_turn([{"step": n, OWN: n / 20} for n in range(20)]) is None
