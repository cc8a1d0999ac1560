"""Sets of real numbers with known ends: unions of intervals and points, in one canonical form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import mpmath

from seed_grpo.meaning.equivalence.rationals import rational_key
from seed_grpo.meaning.equivalence.values import as_fraction, format_value, recognised

End: TypeAlias = tuple[Fraction | None, str]
"""A finite end of an interval as a number to compare by, and its key; None for an infinite one."""

_KINDS = {(False, False): "tuple", (True, True): "closed", (False, True): "left_open", (True, False): "right_open"}


@dataclass(frozen=True)
class Interval:
    """An interval; its ends belong to it where `low_closed` and `high_closed` say so. A point has equal ends."""

    low: Fraction | None
    high: Fraction | None
    low_closed: bool
    high_closed: bool
    low_key: str = "n:-infinity"
    high_key: str = "n:infinity"

    @property
    def empty(self) -> bool:
        """Whether nothing lies in it."""
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and not (self.low_closed and self.high_closed))


RealSet: TypeAlias = tuple[Interval, ...]
"""Disjoint intervals in ascending order, none of which could be joined with the next."""

EVERYTHING: RealSet = (Interval(None, None, False, False),)


def end(value: Any) -> End | None:
    """A number as the end of an interval; None if it is not real."""
    exact = recognised(value)
    if isinstance(exact, mpmath.mpc):
        return None
    return (exact, rational_key(exact)) if isinstance(exact, Fraction) else (as_fraction(exact), format_value(value))


def between(low: End | None, high: End | None, low_closed: bool, high_closed: bool) -> RealSet:
    """The interval between two ends; None stands for infinity."""
    interval = Interval(
        low[0] if low else None, high[0] if high else None, low_closed and low is not None,
        high_closed and high is not None, low[1] if low else "n:-infinity", high[1] if high else "n:infinity",
    )  # fmt: skip
    return () if interval.empty else (interval,)


def union(*sets: RealSet) -> RealSet:
    """The union, in canonical form."""
    intervals = sorted(
        (interval for part in sets for interval in part if not interval.empty),
        key=lambda interval: (interval.low is not None, interval.low or 0, not interval.low_closed),
    )
    joined: list[Interval] = []
    for interval in intervals:
        if joined and _touch(joined[-1], interval):
            last = joined.pop()
            first, second = (last, interval) if _reaches(last, interval) else (interval, last)
            interval = Interval(last.low, first.high, last.low_closed, first.high_closed, last.low_key, first.high_key)
            if first.high == second.high and second.high_closed:
                interval = Interval(
                    interval.low, interval.high, interval.low_closed, True, last.low_key, first.high_key
                )
        joined.append(interval)
    return tuple(joined)


def intersection(left: RealSet, right: RealSet) -> RealSet:
    """What lies in both."""
    parts: list[Interval] = []
    for a in left:
        for b in right:
            low = a if _starts_later(a, b) else b
            high = b if _reaches(a, b) else a
            part = Interval(low.low, high.high, low.low_closed, high.high_closed, low.low_key, high.high_key)
            if not part.empty:
                parts.append(part)
    return union(tuple(parts))


def complement(numbers: RealSet) -> RealSet:
    """The real numbers that do not lie in a set."""
    rest: RealSet = EVERYTHING
    for interval in numbers:
        outside: list[Interval] = []
        if interval.low is not None:
            outside.append(Interval(None, interval.low, False, not interval.low_closed, high_key=interval.low_key))
        if interval.high is not None:
            outside.append(Interval(interval.high, None, not interval.high_closed, False, low_key=interval.high_key))
        rest = intersection(rest, tuple(outside))
    return rest


def set_key(numbers: RealSet) -> list[Any]:
    """The key: an interval as `[kind, low, high]`, points as a set, otherwise a union of these."""
    points = [interval for interval in numbers if interval.low is not None and interval.low == interval.high]
    parts: list[list[Any]] = [
        [_KINDS[interval.low_closed, interval.high_closed], interval.low_key, interval.high_key]
        for interval in numbers
        if interval not in points
    ]
    if points or not parts:
        parts.append(["set", *sorted((point.low_key for point in points), key=json.dumps)])
    return parts[0] if len(parts) == 1 else ["union", *sorted(parts, key=json.dumps)]


def _touch(first: Interval, second: Interval) -> bool:
    """Whether two intervals, in ascending order, have no gap between them."""
    if first.high is None or second.low is None:
        return True
    gap = second.low - first.high
    return gap < 0 or (gap == 0 and (first.high_closed or second.low_closed))


def _reaches(first: Interval, second: Interval) -> bool:
    """Whether the first ends no earlier than the second."""
    if first.high is None or second.high is None:
        return first.high is None
    return first.high > second.high or (first.high == second.high and (first.high_closed or not second.high_closed))


def _starts_later(first: Interval, second: Interval) -> bool:
    if first.low is None or second.low is None:
        return first.low is not None
    return first.low > second.low or (first.low == second.low and not first.low_closed)
