"""Gold answers as parquet files hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from seed_grpo import grade_answer
from seed_grpo.errors import SeedGrpoError
from seed_grpo.verl_plugin.reward import gold_answer


def row(gold: Any) -> dict[str, Any]:
    return {"reward_model": {"style": "rule", "ground_truth": gold}}


@pytest.mark.parametrize("gold", [5, 5.0, np.int64(5), np.float32(5), "5", ["5"], np.array(["7", "5"], dtype=object)])
def test_numbers_are_answers_too(gold: Any) -> None:
    assert grade_answer("5", gold_answer(row(gold)))
    assert not grade_answer("6", gold_answer(row(gold)))


@pytest.mark.parametrize("gold", [None, "", [], True, np.array([])])
def test_a_row_without_a_gold_answer_is_named(gold: Any) -> None:
    with pytest.raises(SeedGrpoError, match="no gold answer"):
        gold_answer(row(gold))
