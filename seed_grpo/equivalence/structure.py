"""The shape of an answer: lists, tuples, sets, intervals, unions, relations, matrices, and the expressions in them.

The shape is read from the canonical spelling by its brackets and separators alone, so that (1,2), {1,2} and [1,2] keep
apart whatever a parser makes of them; only the expressions at the leaves are handed to one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_DEPTH = 12
MAX_LEAVES = 64

_OPENING, _CLOSING = "([{", ")]}"
_TOKEN = re.compile(r"\\[A-Za-z]+ ?|\\.|.", re.DOTALL)
_RELATIONS = {"=": "=", "<": "<", ">": ">", "\\le": "\\le", "\\ge": "\\ge", "\\ne": "\\ne", "\\in": "\\in",
              "\\notin": "\\notin", "\\approx": "\\approx", "\\equiv": "\\equiv", "\\sim": "\\sim"}  # fmt: skip
_FLIPPED = {">": "<", "\\ge": "\\le"}
_SYMMETRIC = {"=", "\\ne", "\\approx"}
_MATRIX = re.compile(r"\\begin\{([pbvBV]?matrix)\}(.*)\\end\{\1\}", re.DOTALL)


@dataclass(frozen=True)
class Shape:
    """A node: its kind, and its parts (shapes), or for a leaf its text."""

    kind: str
    parts: tuple[Shape, ...] = ()
    text: str = ""
    marks: tuple[str, ...] = field(default=())

    def leaves(self) -> list[str]:
        """The texts of all leaves, in order."""
        return [self.text] if self.kind == "leaf" else [text for part in self.parts for text in part.leaves()]

    def key(self, leaf_key: Callable[[str], str]) -> str:
        """The canonical key, given the key of each leaf. Unordered kinds sort their parts' keys."""
        if self.kind == "leaf":
            return leaf_key(self.text)
        keys = [part.key(leaf_key) for part in self.parts]
        if self.kind in ("list", "union"):
            keys = sorted(keys)
        elif self.kind == "set":
            keys = sorted(set(keys))
        elif self.kind == "relation":
            return _relation_key(keys, list(self.marks))
        return f"{self.kind}{''.join(self.marks)}<{'|'.join(keys)}>"


def read_shape(text: str) -> Shape | None:
    """The shape of a canonical spelling; None if it nests too deeply or has too many parts to be an answer."""
    try:
        shape = _read(text, 0)
    except _TooComplicated:
        return None
    return shape if len(shape.leaves()) <= MAX_LEAVES else None


class _TooComplicated(Exception):
    pass


def _read(text: str, depth: int) -> Shape:
    if depth > MAX_DEPTH:
        raise _TooComplicated
    text = text.strip()
    tokens = [token.rstrip(" ") or token for token in _TOKEN.findall(text)]
    commas = _split(tokens, {","})
    if len(commas.parts) > 1:
        return Shape("list", tuple(_read(part, depth + 1) for part in commas.parts))
    relation = _split(tokens, set(_RELATIONS))
    if len(relation.parts) > 1 and all(relation.parts):
        return Shape(
            "relation", tuple(_read(part, depth + 1) for part in relation.parts), marks=tuple(relation.separators)
        )
    union = _split(tokens, {"\\cup"})
    if len(union.parts) > 1:
        return Shape("union", tuple(_read(part, depth + 1) for part in union.parts))
    matrix = _MATRIX.fullmatch(text)
    if matrix and "\\begin" not in matrix[2]:
        return _matrix(matrix[1], matrix[2], depth)
    bracketed = _bracketed(tokens, depth)
    if bracketed:
        return bracketed
    if "\\pm" in tokens or "\\mp" in tokens:
        flip = {"\\pm": "+", "\\mp": "-"}, {"\\pm": "-", "\\mp": "+"}
        both = ("".join(_spaced(signs.get(token, token) for token in tokens)).removeprefix("+") for signs in flip)
        return Shape("list", tuple(_read(part, depth + 1) for part in both))
    return Shape("leaf", text=text)


@dataclass
class _Parts:
    parts: list[str]
    separators: list[str]


def _split(tokens: list[str], separators: set[str]) -> _Parts:
    """Split at separators outside all brackets. Half-open intervals mix bracket kinds, so only the depth counts."""
    parts: list[list[str]] = [[]]
    found: list[str] = []
    level = environments = 0
    for token in tokens:
        if token in ("(", "[", "{", "\\{", "\\langle"):
            level += 1
        elif token in (")", "]", "}", "\\}", "\\rangle"):
            level = max(level - 1, 0)
        environments += {"\\begin": 1, "\\end": -1}.get(token, 0)
        if token in separators and level == 0 and environments == 0:
            parts.append([])
            found.append(token)
        else:
            parts[-1].append(token)
    return _Parts(["".join(_spaced(part)) for part in parts], found)


def _spaced(tokens) -> list[str]:  # type: ignore[no-untyped-def]
    """Tokens with the space that keeps a command from the letter behind it."""
    out: list[str] = []
    for token in tokens:
        if out and token[:1].isalpha() and re.fullmatch(r"\\[A-Za-z]+", out[-1]):
            out.append(" ")
        out.append(token)
    return out


def _bracketed(tokens: list[str], depth: int) -> Shape | None:
    """A shape that one pair of brackets encloses whole: tuple, interval, or set."""
    if len(tokens) < 2:
        return None
    first, last = tokens[0], tokens[-1]
    inner = tokens[1:-1]
    pairs = {("(", ")"), ("[", "]"), ("(", "]"), ("[", ")"), ("\\{", "\\}"), ("\\langle", "\\rangle")}
    if (first, last) not in pairs or not _encloses(inner):
        return None
    parts = _split(inner, {","}).parts
    if first == "\\{":
        return Shape("set", tuple(_read(part, depth + 1) for part in parts if part))
    if len(parts) == 1:
        # Brackets around a single expression say nothing; (-5] alone is no interval.
        return _read("".join(_spaced(inner)), depth + 1) if (first, last) in (("(", ")"), ("[", "]")) else None
    kind = "tuple" if (first, last) == ("(", ")") else "interval"
    return Shape(kind, tuple(_read(part, depth + 1) for part in parts), marks=(first, last) if kind != "tuple" else ())


def _encloses(inner: list[str]) -> bool:
    level = 0
    for token in inner:
        level += (token in ("(", "[", "{", "\\{", "\\langle")) - (token in (")", "]", "}", "\\}", "\\rangle"))
        if level < 0:
            return False
    return level == 0


def _matrix(kind: str, body: str, depth: int) -> Shape:
    rows = [row.split("&") for row in re.split(r"\\\\", body) if row.strip()]
    # pmatrix and bmatrix are two ways to draw the same thing; vmatrix is a determinant.
    name = "determinant" if kind == "vmatrix" else "matrix"
    return Shape(
        name, tuple(Shape("row", tuple(_read(cell, depth + 2) for cell in row)) for row in rows)
    )


def _relation_key(keys: list[str], operators: list[str]) -> str:
    """One key for a relation and its mirror image: x>3 as 3<x, 5=x as x=5."""
    if all(operator in _FLIPPED or operator == "=" for operator in operators) and any(o in _FLIPPED for o in operators):
        keys, operators = keys[::-1], [_FLIPPED.get(operator, operator) for operator in operators[::-1]]
    elif all(operator == operators[0] for operator in operators) and operators[0] in _SYMMETRIC:
        keys = sorted(keys)
    pairs = "".join(f"{key}|{operator}|" for key, operator in zip(keys, operators, strict=False))
    return f"relation<{pairs}{keys[-1]}>"
