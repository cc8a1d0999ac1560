"""Equations, inequalities and what they say of a name.

* ["named", name, value]: `x=5`, `x>3`, `x \\in [1,2]`, `f(x)=2x`; a name and its value or the set it lies in;
* ["defined", function, value, value for any letter]: `f(n)=2n+1`, a function of a letter that could be another one;
* ["label", what, value]: `AB=5`, `\\sin\\theta=\\frac35`: a measured thing that is no single name;
* ["equation", [name, value] or null, …]: `2x=10`, `y=3x`; known by its solutions for each letter, with the name that
  stands alone on one side, if any;
* ["chain", value, sides]: sides that are equal for all letters, `3 \\cdot 2 = 6`, known by how each side is written;
* ["approximate", value, rounded]: `\\frac{1}{3} \\approx 0.333`;
* ["congruence", what, remainder, modulus]; ["relation", operators, …] otherwise.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import Any, TypeAlias

from seed_grpo.meaning.equivalence import evaluate
from seed_grpo.meaning.equivalence.brackets import split
from seed_grpo.meaning.equivalence.expression import Node, Unreadable, negative, node, renamed
from seed_grpo.meaning.equivalence.inequalities import (
    INEQUALITIES,
    MIRRORED,
    OPERATORS,
    RELATIONS,
    SetReader,
    name_of_side,
)
from seed_grpo.meaning.equivalence.labels import is_label
from seed_grpo.meaning.equivalence.latex import join
from seed_grpo.meaning.equivalence.names import in_usual_order
from seed_grpo.meaning.equivalence.normalize import split_unit
from seed_grpo.meaning.equivalence.solve import solve, up_to_factor
from seed_grpo.meaning.equivalence.structure import structure

Key: TypeAlias = Any
"""A string, or a list of keys whose first item names the kind."""

MAX_SYMBOLS = 12
_ORDERS = frozenset(("<", ">", "\\le", "\\ge"))
_INTERVALS = {("<", "<"): "tuple", ("\\le", "\\le"): "closed", ("<", "\\le"): "left_open", ("\\le", "<"): "right_open"}
_UNKNOWNS = "yxzwuvts"
"""Which of two names an equation such as y = x gives a value: the first of these; a = b gives neither one."""
_OF_A_LETTER = re.compile(r"(.+)\((\\?[A-Za-z]+)\)")
_ANY_LETTER = "\\any"


class RelationReader(SetReader):
    """The part of the reader of shapes that reads relations."""

    spelled: bool

    def answer(self, tokens: list[str], depth: int) -> Key:
        """The key of a part of the answer."""
        raise NotImplementedError

    def tree_key(self, tree: Node) -> str:
        """The key of an expression; its structure where it has no value."""
        try:
            return evaluate.value_key(tree)
        except Unreadable:
            self.spelled = True
            return "m:" + structure(tree)

    def relation(self, tokens: list[str], depth: int) -> Key | None:
        """The key of a relation; None for what is none."""
        sides, operators = split(tokens, RELATIONS)
        if not operators or not all(sides):
            return None
        if set(operators) <= {"=", "\\approx"}:
            return self._equation(sides, operators, depth)
        if len(operators) == 1 and operators[0] in INEQUALITIES:
            key = self._inequality(sides[0], operators[0], sides[1], depth)
            if key is not None:
                return key
        keys = [self.answer(side, depth + 1) for side in sides]
        if operators == ["\\in"] and (name := name_of_side(sides[0])) is not None:
            return _named(name, keys[1])
        if len(operators) == 2 and (interval := _between(sides, operators, keys)) is not None:
            return interval
        if set(operators) <= _ORDERS and operators[0] in (">", "\\ge"):
            keys, operators = keys[::-1], [MIRRORED[operator] for operator in operators[::-1]]
        elif set(operators) <= {"\\ne", "\\sim"} and len(set(operators)) == 1:
            keys = sort_keys(keys)
        return ["relation", operators, *keys]

    def name_of(self, relation: list[str]) -> str | None:
        """The name in a relation that gives one a value: its left side."""
        sides, operators = split(relation, RELATIONS)
        return name_of_side(sides[0]) if operators == ["="] else None

    # ---- equations --------------------------------------------------------------------------------------------------

    def _equation(self, sides: list[list[str]], operators: list[str], depth: int) -> Key:
        names = [name_of_side(side) for side in sides]
        if len(sides) > 2 and all(names[:-1]) and set(operators) == {"="} and names[-1] is None:
            value = self.answer(sides[-1], depth + 1)  # x = y = 0
            return ["list", *sort_keys([_named(name, value) for name in names[:-1] if name])]
        exact = operators.index("\\approx") + 1 if "\\approx" in operators else len(sides)
        named = names[0] or ("label" if is_label(sides[0]) else None)
        if exact == 1:
            if len(sides) == 2 and named:  # x ≈ 11
                return self._value_of(names[0], sides[0], self.answer(sides[1], depth + 1))
            if len(sides) == 2:
                return self._approximate(sides[0], sides[1], depth)
            exact = len(sides)
        if len(sides) == 2 and exact == 2:
            return self._two_sides(sides[0], sides[1], depth)
        start = 1 if named and exact > 1 else 0
        keys = [self.answer(side, depth + 1) for side in sides[start:exact]]
        rounded = [self.answer(side, depth + 1) for side in sides[exact:]]
        if all(key == keys[0] for key in keys) and all(_rounds(keys[-1], value) for value in rounded):
            if start:
                return self._value_of(names[0], sides[0], keys[0])
            if not rounded:
                return ["chain", keys[0], sorted(self._written(side) for side in sides)]
            return ["approximate", keys[0], *rounded]
        if start and not any(names[1:exact]) and _is_number(keys[-1]):  # A = πr² = 25π
            shown = all(key == keys[-1] or _has_letters(key) for key in keys)
            if shown and all(_rounds(keys[-1], value) for value in rounded):
                return self._value_of(names[0], sides[0], keys[-1])
        return ["relation", operators, *(self.answer(side, depth + 1) for side in sides)]

    def _approximate(self, exact: list[str], rounded: list[str], depth: int) -> Key:
        value, written = self.answer(exact, depth + 1), self.answer(rounded, depth + 1)
        if _rounds(value, written):
            return ["approximate", value, written]
        return ["relation", ["\\approx"], value, written]

    def _two_sides(self, left: list[str], right: list[str], depth: int) -> Key:
        names = name_of_side(left), name_of_side(right)
        for name, side, other in ((names[0], left, right), (names[1], right, left)):
            if split_unit(other) is not None and (name or is_label(side)):
                return self._value_of(name, side, self.answer(other, depth + 1))  # x = 45°
        if not any(token in ("\\pm", "\\mp", ",", "\\begin") for token in (*left, *right)):
            try:
                key = self._of_expressions(self.read(left), self.read(right), left, right)
            except Unreadable:
                key = None
            if key is not None:
                return key
        keys = [self.answer(left, depth + 1), self.answer(right, depth + 1)]
        for name, side, key in ((names[0], left, keys[1]), (names[1], right, keys[0])):
            if name is not None or (is_label(side) and not _has_letters(key)):
                return self._value_of(name, side, key)
        if keys[0] == keys[1]:
            return ["chain", keys[0], sorted((self._written(left), self._written(right)))]
        return ["relation", ["="], *sort_keys(keys)]

    def _of_expressions(self, left: Node, right: Node, left_tokens: list[str], right_tokens: list[str]) -> Key | None:
        """The key of an equation of two expressions."""
        self.count_leaf()
        if not left.symbols and not right.symbols:
            keys = [evaluate.value_key(left), evaluate.value_key(right)]
            sides = sorted((_structure(left, left_tokens), _structure(right, right_tokens)))
            return ["chain", keys[0], sides] if keys[0] == keys[1] else ["relation", ["="], *sides]
        for side, tokens, other in ((left, left_tokens, right), (right, right_tokens, left)):
            if side.kind != "symbol" and not other.symbols and is_label(tokens):
                return ["label", join(tokens), evaluate.value_key(other)]
        difference = node("add", left, negative(right))
        if len(difference.symbols) > MAX_SYMBOLS:
            return None
        defined = _definition(left, right) or _definition(right, left)
        if defined is not None:
            return defined
        if (left.kind != "symbol" or left.name in right.symbols) and _always_zero(difference):
            sides = sorted((_structure(left, left_tokens), _structure(right, right_tokens)))
            return ["chain", evaluate.value_key(left), sides]
        solutions = [
            [name, solution] for name in sorted(difference.symbols) if (solution := solve(difference, name)) is not None
        ]
        alone = "symbol" in (left.kind, right.kind)
        if solutions and len(difference.symbols) == 1:
            return ["named", *solutions[0]] if alone else ["equation", None, solutions]
        lone = _lone_name(left, right, dict(solutions))
        if lone is not None and lone[1] is None:
            lone = None
        if solutions:
            return ["equation", lone, solutions]
        return ["relation", "=", *up_to_factor(difference, signed=False)]

    def _value_of(self, name: str | None, side: list[str], value: Key) -> Key:
        return _named(name, value) if name is not None else ["label", join(side), value]

    def _written(self, side: list[str]) -> str:
        """How a side is written, apart from order and spelling."""
        try:
            return _structure(self.read(side), side)
        except Unreadable:
            return "m:" + join(side)

    def congruence(self, sides: list[list[str]], depth: int) -> Key | None:
        """`n \\equiv 7 \\pmod 6`: what, and the remainder."""
        right = sides[1]
        marks = [index for index, token in enumerate(right) if token in ("\\pmod", "\\bmod")]
        if len(marks) != 1:
            return None
        start = marks[0] - 1 if right[marks[0] - 1] == "(" else marks[0]
        modulus = [token for token in right[marks[0] + 1 :] if token not in ("{", "}", ")", " ", "(")]
        what = self.answer(sides[0], depth + 1)
        remainders = split(right[:start], frozenset((",",)))[0]
        if len(modulus) != 1 or not modulus[0].isdecimal() or int(modulus[0]) == 0:
            return None
        keys: list[Key] = []
        for part in remainders:
            key = self.answer(part, depth + 1)
            whole = re.fullmatch(r"q:(-?[0-9]{1,40})", key) if isinstance(key, str) else None
            keys.append(["congruence", what, f"q:{int(whole[1]) % int(modulus[0])}" if whole else key, modulus[0]])
        return keys[0] if len(keys) == 1 else ["list", *sort_keys(keys)]

    # ---- inequalities and sets of numbers ---------------------------------------------------------------------------

    def _inequality(self, left: list[str], operator: str, right: list[str], depth: int) -> Key | None:
        if any("," in side or "\\pm" in side or "\\mp" in side for side in (left, right)):
            return None
        if operator in ("<", "\\le"):
            left, operator, right = right, MIRRORED[operator], left
        try:
            difference = node("add", self.read(left), negative(self.read(right)))
            if not difference.symbols or len(difference.symbols) > MAX_SYMBOLS:
                return None
            self.count_leaf()
            return ["relation", operator, *up_to_factor(difference, signed=operator != "\\ne")]
        except Unreadable:
            return None


# ---- names ----------------------------------------------------------------------------------------------------------


def kind_of(key: Key) -> str | None:
    """The kind of a key with a shape."""
    return key[0] if isinstance(key, list) else None


def sort_keys(keys: list[Key]) -> list[Key]:
    """Keys in a fixed order."""
    return sorted(keys, key=json.dumps)


def _named(name: str, value: Key) -> Key:
    """x = 1 ± √2 is x = 1 + √2, x = 1 − √2; (x,y) = (1,2) is x = 1, y = 2 where the names are in their usual order."""
    if kind_of(value) == "list":
        return ["list", *sort_keys([_named(name, item) for item in value[1:]])]
    if kind_of(value) == "tuple" and name.startswith("("):
        names = name[1:-1].split(",")
        if len(names) == len(value) - 1 and in_usual_order(names):
            return ["list", *sort_keys([["named", *pair] for pair in zip(names, value[1:], strict=True)])]
    return ["named", name, value]


def _structure(tree: Node, tokens: list[str]) -> str:
    """How a side is written; a sum, an integral or a limit as it stands, since its tree is what came of it."""
    return structure(tree) if OPERATORS.isdisjoint(tokens) else "m:" + join(tokens)


def _definition(left: Node, right: Node) -> Key | None:
    """f(n) = 2n + 1, with its value for any letter in the place of n."""
    match = _OF_A_LETTER.fullmatch(left.name) if left.kind == "symbol" else None
    if match is None or match[2] not in right.symbols or left.name in right.symbols:
        return None
    value = evaluate.value_key(right)
    return ["defined", left.name, value, match[1], evaluate.value_key(renamed(right, match[2], _ANY_LETTER))]


def _always_zero(difference: Node) -> bool:
    """Whether both sides of an equation are the same for all values."""
    try:
        if evaluate.value_at(difference, "positive") != "q:0":
            return False
        return evaluate.value_key(difference) == "q:0"
    except Unreadable:
        return False


def _lone_name(left: Node, right: Node, solutions: dict[str, str]) -> list[Any] | None:
    """The name that stands alone on one side, and its value: y = 3x. Of two, the one that is more often an unknown; an
    equation with none, such as 3x - y = 2, gives y its value, or z."""
    lone = [side.name for side, other in ((left, right), (right, left))
            if side.kind == "symbol" and side.name not in other.symbols]  # fmt: skip
    if len(lone) == 2:
        lone = sorted((name for name in lone if name in _UNKNOWNS), key=_UNKNOWNS.index)
    elif not lone:
        lone = [str(name) for name in ("z", "y") if name in solutions][:1]
    if not lone:
        return None
    value = solutions.get(lone[0])
    return [lone[0], value] if value is not None else None


# ---- values ---------------------------------------------------------------------------------------------------------


def _between(sides: list[list[str]], operators: list[str], keys: list[Key]) -> Key | None:
    """1 < x ≤ a as the name x of an interval."""
    name = name_of_side(sides[1])
    if name is None:
        return None
    low, high = keys[0], keys[2]
    if set(operators) <= {">", "\\ge"}:
        low, high, operators = high, low, [MIRRORED[operator] for operator in operators[::-1]]
    kind = _INTERVALS.get((operators[0], operators[1]))
    return _named(name, [kind, low, high]) if kind else None


def _is_number(key: Key) -> bool:
    return isinstance(key, str) and key.startswith(("q:", "n:"))


def _has_letters(key: Key) -> bool:
    return '"e:' in json.dumps(key) or "m:" in json.dumps(key) or (isinstance(key, str) and key.startswith("e:"))


def _rounds(exact: Key, rounded: Key) -> bool:
    """Whether a number rounds to another, or is cut off to a decimal: they differ by less than a unit in its last
    place, or by half of one from a whole number. 99 ≈ 100 and 12.6 ≈ 12 would be two answers."""
    try:
        a, b = _approximately(exact), _approximately(rounded)
    except (ValueError, ZeroDivisionError):
        return False
    if a is None or b is None:
        return False
    places = 0
    while places < 30 and (b * 10**places).denominator != 1:
        places += 1
    near = abs(a - b) < Fraction(1, 10**places) if places else abs(a - b) <= Fraction(1, 2)
    return near and abs(a - b) * 20 <= max(abs(a), abs(b))


def _approximately(key: Key) -> Fraction | None:
    if not isinstance(key, str):
        return None
    if key.startswith("u:"):
        return _approximately(key.split("|", 1)[1])
    if match := re.fullmatch(r"n:(-?[0-9]+)e(-?[0-9]{1,4})", key):
        return int(match[1]) * Fraction(10) ** int(match[2])
    return Fraction(key[2:]) if re.fullmatch(r"q:-?[0-9]+(?:/[0-9]+)?", key) else None
