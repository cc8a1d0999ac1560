"""Inequalities of one name as sets of real numbers: `x > 3`, `x < 1 or x > 3`, `\\{x | x \\ne 1\\}`."""

from __future__ import annotations

from typing import Any

from seed_grpo.meaning.equivalence import evaluate
from seed_grpo.meaning.equivalence.brackets import encloses, split, trim
from seed_grpo.meaning.equivalence.expression import Node, Unreadable, negative, node, read_expression
from seed_grpo.meaning.equivalence.latex import join
from seed_grpo.meaning.equivalence.realsets import EVERYTHING, RealSet, between, complement, end, intersection, union
from seed_grpo.meaning.equivalence.solve import solution_set

RELATIONS = frozenset(
    "= < > \\le \\ge \\ne \\in \\notin \\approx \\equiv \\sim \\subset \\subseteq \\rightarrow".split()
)
INEQUALITIES = frozenset(("<", ">", "\\le", "\\ge", "\\ne"))
OPERATORS = frozenset(("\\sum", "\\prod", "\\int", "\\lim"))
_NO_NAME = frozenset(("-", "+", "\\frac", "\\sqrt", "[", "\\{", "|", "\\pi"))
MIRRORED = {"<": ">", "\\le": "\\ge", ">": "<", "\\ge": "\\le", "\\ne": "\\ne", "=": "="}


class SetReader:
    """The part of the reader of shapes that reads sets of real numbers."""

    algebra: bool
    """Whether a computer algebra system could read more."""

    def read(self, tokens: list[str]) -> Node:
        """The tree of an expression."""
        if not OPERATORS.isdisjoint(tokens):
            self.algebra = True
        return read_expression(tokens)

    def numbers_that_solve(self, difference: Node, operator: str) -> RealSet | None:
        """The solutions of an inequality of one symbol; None if they are not found."""
        numbers = solution_set(difference, operator)
        if numbers is None:
            self.algebra = True
        return numbers

    def count_leaf(self) -> None:
        """Count an expression that is evaluated."""
        raise NotImplementedError

    def real_set(self, tokens: list[str]) -> tuple[str, RealSet] | None:
        """The set of numbers that inequalities of one name describe, with the name; without one for a set-builder."""
        if tokens and tokens[0] in ("\\{", "{") and tokens[-1] in ("\\}", "}") and encloses(tokens):
            inner = self._built(tokens[1:-1])
            return ("", inner[1]) if inner is not None else None
        if INEQUALITIES.isdisjoint(tokens) and "\\in" not in tokens:
            return None
        built = self._built(tokens)
        if built is not None:
            return built
        found = self._conditions_on(tokens)
        if found is None or found[1] == EVERYTHING:
            return None
        return found

    def _built(self, tokens: list[str]) -> tuple[str, RealSet] | None:
        """`x | conditions`, `x \\in \\mathbb{R} : conditions`."""
        for separator in ("|", ":"):
            parts, _ = split(tokens, frozenset((separator,)))
            if len(parts) < 2 or not parts[0]:
                continue
            sides, operators = split(parts[0], frozenset(("\\in",)))
            name = name_of_side(sides[0])
            if name is None or len(operators) > 1 or (operators and "".join(sides[1]) != "\\mathbb{R}"):
                continue
            found = self._conditions_on(tokens[len(parts[0]) + 1 :])
            if found is not None and found[0] == name:
                return found
        return None

    def _conditions_on(self, tokens: list[str]) -> tuple[str, RealSet] | None:
        for separator in ("\\lor", "\\land", ","):
            parts, _ = split(tokens, frozenset((separator,)))
            parts = [part for part in parts if part]
            if len(parts) < 2:
                continue
            found = [self._conditions_on(part) for part in parts]
            pairs = [pair for pair in found if pair is not None]
            if len(pairs) < len(found) or len({name for name, _ in pairs}) > 1:
                return None
            numbers = pairs[0][1]
            for _, more in pairs[1:]:
                numbers = union(numbers, more) if separator == "\\lor" else intersection(numbers, more)
            if not numbers:  # x < 1, x > 3: nobody means the empty set
                numbers = union(*(part for _, part in pairs))
            return pairs[0][0], numbers
        return self._single_condition(tokens)

    def _single_condition(self, tokens: list[str]) -> tuple[str, RealSet] | None:
        sides, operators = split(tokens, RELATIONS)
        if not operators or not all(sides) or any("," in side and "\\in" not in operators for side in sides):
            return None
        if operators == ["\\in"]:
            name, numbers = name_of_side(sides[0]), self.numbers_of(sides[1])
            return (name, numbers) if name is not None and numbers is not None else None
        if not set(operators) <= INEQUALITIES or len(operators) > 3:
            return None
        result: tuple[str, RealSet] | None = None
        for left, operator, right in zip(sides, operators, sides[1:], strict=False):
            part = self._solved(left, operator, right)
            if part is None or (result is not None and part[0] != result[0]):
                return None
            result = part if result is None else (part[0], intersection(result[1], part[1]))
        return result

    def _solved(self, left: list[str], operator: str, right: list[str]) -> tuple[str, RealSet] | None:
        if operator in ("<", "\\le"):
            left, operator, right = right, MIRRORED[operator], left
        try:
            infinite = _infinite(left, operator, right)
            if infinite is not None:
                return infinite
            difference = node("add", self.read(left), negative(self.read(right)))
        except Unreadable:
            return None
        if len(difference.symbols) != 1:
            return None
        self.count_leaf()
        numbers = self.numbers_that_solve(difference, operator)
        return None if numbers is None else (next(iter(difference.symbols)), numbers)

    def numbers_of(self, tokens: list[str], depth: int = 0) -> RealSet | None:
        """The set of real numbers that intervals, finite sets and their unions are; None for anything else."""
        tokens = trim(tokens)
        for separator in ("\\setminus", "\\cup", "\\cap"):
            parts, _ = split(tokens, frozenset((separator,)))
            if len(parts) > 1:
                sets = [self.numbers_of(part, depth + 1) if depth < 4 else None for part in parts]
                if any(part is None for part in sets):
                    return None
                known = [part for part in sets if part is not None]
                result = known[0]
                for other in known[1:]:
                    if separator == "\\cup":
                        result = union(result, other)
                    else:
                        result = intersection(result, other if separator == "\\cap" else complement(other))
                return result
        return self._interval_or_points(tokens)

    def _interval_or_points(self, tokens: list[str]) -> RealSet | None:
        if "".join(tokens) in ("\\mathbb{R}", "R"):
            return EVERYTHING
        if len(tokens) < 2 or not encloses(tokens):
            return None
        parts, _ = split(tokens[1:-1], frozenset((",",)))
        if tokens[0] == "\\{" and tokens[-1] == "\\}":
            ends = [_end(part) for part in parts]
            if any(place is None or place == "infinite" for place in ends):
                return None
            return union(*(between(place, place, True, True) for place in ends))
        if tokens[0] not in ("(", "[") or tokens[-1] not in (")", "]") or len(parts) != 2:
            return None
        self.count_leaf()
        low, high = _end(parts[0], "-\\infty"), _end(parts[1], "\\infty", "+\\infty")
        if low is None or high is None:
            return None
        return between(
            None if low == "infinite" else low, None if high == "infinite" else high,
            tokens[0] == "[", tokens[-1] == "]",
        )  # fmt: skip


