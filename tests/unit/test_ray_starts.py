"""A Ray that does not come up is started again; anything else that goes wrong is not."""

from __future__ import annotations

import pytest

from seed_grpo.training.driver import start_again
from seed_grpo.training.environment import NOT_UP, STARTS


class Starts:
    """Fails as often as it is told to, and counts."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error = failures, error
        self.tries = self.cleaned = 0

    def start(self) -> None:
        self.tries += 1
        if self.tries <= self.failures:
            raise self.error

    def clean_up(self) -> None:
        self.cleaned += 1


@pytest.mark.parametrize("failures", range(STARTS))
def test_it_is_started_again(failures: int) -> None:
    starts = Starts(failures, Exception(f"{NOT_UP}. This could happen because ..."))
    start_again(starts.start, starts.clean_up)
    assert (starts.tries, starts.cleaned) == (failures + 1, failures)


def test_not_for_ever() -> None:
    starts = Starts(STARTS, Exception(NOT_UP))
    with pytest.raises(Exception, match=NOT_UP):
        start_again(starts.start, starts.clean_up)
    assert starts.tries == STARTS


def test_another_error_is_final() -> None:
    starts = Starts(1, ValueError("num_cpus"))
    with pytest.raises(ValueError, match="num_cpus"):
        start_again(starts.start, starts.clean_up)
    assert starts.tries == 1


def test_the_words_are_those_of_ray() -> None:
    from pathlib import Path

    ray = pytest.importorskip("ray", reason="needs the extra `train`")
    source = (Path(ray.__file__).parent / "_private" / "node.py").read_text(encoding="utf-8")
    assert NOT_UP in source.replace('"\n                        "', "")
