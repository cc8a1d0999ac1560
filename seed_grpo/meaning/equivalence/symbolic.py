"""The level `symbolic`: a normalized key to the key of what it means. Runs inside a sandboxed worker.

The shape is read from the canonical tokens by their brackets and separators: lists, tuples, sets, intervals, unions,
matrices, equations, inequalities. The expressions at the leaves are read and evaluated; one that cannot be keeps its
spelling. Lists, sets and unions are unordered, and brackets keep their kind: (1,2), {1,2} and [1,2] stay apart.

A key with a shape is `s:` and JSON, [kind, …]. Equations and inequalities are solved as far as that is linear:

* ["named", [[name, value], …]]: `x=5`, `y=3x+2`, `x>3`, `x∈[1,2]`; a pair for every symbol it can be solved for;
* ["relation", operator, …] otherwise, up to a constant factor.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from seed_grpo.meaning.equivalence import evaluate
from seed_grpo.meaning.equivalence.brackets import encloses, split, trim
from seed_grpo.meaning.equivalence.expression import Node, Unreadable, negative, node, read_expression
from seed_grpo.meaning.equivalence.latex import is_text, join, split_tokens
from seed_grpo.meaning.equivalence.normalize import split_unit, tokens_key
from seed_grpo.meaning.equivalence.rationals import read_rational
from seed_grpo.meaning.equivalence.solve import slope, solve, up_to_factor

Key: TypeAlias = Any
"""A string, or a list of keys whose first item names the kind."""

WARM_UP = "m:\\sqrt{2}"
"""Loads mpmath's lazy parts in a worker before its clock runs."""
MAX_CHARACTERS = 600
MAX_DEPTH = 8
MAX_LEAVES = 64

_BRACKETS = {
    ("(", ")"): "tuple", ("[", "]"): "closed", ("(", "]"): "left_open", ("[", ")"): "right_open",
    ("\\{", "\\}"): "set", ("\\langle", "\\rangle"): "vector",
}  # fmt: skip
_INTERVALS = {("<", "<"): "tuple", ("\\le", "\\le"): "closed", ("<", "\\le"): "left_open", ("\\le", "<"): "right_open"}
_RELATIONS = frozenset(
    "= < > \\le \\ge \\ne \\in \\notin \\approx \\equiv \\sim \\subset \\subseteq \\rightarrow".split()
)
_MIRRORED = {"<": ">", "\\le": "\\ge", ">": "<", "\\ge": "\\le"}
_MATRICES = {
    "pmatrix": "matrix", "bmatrix": "matrix", "matrix": "matrix", "array": "matrix", "smallmatrix": "matrix",
    "vmatrix": "determinant", "cases": "cases",
}  # fmt: skip
_PLUS = {"\\pm": "+", "\\mp": "-"}
_MINUS = {"\\pm": "-", "\\mp": "+"}


class _TooComplicated(Exception):
    """It nests too deeply, or has too many parts, to be an answer."""


def symbolic_key(normalized: str) -> tuple[str, bool]:
    """The symbolic key for a normalized one; and whether a part of it had to be compared by its spelling."""
    if normalized.startswith("u:"):
        unit, value = normalized[2:].split("|", 1)
        inner, spelled = symbolic_key(value)
        return f"u:{unit}|{inner}", spelled
    if not normalized.startswith("m:"):
        return normalized, False
    if len(normalized) > MAX_CHARACTERS:
        return normalized, True
    reader = _ShapeReader()
    try:
        key = reader.answer(split_tokens(normalized[2:]), 0)
    except (_TooComplicated, RecursionError):
        return normalized, True
    return (key if isinstance(key, str) else "s:" + json.dumps(key, separators=(",", ":"))), reader.spelled


