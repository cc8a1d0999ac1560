"""The level `symbolic`: a normalized key to the key of what it means. Runs inside a sandboxed worker.

The shape is read from the canonical tokens by their brackets and separators: lists, tuples, sets, intervals, unions,
matrices, equations, inequalities. The expressions at the leaves are read and evaluated; one that cannot be keeps its
spelling. Lists, sets and unions are unordered, and brackets keep their kind: (1,2), {1,2} and [1,2] stay apart.

A key with a shape is `s:` and JSON, [kind, …]; `relations` has the kinds of equations and inequalities.
"""

from __future__ import annotations

import itertools
import json
from typing import TypeAlias

from seed_grpo.meaning.equivalence import evaluate
from seed_grpo.meaning.equivalence.brackets import encloses, split, trim
from seed_grpo.meaning.equivalence.conditions import split_conditions
from seed_grpo.meaning.equivalence.expression import Unreadable
from seed_grpo.meaning.equivalence.inequalities import RELATIONS
from seed_grpo.meaning.equivalence.latex import is_text, join, split_tokens, text_content
from seed_grpo.meaning.equivalence.matrices import ENVIRONMENTS, read_matrix
from seed_grpo.meaning.equivalence.normalize import split_unit, tokens_key
from seed_grpo.meaning.equivalence.rationals import read_rational
from seed_grpo.meaning.equivalence.realsets import set_key
from seed_grpo.meaning.equivalence.relations import Key, RelationReader, kind_of, sort_keys

WARM_UP = "m:\\sqrt{2}"
"""Loads mpmath's lazy parts in a worker before its clock runs."""
MAX_CHARACTERS = 600
MAX_DEPTH = 8
MAX_LEAVES = 64
MAX_SIGNS = 4
"""Plus-minus signs in one tuple: each doubles the tuples."""

_BRACKETS = {
    ("(", ")"): "tuple", ("[", "]"): "closed", ("(", "]"): "left_open", ("[", ")"): "right_open",
    ("\\{", "\\}"): "set", ("\\langle", "\\rangle"): "vector",
}  # fmt: skip
_POINTS = frozenset("ABCDEFGHMOPQ")
"""What points are called."""
_SAYING = (" is", " are", ":", " equals", " =")
"""How words in front of a value end."""
_PLUS = {"\\pm": "+", "\\mp": "-"}
_MINUS = {"\\pm": "-", "\\mp": "+"}
_CONSTANTS = {
    "\\infty": "n:infinity", "+\\infty": "n:infinity", "-\\infty": "n:-infinity", "\\emptyset": ["set"],
    "\\mathbb{R}": ["tuple", "n:-infinity", "n:infinity"], "\\{\\}": ["set"],
}  # fmt: skip


Outcome: TypeAlias = tuple[str, bool, bool]
"""A key, whether a part of it is compared by its spelling, whether a computer algebra system could read more."""


class TooComplicated(Exception):
    """It nests too deeply, or has too many parts, to be an answer."""


def symbolic_key(normalized: str) -> tuple[str, bool]:
    """The symbolic key for a normalized one; and whether a part of it had to be compared by its spelling."""
    key, spelled, _ = first_key(normalized)
    return key, spelled


def first_key(normalized: str) -> Outcome:
    """As `symbolic_key`; and whether a computer algebra system could read more."""
    return read_normalized(normalized, ShapeReader())


def read_normalized(normalized: str, reader: ShapeReader) -> Outcome:
    """The key of a normalized one, by a reader of shapes."""
    if normalized.startswith(("u:", "w:", "c:")):
        unit, value = normalized.split("|", 1)
        inner, spelled, algebra = read_normalized(value, reader)
        return f"{unit}|{inner}", spelled, algebra
    if not normalized.startswith("m:"):
        return normalized, False, False
    if len(normalized) == 3 and normalized[2].isupper():
        return normalized, False, False  # a single capital letter is a choice
    if len(normalized) > MAX_CHARACTERS:
        return normalized, True, False
    try:
        key = reader.whole(split_tokens(normalized[2:]))
    except (TooComplicated, RecursionError):
        return normalized, True, False
    text = key if isinstance(key, str) else "s:" + json.dumps(key, separators=(",", ":"))
    return text, reader.spelled, reader.algebra


