"""A task with many right answers: a total, to be written as the sum of two numbers of two digits.

`57=` has 38 right answers, from `10+47` to `47+10`; `20=` has one. A model that knows the task perfectly still gives
different answers to most prompts.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from seed_grpo.data.arithmetic import place_of

LOW, HIGH = 10, 99
"""Of a summand."""
SPLITS = {"test": 30, "dev": 20, "train": 129}
"""How many totals each split has. No total is in more than one; the warm start uses the same totals as training."""


@dataclass(frozen=True)
class Problem:
    """A total."""

    total: int

    @property
    def problem(self) -> str:
        return f"{self.total}="

    @property
    def firsts(self) -> range:
        """What the first summand may be."""
        return range(max(LOW, self.total - HIGH), min(HIGH, self.total - LOW) + 1)

    @property
    def answers(self) -> tuple[str, ...]:
        """All right answers."""
        return tuple(f"{first}+{self.total - first}" for first in self.firsts)

    def second(self, first: int) -> str:
        return str(self.total - first)

    def mistake(self, first: int) -> str:
        """The second summand of a pupil who forgets a borrow, or who is one off where there is none."""
        second = self.total - first
        off = 10 if self.total % 10 < first % 10 else 1
        return str(second + off if second + off <= HIGH else second - off)


def problems(split: str, seed: int = 0) -> list[Problem]:
    """The problems of a split. The split is the same for every seed; the seed only changes the order."""
    totals = list(range(2 * LOW, 2 * HIGH + 1))
    random.Random(0).shuffle(totals)
    chosen = [Problem(total) for total in totals[place_of(split, SPLITS)]]
    random.Random(seed).shuffle(chosen)
    return chosen
