"""Answers, grades and clusters of responses.

As in the paper's evaluation (Dr.GRPO's `evaluate_model.py`), a response that was cut off at the token limit still
counts if its text has a boxed answer; in training it would get 0. Every result says how many were cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seed_grpo.meaning.answers import extract_answer
from seed_grpo.meaning.equivalence import grade_answer, shared_keyer
from seed_grpo.meaning.protocol import Sample
from seed_grpo.meaning.registry import cluster_groups, make_meaning
from seed_grpo.meaning.settings import MeaningSettings


@dataclass(frozen=True)
class Grade:
    """The final answer of a response as it is written (None: there is none), and whether it is correct."""

    answer: str | None
    correct: bool


def grade_responses(
    responses: Sequence[str], golds: Sequence[Sequence[str]], *, answer_template: str, level: str = "symbolic"
) -> list[Grade]:
    """Extract and grade; `golds` holds the gold answers of each response's problem, any of which counts."""
    answers = [extract_answer(response, template=answer_template) for response in responses]
    # All keys at once: the sandbox works on them in parallel, and each answer is read once.
    shared_keyer().keys([*answers, *(gold for each in dict.fromkeys(map(tuple, golds)) for gold in each)], level)
    verdicts: dict[tuple[str | None, tuple[str, ...]], bool] = {}
    grades = []
    for answer, gold in zip(answers, map(tuple, golds), strict=True):
        if (answer, gold) not in verdicts:
            verdicts[answer, gold] = grade_answer(answer, gold, level=level)
        grades.append(Grade(answer, verdicts[answer, gold]))
    return grades


def cluster(answers_PK: Sequence[Sequence[str | None]], level: str) -> list[list[int]]:
    """Cluster ids of the answers to each problem; a missing answer is a cluster of its own."""
    meaning = make_meaning(MeaningSettings(meaning=level))
    return cluster_groups(meaning, [[Sample(None, answer) for answer in answers] for answers in answers_PK])
