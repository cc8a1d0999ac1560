"""A finished response as the method sees it: its answer, and a reward of 0 or 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seed_grpo.meaning.answers import extract_answer
from seed_grpo.meaning.equivalence import grade_answer


@dataclass(frozen=True)
class Verdict:
    """What became of a response.

    Attributes:
        answer: its final answer as written; None when there is none, or when the response was cut off.
        reward: 1.0 if the answer equals the gold answer, else 0.0.
        truncated: whether the response was cut off at the length limit.
    """

    answer: str | None
    reward: float
    truncated: bool


def score_response(
    response: str, gold: str | float | Sequence[str] | None, *, truncated: bool, template: str, level: str
) -> Verdict:
    """Extract and grade the answer of one response.

    A response that was cut off gets reward 0 (Dr.GRPO's rule) and counts as one without an answer: a box in its
    unfinished text is not its final answer, and a rewarded and an unrewarded response must never share a cluster.
    Without a gold answer the reward is 0.
    """
    answer = None if truncated else extract_answer(response, template=template)
    correct = answer is not None and gold is not None and grade_answer(answer, gold, level=level)
    return Verdict(answer=answer, reward=float(correct), truncated=truncated)