class ShapeReader(RelationReader):
    """Reads one answer; counts its leaves and remembers whether one was compared by its spelling."""

    def __init__(self) -> None:
        self.leaves = 0
        self.spelled = False
        self.algebra = False

    def whole(self, tokens: list[str]) -> Key:
        """The key of an answer: its body, and the conditions behind it."""
        body, conditions = split_conditions(trim(tokens))
        key = self.answer(body, 0)
        return ["where", key, conditions] if conditions else key

    def answer(self, tokens: list[str], depth: int) -> Key:
        """The key of an answer or of a part of one."""
        if depth > MAX_DEPTH:
            raise TooComplicated
        tokens = trim(tokens)
        for read in (self._conditions, self._list, self._congruence, self.relation, self._union, self._matrix,
                     self._bracketed, self._ratio, self._both):  # fmt: skip
            key = read(tokens, depth)
            if key is not None:
                return key
        return self._leaf(tokens)

    # ---- shapes -----------------------------------------------------------------------------------------------------

    def _conditions(self, tokens: list[str], depth: int) -> Key | None:
        """Inequalities of one symbol, joined by "and", "or" or commas; sets of the numbers that fulfil them."""
        found = self.real_set(tokens)
        if found is None:
            return self._joined(tokens, depth)
        name, numbers = found
        key = set_key(numbers)
        return ["named", name, key] if name else key

    def _joined(self, tokens: list[str], depth: int) -> Key | None:
        """What "and" and "or" join and is no set of numbers."""
        for separator, kind in (("\\lor", "or"), ("\\land", "list")):
            parts, _ = split(tokens, frozenset((separator,)))
            parts = [part for part in parts if part]
            if len(parts) > 1:
                return [kind, *sort_keys(_flatten([self.answer(part, depth + 1) for part in parts]))]
        return None

    def _list(self, tokens: list[str], depth: int) -> Key | None:
        parts, _ = split(tokens, frozenset((",",)))
        parts = [part for part in parts if part]
        if len(parts) < 2:
            return None
        keys = _flatten([self.answer(part, depth + 1) for part in parts])
        if kind_of(keys[0]) == "named" and not any(kind_of(key) in _WITH_NAMES for key in keys[1:]):
            # x = 1, 2 names both
            name = self.name_of(parts[0])
            if name is not None:
                values = _flatten([self.answer(split(parts[0], RELATIONS)[0][1], depth + 1), *keys[1:]])
                keys = [["named", name, value] for value in values]
        return ["list", *sort_keys(keys)]

    def _union(self, tokens: list[str], depth: int) -> Key | None:
        for separator, kind in (("\\setminus", "without"), ("\\cup", "union"), ("\\cap", "intersection")):
            parts, _ = split(tokens, frozenset((separator,)))
            if len(parts) > 1 and all(parts):
                numbers = self.numbers_of(tokens)
                if numbers is not None:
                    return set_key(numbers)
                keys = [self.answer(part, depth + 1) for part in parts]
                return [kind, *(keys if kind == "without" else sort_keys(keys))]
        return None

    def _ratio(self, tokens: list[str], depth: int) -> Key | None:
        parts, _ = split(tokens, frozenset((":",)))
        return ["ratio", *(self.answer(part, depth + 1) for part in parts)] if len(parts) > 1 and all(parts) else None

    def _both(self, tokens: list[str], depth: int) -> Key | None:
        """a ± b is two answers."""
        if "\\pm" not in tokens and "\\mp" not in tokens:
            return None
        both = [[signs.get(token, token) for token in tokens] for signs in (_PLUS, _MINUS)]
        return ["list", *sort_keys(_flatten([self.answer(part, depth + 1) for part in both]))]

    def _bracketed(self, tokens: list[str], depth: int) -> Key | None:
        """What one pair of brackets encloses whole."""
        if len(tokens) > 4 and tokens[0] in _POINTS and tokens[1] == "(" and "," in tokens and encloses(tokens[1:]):
            return ["named", tokens[0], self.answer(tokens[1:], depth + 1)]  # A(0,1)
        kind = _BRACKETS.get((tokens[0], tokens[-1])) if len(tokens) > 1 else None
        if kind is None or not encloses(tokens):
            return None
        parts, _ = split(tokens[1:-1], frozenset((",",)))
        if kind == "set":
            keys = _flatten([self.answer(part, depth + 1) for part in parts if part])
            unique = {json.dumps(key): key for key in keys}
            return ["set", *sort_keys(list(unique.values()))]
        if len(parts) == 1:
            # Brackets around a single thing say nothing; (5] is no interval.
            return self.answer(tokens[1:-1], depth + 1) if kind in ("tuple", "closed") and parts[0] else None
        if "\\mp" in tokens:  # upper signs together, lower signs together
            return self._both(tokens, depth)
        if 0 < tokens.count("\\pm") <= MAX_SIGNS:
            choices = [self._signed(part, depth) for part in parts]
            return ["list", *sort_keys([[kind, *combination] for combination in itertools.product(*choices)])]
        return [kind, *(self.answer(part, depth + 1) for part in parts)]

    def _signed(self, part: list[str], depth: int) -> list[Key]:
        """The values of a tuple's component: two for one with a plus-minus sign."""
        return _flatten([self.answer(part, depth + 1)]) if "\\pm" in part else [self.answer(part, depth + 1)]

    def _matrix(self, tokens: list[str], depth: int) -> Key | None:
        if "\\begin" not in tokens:
            return None
        matrix = read_matrix(tokens)
        if matrix is None:
            return self._table(tokens, depth)
        kind, rows = matrix
        cells: list[list[Key]] = []
        for row in rows:
            cells.append([])
            for cell in row:
                if isinstance(cell, list):
                    cells[-1].append(self.answer(cell, depth + 2))
                else:
                    self.count_leaf()
                    cells[-1].append(self.tree_key(cell))
        return [kind, *cells]

    def _table(self, tokens: list[str], depth: int) -> Key | None:
        """Cases, and what else is in rows and no matrix: one column of equations is a list."""
        braced = tokens[:1] == ["\\{"]
        if braced:
            tokens = tokens[1:]
        if tokens[:2] != ["\\begin", "{"] or "}" not in tokens:
            return None
        head = tokens.index("}")
        kind = ENVIRONMENTS.get("".join(tokens[2:head]))
        if tokens[-(head + 1) :] != ["\\end", *tokens[1 : head + 1]] or kind is None:
            return None
        kind = "cases" if braced else kind
        body = tokens[head + 1 : -(head + 1)]
        if body[:1] == ["{"] and "}" in body and "".join(tokens[2:head]) == "array":
            body = body[body.index("}") + 1 :]  # the columns' alignment
        if "\\begin" in body:
            return None
        rows = [trim(row) for row in split(body, frozenset(("\\\\",)))[0] if trim(row)]
        cells = [split(row, frozenset(("&",)))[0] for row in rows]
        if kind in ("cases", "aligned") and all(not RELATIONS.isdisjoint(row) for row in rows):
            joined = [[token for token in row if token != "&"] for row in rows]
            if all(len(row) == 1 for row in cells) or kind == "aligned":
                keys = [self.answer(row[:-1] if row[-1] == "," else row, depth + 1) for row in joined]
                return ["list", *sort_keys(_flatten(keys))]
        return [kind, *([self.answer(cell, depth + 2) for cell in row] for row in cells)]

    def _congruence(self, tokens: list[str], depth: int) -> Key | None:
        sides, operators = split(tokens, frozenset(("\\equiv",)))
        return self.congruence(sides, depth) if len(operators) == 1 and all(sides) else None

    # ---- leaves -----------------------------------------------------------------------------------------------------

    def count_leaf(self) -> None:
        self.leaves += 1
        if self.leaves > MAX_LEAVES:
            raise TooComplicated

    def _leaf(self, tokens: list[str]) -> Key:
        self.count_leaf()
        text = join(tokens)
        number = read_rational(text)
        if number is not None:
            return number
        if len(tokens) > 1 and is_text(tokens[0]) and text_content(tokens[0]).lower().endswith(_SAYING):
            return ["label", tokens[0], self.answer(tokens[1:], MAX_DEPTH - 1)]  # the area is 12
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        quantity = split_unit(tokens)
        if quantity is not None:
            value, unit = quantity
            return unit + (read_rational(join(value)) or self._expression(value))
        if len(tokens) == 1 and is_text(tokens[0]):
            return tokens_key(tokens)
        return self._expression(tokens)

    def _expression(self, tokens: list[str]) -> str:
        try:
            return evaluate.value_key(self.read(tokens))
        except Unreadable:
            self.spelled = True
            return "m:" + join(tokens)


_WITH_NAMES = ("named", "relation", "equation", "label", "defined", "chain", "congruence", "or")


def _flatten(keys: list[Key]) -> list[Key]:
    """Parts of a list that are lists themselves (a ± b) count as parts of it."""
    return [part for key in keys for part in (key[1:] if kind_of(key) == "list" else [key])]
