"""Equations and inequalities of expressions, as far as they are linear; else known up to a factor."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import mpmath

from seed_grpo.meaning.equivalence import evaluate, values
from seed_grpo.meaning.equivalence.expression import Node, Unreadable
from seed_grpo.meaning.equivalence.realsets import RealSet, between, complement, end, intersection, union

MAX_BREAKS = 6


def solve(difference: Node, name: str) -> str | None:
    """The key of the value of a symbol that makes `difference` zero, if it is linear in the symbol."""
    if inside_function(difference, name):
        return None
    solutions = []
    for kind in evaluate.POINTS:
        at = evaluate.point(difference.symbols, kind)
        try:
            start, one, two = (evaluate.evaluate(difference, {**at, name: Fraction(x)}, kind) for x in (0, 1, 2))
        except evaluate.TooLarge:
            if not kind.startswith("far"):
                return None
            solutions.append(evaluate.OUT_OF_REACH)
            continue
        except Unreadable:
            return None
        slope, again = values.difference(one, start), values.difference(two, one)
        if slope == 0 or values.difference(slope, again) != 0:
            return None
        solutions.append(values.format_value(values.difference(Fraction(0), values.quotient(start, slope))))
    if len(difference.symbols) == 1 and len(set(solutions)) > 1:
        return None
    return evaluate.join_values(solutions)


def solution_set(difference: Node, operator: str) -> RealSet | None:
    """The real numbers for which `difference` > 0 (≥, ≠, =), if that is linear in its one symbol between the zeros of
    absolute values; None if it is not, or not real."""
    (name,) = difference.symbols
    try:
        breaks = _breaks(difference, name)
    except Unreadable:
        return None
    if breaks is None or len(breaks) > MAX_BREAKS:
        return None
    found: list[RealSet] = []
    edges: list[Any] = [None, *breaks, None]
    for low, high in itertools.pairwise(edges):
        part = _on_segment(difference, name, operator, low, high)
        if part is None:
            return None
        found.append(part)
    return union(*found)


def _breaks(tree: Node, name: str) -> list[Any] | None:
    """Where the absolute values in an expression change their sign, in ascending order; None if that is not linear."""
    found: dict[str, Any] = {}
    pending = [tree]
    while pending:
        part = pending.pop()
        pending += part.parts
        if name not in part.symbols:
            continue
        if part.kind == "abs":
            line = _line(part.parts[0], name, Fraction(0), Fraction(1), Fraction(2))
            if line is None or line[1] == 0:
                return None
            zero = values.difference(Fraction(0), values.quotient(*line))
            found[values.format_value(zero)] = zero
        elif part.kind in ("floor", "ceil", "factorial", "binomial", "root", "function", "power", "mod"):
            return None
    ends = [end(zero) for zero in found.values()]
    return sorted((place for place in ends if place), key=lambda place: place[0]) if all(ends) else None


def _line(tree: Node, name: str, *places: Fraction) -> tuple[Any, Any] | None:
    """The value at 0 and the slope of what is linear through three places; None if it is not linear there."""
    try:
        a, b, c = (evaluate.evaluate(tree, {name: place}, "positive") for place in places)
    except Unreadable:
        return None
    if any(isinstance(value, mpmath.mpc) for value in (a, b, c)):
        return None
    slope = values.quotient(values.difference(b, a), places[1] - places[0])
    if values.difference(values.quotient(values.difference(c, b), places[2] - places[1]), slope) != 0:
        return None
    exact = isinstance(slope, Fraction)
    return values.difference(a, slope * places[0] if exact else slope * values.inexact(places[0])), slope


def _on_segment(difference: Node, name: str, operator: str, low: Any, high: Any) -> RealSet | None:
    """The solutions between two breaks (closed ends: a break belongs to both sides)."""
    if low is None and high is None:
        places = [Fraction(0), Fraction(1), Fraction(2)]
    elif low is None:
        places = [high[0] - 3, high[0] - 2, high[0] - 1]
    else:
        width = Fraction(1) if high is None else (high[0] - low[0]) / 4
        places = [low[0] + width * step for step in (1, 2, 3)]
    line = _line(difference, name, *places)
    if line is None:
        return None
    start, slope = line
    segment = between(low, high, True, True)
    if slope == 0:
        sign = (start > 0) - (start < 0)
        holds = {">": sign > 0, "\\ge": sign >= 0, "\\ne": sign != 0, "=": sign == 0}[operator]
        return segment if holds else ()
    zero = end(values.difference(Fraction(0), values.quotient(start, slope)))
    if zero is None:
        return None
    point = between(zero, zero, True, True)
    if operator in ("=", "\\ne"):
        return intersection(segment, point if operator == "=" else complement(point))
    half = between(zero, None, True, False) if slope > 0 else between(None, zero, False, True)
    return intersection(segment, half if operator == "\\ge" else intersection(half, complement(point)))


def up_to_factor(difference: Node, *, signed: bool) -> list[str]:
    """Keys of the ratios of the values at several points: the same for every constant multiple (positive if signed)."""
    found: list[Any] = []
    for kind in evaluate.POINTS:
        at = evaluate.point(difference.symbols, kind)
        try:
            found.append(evaluate.evaluate(difference, at, kind))
        except evaluate.TooLarge:
            if not kind.startswith("far"):
                raise
            found.append(None)
    shifted = {name: value * Fraction(9, 8) for name, value in evaluate.point(difference.symbols, "positive").items()}
    found.append(evaluate.evaluate(difference, shifted, "positive"))
    if found[0] == 0 or found[0] is None:
        raise Unreadable
    unit = abs(found[0]) if signed else found[0]
    return [
        evaluate.OUT_OF_REACH if value is None else values.format_value(values.quotient(value, unit)) for value in found
    ]


def inside_function(tree: Node, name: str) -> bool:
    """Whether a symbol stands inside something that is not linear by itself, so that solving would be guessing."""
    if tree.kind in ("floor", "ceil", "factorial", "binomial", "abs", "root", "function", "mod"):
        return name in tree.symbols
    if tree.kind == "power" and name in tree.symbols:
        return True
    return any(inside_function(part, name) for part in tree.parts)