class _ShapeReader:
    """Reads one answer; counts its leaves and remembers whether one was compared by its spelling."""

    def __init__(self) -> None:
        self.leaves = 0
        self.spelled = False

    def answer(self, tokens: list[str], depth: int) -> Key:
        """The key of an answer or of a part of one."""
        if depth > MAX_DEPTH:
            raise _TooComplicated
        tokens = trim(tokens)
        for read in (self._list, self._relation, self._union, self._matrix, self._bracketed, self._ratio, self._both):
            key = read(tokens, depth)
            if key is not None:
                return key
        return self._leaf(tokens)

    # ---- shapes -----------------------------------------------------------------------------------------------------

    def _list(self, tokens: list[str], depth: int) -> Key | None:
        parts, _ = split(tokens, frozenset((",",)))
        parts = [part for part in parts if part]
        if len(parts) < 2:
            return None
        keys = _flatten([self.answer(part, depth + 1) for part in parts])
        first = keys[0]
        if _is_named(first) and not any(_is_named(key) or _kind(key) == "relation" for key in keys[1:]):
            # x = 1, 2 names both
            name = _name_of(parts[0])
            if name is not None:
                values = _flatten([self.answer(split(parts[0], _RELATIONS)[0][1], depth + 1), *keys[1:]])
                keys = [["named", [[name, value]]] for value in values]
        return ["list", *_sorted(keys)]

    def _union(self, tokens: list[str], depth: int) -> Key | None:
        for separator, kind in (("\\setminus", "without"), ("\\cup", "union"), ("\\cap", "intersection")):
            parts, _ = split(tokens, frozenset((separator,)))
            if len(parts) > 1 and all(parts):
                keys = [self.answer(part, depth + 1) for part in parts]
                return [kind, *(keys if kind == "without" else _sorted(keys))]
        return None

    def _ratio(self, tokens: list[str], depth: int) -> Key | None:
        parts, _ = split(tokens, frozenset((":",)))
        return ["ratio", *(self.answer(part, depth + 1) for part in parts)] if len(parts) > 1 and all(parts) else None

    def _both(self, tokens: list[str], depth: int) -> Key | None:
        """a ± b is two answers."""
        if "\\pm" not in tokens and "\\mp" not in tokens:
            return None
        both = [[signs.get(token, token) for token in tokens] for signs in (_PLUS, _MINUS)]
        return ["list", *_sorted([self.answer(part, depth + 1) for part in both])]

    def _bracketed(self, tokens: list[str], depth: int) -> Key | None:
        """What one pair of brackets encloses whole."""
        kind = _BRACKETS.get((tokens[0], tokens[-1])) if len(tokens) > 1 else None
        if kind is None or not encloses(tokens):
            return None
        parts, _ = split(tokens[1:-1], frozenset((",",)))
        if kind == "set":
            keys = _flatten([self.answer(part, depth + 1) for part in parts if part])
            unique = {json.dumps(key): key for key in keys}
            return ["set", *_sorted(list(unique.values()))]
        if len(parts) == 1:
            # Brackets around a single thing say nothing; (5] is no interval.
            return self.answer(tokens[1:-1], depth + 1) if kind in ("tuple", "closed") and parts[0] else None
        return [kind, *(self.answer(part, depth + 1) for part in parts)]

    def _matrix(self, tokens: list[str], depth: int) -> Key | None:
        # \begin{pmatrix} … \end{pmatrix}: the name stands in braces, letter by letter.
        if tokens[:2] != ["\\begin", "{"] or "}" not in tokens:
            return None
        head = tokens.index("}")
        environment = "".join(tokens[2:head])
        if tokens[-(head + 1) :] != ["\\end", *tokens[1 : head + 1]] or environment not in _MATRICES:
            return None
        body = tokens[head + 1 : -(head + 1)]
        if environment == "array" and body[:1] == ["{"] and "}" in body:
            body = body[body.index("}") + 1 :]  # the columns' alignment
        if "\\begin" in body:
            return None
        rows = [row for row in split(body, frozenset(("\\\\",)))[0] if row]
        cells = [[self.answer(cell, depth + 2) for cell in split(row, frozenset(("&",)))[0]] for row in rows]
        return [_MATRICES[environment], *cells]

    # ---- relations --------------------------------------------------------------------------------------------------

    def _relation(self, tokens: list[str], depth: int) -> Key | None:
        sides, operators = split(tokens, _RELATIONS)
        if not operators or not all(sides):
            return None
        if len(operators) == 1:
            key = self._solved(sides[0], operators[0], sides[1], depth)
            if key is not None:
                return key
        keys = [self.answer(side, depth + 1) for side in sides]
        name = _name(sides[0])
        if name is not None and set(operators) == {"="} and all(key == keys[1] for key in keys[1:]):
            return _named(name, keys[1])  # x = 10/4 = 2.5
        if operators == ["="] and (name := _name(sides[1])) is not None:
            return _named(name, keys[0])
        if operators == ["\\in"] and name is not None:
            return _named(name, keys[1])
        if len(operators) == 2 and (interval := _between(sides, operators, keys)) is not None:
            return interval
        if set(operators) <= set(_MIRRORED) and operators[0] in (">", "\\ge"):
            keys, operators = keys[::-1], [_MIRRORED[operator] for operator in operators[::-1]]
        elif set(operators) <= {"=", "\\ne", "\\approx", "\\sim"} and len(set(operators)) == 1:
            keys = _sorted(keys)
        return ["relation", operators, *keys]

    def _solved(self, left: list[str], operator: str, right: list[str], depth: int) -> Key | None:
        """An equation or inequality of two expressions: solved where that is linear, else up to a factor."""
        if operator not in ("=", "<", ">", "\\le", "\\ge", "\\ne"):
            return None
        if any(
            len(split(side, frozenset((",",)))[0]) > 1 or "\\pm" in side or "\\mp" in side for side in (left, right)
        ):
            return None
        if operator in ("<", "\\le"):
            left, operator, right = right, _MIRRORED[operator], left
        try:
            difference = node("add", read_expression(left), negative(read_expression(right)))
            if not difference.symbols or len(difference.symbols) > 12:
                return None
            self._count_leaf()
            if operator in (">", "\\ge"):
                return self._solved_inequality(difference, operator)
            solutions = [
                [name, solution]
                for name in sorted(difference.symbols)
                if (solution := solve(difference, name)) is not None
            ]
            if solutions and operator == "=":
                return ["named", solutions]
            return ["relation", operator, *up_to_factor(difference, signed=False)]
        except Unreadable:
            return None

    def _solved_inequality(self, difference: Node, operator: str) -> Key:
        if len(difference.symbols) == 1:
            (name,) = difference.symbols
            bound = solve(difference, name)
            if bound is not None and bound[:2] in ("q:", "n:"):
                rises = slope(difference, name)
                if rises is not None:
                    strict = "<" if operator == ">" else "\\le"
                    ends = (strict, "<") if rises else ("<", strict)
                    bounds = [bound, "n:infinity"] if rises else ["n:-infinity", bound]
                    return _named(name, [_INTERVALS[ends], *bounds])
        return ["relation", operator, *up_to_factor(difference, signed=True)]

    # ---- leaves -----------------------------------------------------------------------------------------------------

    def _count_leaf(self) -> None:
        self.leaves += 1
        if self.leaves > MAX_LEAVES:
            raise _TooComplicated

    def _leaf(self, tokens: list[str]) -> Key:
        self._count_leaf()
        number = read_rational(join(tokens))
        if number is not None:
            return number
        infinity = {"\\infty": "n:infinity", "+\\infty": "n:infinity", "-\\infty": "n:-infinity"}.get(join(tokens))
        if infinity is not None:
            return infinity
        quantity = split_unit(tokens)
        if quantity is not None:
            value, unit = quantity
            return f"u:{unit}|{self._expression(value)}"
        if len(tokens) == 1 and is_text(tokens[0]):
            return tokens_key(tokens)
        return self._expression(tokens)

    def _expression(self, tokens: list[str]) -> str:
        try:
            return evaluate.value_key(read_expression(tokens))
        except Unreadable:
            self.spelled = True
            return "m:" + join(tokens)


