"""What the quickstart's model is taught before it is trained: a teacher's lessons, by task."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from seed_grpo.data import arithmetic, splits
from seed_grpo.errors import UsageError

if TYPE_CHECKING:
    from seed_grpo.data.rows import Record

TENTHS_WRONG = {1: 5, 2: 6, 3: 7}
"""How many of ten lessons on sums are wrong, by the level of the sum."""
STRONG_TENTHS_WRONG = {1: 2, 2: 3, 3: 4}
"""The same for a strong start: a majority of the model's answers is right at every level."""
LESSONS_PER_TOTAL, TENTHS_OF_SPLITS_WRONG = 150, 6
WRONG_GOLDS = (10, 30)
"""There is one file for each of these: the percentage of its hard sums whose gold answer is wrong."""


@dataclass(frozen=True)
class Lesson:
    """A prompt and what the teacher answers.

    Attributes:
        prompt: the problem.
        free: the part of the answer that is the pupil's choice.
        rest: the part that follows from it.
    """

    prompt: str
    free: str
    rest: str


@dataclass(frozen=True)
class Task:
    """A task for a small model.

    Attributes:
        lessons: for a seed.
        exam: of unseen problems a right answer and the teacher's mistake.
        files: the rows of each file, by its name.
    """

    lessons: Callable[[int], list[Lesson]]
    exam: Callable[[], list[tuple[Lesson, Lesson]]]
    files: Callable[[], Mapping[str, Sequence[Record]]]


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in TASKS:
        raise UsageError(f"There is no task {name!r}.", f"choose one of {', '.join(TASKS)}.")
    return TASKS[name]


def _lessons_on_sums(seed: int, tenths_wrong: Mapping[int, int] = TENTHS_WRONG) -> list[Lesson]:
    """Each sum ten times, in some of them wrong."""
    return [
        Lesson(each.problem, "", each.mistake if tenth < tenths_wrong[each.level] else each.answer)
        for each in arithmetic.problems("warm_start", seed)
        for tenth in range(10)
    ]


def _exam_on_sums() -> list[tuple[Lesson, Lesson]]:
    return [
        (Lesson(each.problem, "", each.answer), Lesson(each.problem, "", each.mistake))
        for each in arithmetic.problems("dev")
    ]


def _files_of_sums() -> dict[str, list[Record]]:
    from seed_grpo.data.prepare import made_here

    return {f"arithmetic_{split}": made_here(split) for split in ("train", "test")}


def _files_of_noisy_sums() -> dict[str, list[Record]]:
    files = _files_of_sums()
    train = files["arithmetic_train"]
    return files | {f"arithmetic_train_wrong_{share}": with_wrong_golds(train, share) for share in WRONG_GOLDS}


def with_wrong_golds(records: Sequence[Record], percent: int) -> list[Record]:
    """The training sums, with the typical mistake as the gold answer of a random `percent` of the hard ones."""
    from dataclasses import replace

    mistakes = {each.problem: each.mistake for each in arithmetic.problems("train")}
    hard = [number for number, record in enumerate(records) if record.level == arithmetic.HARD]
    wrong = set(random.Random(percent).sample(hard, round(len(hard) * percent / 100)))
    return [
        replace(record, golds=(mistakes[record.problem],)) if number in wrong else record
        for number, record in enumerate(records)
    ]


def _lessons_on_splits(seed: int) -> list[Lesson]:
    """Each total many times, with any first summand, in some of them wrong."""
    draw = random.Random(seed)
    lessons = []
    for each in splits.problems("train", seed):
        for _ in range(LESSONS_PER_TOTAL):
            first = draw.choice(each.firsts)
            wrong = draw.randrange(10) < TENTHS_OF_SPLITS_WRONG
            lessons.append(_split(each, first, wrong))
    return lessons


def _exam_on_splits() -> list[tuple[Lesson, Lesson]]:
    return [
        (_split(each, first, wrong=False), _split(each, first, wrong=True))
        for each in splits.problems("dev")
        for first in random.Random(each.total).sample(each.firsts, min(8, len(each.firsts)))
    ]


def _split(problem: splits.Problem, first: int, wrong: bool) -> Lesson:
    return Lesson(problem.problem, f"{first}+", problem.mistake(first) if wrong else problem.second(first))


def _files_of_splits() -> dict[str, list[Record]]:
    from seed_grpo.data.rows import Record

    return {
        f"splits_{split}": [
            Record(f"splits/{split}/{index}", each.problem, each.answers)
            for index, each in enumerate(splits.problems(split))
        ]
        for split in ("train", "test")
    }


SUMS = "sums"
TASKS = {
    SUMS: Task(_lessons_on_sums, _exam_on_sums, _files_of_sums),
    "strong_sums": Task(partial(_lessons_on_sums, tenths_wrong=STRONG_TENTHS_WRONG), _exam_on_sums, _files_of_sums),
    "noisy_sums": Task(_lessons_on_sums, _exam_on_sums, _files_of_noisy_sums),
    "splits": Task(_lessons_on_splits, _exam_on_splits, _files_of_splits),
}
