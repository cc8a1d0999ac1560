"""A run whose rollouts all fail ends with the first cause."""

from __future__ import annotations

import pytest

from seed_grpo.errors import SeedGrpoError, last_line
from seed_grpo.verl_plugin.failures import RolloutFailures


def test_single_failures_cost_themselves_alone() -> None:
    failures = RolloutFailures("vllm")
    for _ in range(10):
        failures.note(4, 3, ValueError("three of four"))
    failures.raise_after(1)


def test_failures_in_a_row_end_with_the_first_cause_and_the_engine() -> None:
    failures = RolloutFailures("vllm")
    failures.note(2, 2, RuntimeError("Traceback …\n\nthe engine core died\n"))
    failures.raise_after(3)
    failures.note(2, 2, RuntimeError("a later one"))
    with pytest.raises(SeedGrpoError, match=r"vllm failed on 4 prompts in a row: RuntimeError: the engine core died\."):
        failures.raise_after(3)


def test_a_success_forgets_what_was_before() -> None:
    failures = RolloutFailures("hf")
    failures.note(2, 2, RuntimeError("old"))
    failures.note(2, 1, RuntimeError("half"))
    failures.raise_after(1)
    failures.note(1, 1, RuntimeError("new"))
    with pytest.raises(SeedGrpoError, match="new"):
        failures.raise_after(1)


def test_an_error_of_ours_keeps_its_remedy() -> None:
    failures = RolloutFailures("hf")
    failures.note(1, 1, SeedGrpoError("A row has no gold answer.", "prepare the data."))
    with pytest.raises(SeedGrpoError) as raised:
        failures.raise_after(1)
    assert (raised.value.cause, raised.value.remedy) == ("A row has no gold answer.", "prepare the data.")


def test_an_error_without_a_message_has_a_line() -> None:
    assert last_line(KeyError()) == "KeyError: no message"