# ---- tokens ---------------------------------------------------------------------------------------------------------


def _named(name: str, value: Key) -> Key:
    """x = 1 ± √2 is x = 1 + √2, x = 1 − √2."""
    if _kind(value) == "list":
        return ["list", *_sorted([_named(name, item) for item in value[1:]])]
    return ["named", [[name, value]]]


def _is_named(key: Key) -> bool:
    return _kind(key) == "named"


def _kind(key: Key) -> str | None:
    return key[0] if isinstance(key, list) else None


def _between(sides: list[list[str]], operators: list[str], keys: list[Key]) -> Key | None:
    """1 < x ≤ 2 as the name x of an interval."""
    name = _name(sides[1])
    if name is None:
        return None
    low, high = keys[0], keys[2]
    if set(operators) <= {">", "\\ge"}:
        low, high, operators = high, low, [_MIRRORED[operator] for operator in operators[::-1]]
    kind = _INTERVALS.get((operators[0], operators[1]))
    return _named(name, [kind, low, high]) if kind else None


def _name_of(relation: list[str]) -> str | None:
    """The name in a relation that gives one a value: its left side."""
    sides, operators = split(relation, _RELATIONS)
    return _name(sides[0]) if operators == ["="] else None


def _name(tokens: list[str]) -> str | None:
    """The spelling of a side that is nothing but a name: x, x_1, f(x), (x,y)."""
    if len(tokens) > 2 and (tokens[0], tokens[-1]) == ("(", ")") and encloses(tokens):
        parts = [_name(part) for part in split(tokens[1:-1], frozenset((",",)))[0]]
        return f"({','.join(part for part in parts if part)})" if len(parts) > 1 and all(parts) else None
    try:
        tree = read_expression(tokens)
    except Unreadable:
        return None
    return tree.name if tree.kind == "symbol" else None


def _flatten(keys: list[Key]) -> list[Key]:
    """Parts of a list that are lists themselves (a ± b) count as parts of it."""
    return [part for key in keys for part in (key[1:] if _kind(key) == "list" else [key])]


def _sorted(keys: list[Key]) -> list[Key]:
    return sorted(keys, key=json.dumps)
