"""The quickstart's problems: sums of graded difficulty, so that prompts differ in how sure a small model is of them.

All sums are below 100. Level 1 adds a digit, level 2 two numbers of two digits without a carry, level 3 with a carry.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

LEVELS = (1, 2, 3)
HARD = LEVELS[-1]
SPLITS = {"test": 258, "dev": 129, "warm_start": 2001, "train": 1392}
"""How many problems each split has. No problem is in more than one split."""


@dataclass(frozen=True)
class Problem:
    """A sum, its answer, its level."""

    problem: str
    answer: str
    level: int

    @property
    def mistake(self) -> str:
        """What a pupil in a hurry writes: one off at level 1, ten off at level 2, the carry forgotten at level 3."""
        off = {1: 1, 2: 10, 3: -10}[self.level]
        total = int(self.answer)
        return str(total + off if total + off < 100 else total - off)


def problems(split: str, seed: int = 0) -> list[Problem]:
    """The problems of a split. The split is the same for every seed; the seed only changes the order.

    Levels are as even as the number of different problems of a level allows.
    """
    chosen = _interleaved()[place_of(split, SPLITS)]
    random.Random(seed).shuffle(chosen)
    return chosen


def place_of(split: str, sizes: Mapping[str, int]) -> slice:
    """Where a split's problems are in a list that holds those of all splits, one after the other."""
    names = list(sizes)
    start = sum(sizes[name] for name in names[: names.index(split)])
    return slice(start, start + sizes[split])


def _interleaved() -> list[Problem]:
    """All problems, each level shuffled by itself, then taken in turn until a level runs out."""
    by_level: dict[int, list[Problem]] = {level: [] for level in LEVELS}
    for a in range(100):
        for b in range(100 - a):
            level = level_of(a, b)
            by_level[level].append(Problem(f"{a}+{b}=", str(a + b), level))
    for level, pool in by_level.items():
        random.Random(level).shuffle(pool)
    longest = max(len(pool) for pool in by_level.values())
    return [pool[i] for i in range(longest) for pool in by_level.values() if i < len(pool)]


def level_of(a: int, b: int) -> int:
    """The level of a sum."""
    if a < 10 or b < 10:
        return 1
    return 3 if a % 10 + b % 10 > 9 else 2
