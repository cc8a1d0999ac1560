"""Clusters by Math-Verify's verify(), as the field makes them: pairwise, in the main thread, with its time-outs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from faults import count_faults
from math_verify import parse, verify


class _CountTimeouts(logging.Handler):
    """Math-Verify turns a time-out into "not equal" and a line in its log."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "imeout" in record.getMessage()


@dataclass
class Tally:
    """What went wrong in the comparisons of a workload."""

    timeouts: int = 0
    asymmetric: list[tuple[str, str]] = field(default_factory=list)
    intransitive: list[tuple[str, str, str]] = field(default_factory=list)


class MathVerifyClusterer:
    """Clusters the answers of one prompt after another; an answer is parsed once, a pair compared once a prompt."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._parsed: dict[str, list] = {}
        self._timeouts = _CountTimeouts()
        for name in ("math_verify.grader", "math_verify.parser", "math_verify", "latex2sympy2_extended"):
            logger = logging.getLogger(name)
            logger.addHandler(self._timeouts)
            logger.propagate = False

    def both_ways(self, answers: Sequence[str]) -> int:
        """Every pair of distinct answers in both orders; equal if either says so; closed by union-find."""
        distinct = list(dict.fromkeys(answers))
        equal: dict[tuple[str, str], bool] = {}

        def compare(a: str, b: str) -> bool:
            equal[a, b] = self._equal(a, b)
            return equal[a, b]

        asymmetric, intransitive = count_faults(distinct, compare)
        self.tally.asymmetric += asymmetric
        self.tally.intransitive += intransitive
        parent = {answer: answer for answer in distinct}

        def root(answer: str) -> str:
            while parent[answer] != answer:
                answer = parent[answer]
            return answer

        for (a, b), same in equal.items():
            if same:
                parent[root(a)] = root(b)
        return len({root(answer) for answer in distinct})

    def greedy(self, answers: Sequence[str]) -> int:
        """Every distinct answer against the first of each cluster so far; the order of the rollouts counts."""
        founders: list[str] = []
        for answer in dict.fromkeys(answers):
            if not any(self._equal(founder, answer) for founder in founders):
                founders.append(answer)
        return len(founders)

    def _equal(self, gold: str, target: str) -> bool:
        if gold == target:
            return True
        for answer in (gold, target):
            if answer not in self._parsed:
                self._parsed[answer] = parse(f"\\boxed{{{answer}}}")
        same = bool(verify(self._parsed[gold], self._parsed[target]))
        self.tally.timeouts, self._timeouts.count = self.tally.timeouts + self._timeouts.count, 0
        return same
