"""Two graders on the same responses: both accuracies, and every response on which they disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seed_grpo.meaning.graders import Opinion, SecondOpinion


@dataclass(frozen=True)
class Case:
    """A response that is already graded.

    Attributes:
        response: what the other grader reads.
        answer: its final answer as we found it.
        golds: the gold answers, any of which counts.
        ours: our verdict.
        where: what the problem is called, for the list of disagreements.
    """

    response: str
    answer: str | None
    golds: tuple[str, ...]
    ours: bool
    where: Mapping[str, Any] = field(default_factory=dict)


def opinions(other: SecondOpinion, cases: Sequence[Case]) -> list[Opinion]:
    """The other grader's opinion of each case."""
    return other.grade([case.response for case in cases], [case.golds for case in cases])


def accuracies(cases: Sequence[Case], verdicts: Sequence[Opinion]) -> dict[str, Any]:
    """Both shares of correct responses; a response without a verdict is not correct, and counted apart."""
    n = len(cases)
    return {
        "n": n,
        "ours": sum(case.ours for case in cases) / n,
        "theirs": sum(verdict.correct is True for verdict in verdicts) / n,
        "no_verdict": sum(verdict.correct is None for verdict in verdicts),
        "disagreements": sum(_differ(*pair) for pair in zip(cases, verdicts, strict=True)),
    }


def disagreements(cases: Sequence[Case], verdicts: Sequence[Opinion]) -> list[dict[str, Any]]:
    """Every disagreement, as records; responses that say the same to the same problem share one and are counted."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for case, verdict in zip(cases, verdicts, strict=True):
        if _differ(case, verdict):
            record = {
                **case.where,
                "answer": case.answer,
                "their_answer": verdict.answer,
                "gold": list(case.golds),
                "ours": case.ours,
                "theirs": verdict.correct,
            }
            same = (*case.where.values(), case.answer, verdict.answer, case.ours)
            found.setdefault(same, {**record, "responses": 0})["responses"] += 1
    return list(found.values())


def _differ(case: Case, verdict: Opinion) -> bool:
    return verdict.correct is not None and verdict.correct != case.ours