def name_of_side(tokens: list[str]) -> str | None:
    """The spelling of a side that is nothing but a name: x, x_1, f(x), (x,y)."""
    if len(tokens) > 2 and (tokens[0], tokens[-1]) == ("(", ")") and encloses(tokens):
        parts = [name_of_side(part) for part in split(tokens[1:-1], frozenset((",",)))[0]]
        return f"({','.join(part for part in parts if part)})" if len(parts) > 1 and all(parts) else None
    if not tokens or tokens[0] in _NO_NAME or tokens[0][0].isdigit():
        return None
    try:
        tree = read_expression(tokens)
    except Unreadable:
        return None
    return tree.name if tree.kind == "symbol" else None


def _infinite(left: list[str], operator: str, right: list[str]) -> tuple[str, RealSet] | None:
    """x < ∞ and x > −∞ say nothing."""
    if operator == ">":
        for side, infinity in ((left, ("\\infty", "+\\infty")), (right, ("-\\infty",))):
            other = right if side is left else left
            name = name_of_side(other)
            if join(side) in infinity and name is not None:
                return name, EVERYTHING
    return None


def _end(tokens: list[str], *infinities: str) -> Any:
    """An end of an interval, "infinite" for one of the infinities, None for what is no real number."""
    if join(tokens) in infinities:
        return "infinite"
    try:
        tree = read_expression(tokens)
        return None if tree.symbols else end(evaluate.evaluate(tree, {}, "positive"))
    except Unreadable:
        return None
