"""Meaning by the final answer: responses mean the same if their answers have equal keys at one of three levels."""

from __future__ import annotations

from seed_grpo.meaning.equivalence import cluster_keys, shared_keyer
from seed_grpo.meaning.protocol import Groups


class ByAnswer:
    """A `Meaning` over answer keys; the levels `exact` (the paper's), `normalized` and `symbolic`.

    Args:
        level: when two answers are the same.
        no_answer: what becomes of a response without an answer, as for `cluster_answers`.
    """

    needs_text = False

    def __init__(self, level: str, no_answer: str = "singleton") -> None:
        self._level = level
        self._no_answer = no_answer

    def clusters(self, groups: Groups) -> list[list[int]]:
        """As `Meaning.clusters`; the keys of all answers are computed together."""
        keys = iter(shared_keyer().keys([sample.answer for group in groups for sample in group], self._level))
        return [cluster_keys([next(keys) for _ in group], no_answer=self._no_answer) for group in groups]

    def take_counts(self) -> dict[str, int]:
        """Fall-backs of the keyer that clusters and rewards share."""
        return shared_keyer().take_counts()
