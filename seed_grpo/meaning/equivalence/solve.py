"""Equations and inequalities of expressions, as far as they are linear; else known up to a factor."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from seed_grpo.meaning.equivalence import evaluate, values
from seed_grpo.meaning.equivalence.expression import Node, Unreadable


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


def slope(difference: Node, name: str) -> bool | None:
    """Whether a linear `difference` rises with the symbol; None if it is not real."""
    one, zero = (evaluate.evaluate(difference, {name: Fraction(x)}, "positive") for x in (1, 0))
    slope = values.difference(one, zero)
    return None if getattr(slope, "imag", 0) else bool(slope.real > 0)


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
    if found[0] == 0:
        raise Unreadable
    unit = abs(found[0]) if signed else found[0]
    return [
        evaluate.OUT_OF_REACH if value is None else values.format_value(values.quotient(value, unit)) for value in found
    ]


def inside_function(tree: Node, name: str) -> bool:
    """Whether a symbol stands inside something that is not linear by itself, so that solving would be guessing."""
    if tree.kind in ("floor", "ceil", "factorial", "binomial", "abs", "root", "function"):
        return name in tree.symbols
    if tree.kind == "power" and name in tree.symbols:
        return True
    return any(inside_function(part, name) for part in tree.parts)
