"""Matrices: rows of cells, and sums of multiples of them cell by cell."""

from __future__ import annotations

from typing import TypeAlias

from seed_grpo.meaning.equivalence.brackets import split, trim
from seed_grpo.meaning.equivalence.expression import Node, Unreadable, negative, node, read_expression

ENVIRONMENTS = {
    "pmatrix": "matrix", "bmatrix": "matrix", "matrix": "matrix", "array": "matrix", "smallmatrix": "matrix",
    "vmatrix": "determinant", "cases": "cases", "aligned": "aligned", "align": "aligned", "gathered": "aligned",
    "split": "aligned", "Bmatrix": "matrix",
}  # fmt: skip
MAX_TERMS = 6
_AROUND = {("(", ")"): "matrix", ("[", "]"): "matrix", ("|", "|"): "determinant"}

Cell: TypeAlias = "list[str] | Node"
"""A cell as its tokens, or as an expression."""


def read_matrix(tokens: list[str]) -> tuple[str, list[list[Cell]]] | None:
    """The kind and the cells of a matrix, of a multiple of one, or of a sum of such; None for anything else."""
    terms = _terms(tokens)
    if not 0 < len(terms) <= MAX_TERMS:
        return None
    read = [_multiple(term) for _, term in terms]
    matrices = [part for part in read if part is not None]
    if len(matrices) < len(terms):
        return None
    if len(matrices) == 1 and matrices[0][1] is None and terms[0][0] == "+":
        kind, _, rows = matrices[0]
        return kind, [list(row) for row in rows]
    if any(kind != "matrix" for kind, _, _ in matrices):
        return None
    shapes = {tuple(len(row) for row in rows) for _, _, rows in matrices}
    if len(shapes) > 1:
        return None
    try:
        return "matrix", _sum(
            [(sign, factor, rows) for (sign, _), (_, factor, rows) in zip(terms, matrices, strict=True)]
        )
    except Unreadable:
        return None


def _sum(terms: list[tuple[str, Node | None, list[list[list[str]]]]]) -> list[list[Cell]]:
    total: list[list[Cell]] = []
    for row in range(len(terms[0][2])):
        total.append([])
        for column in range(len(terms[0][2][row])):
            cells: list[Node] = []
            for sign, factor, rows in terms:
                cell = read_expression(trim(rows[row][column]))
                cell = cell if factor is None else node("multiply", factor, cell)
                cells.append(cell if sign == "+" else negative(cell))
            total[-1].append(cells[0] if len(cells) == 1 else node("add", *cells))
    return total


def _terms(tokens: list[str]) -> list[tuple[str, list[str]]]:
    """The terms of a sum with their signs: split at signs outside all brackets, fractions and matrices."""
    terms: list[tuple[str, list[str]]] = []
    sign = "+"
    parts, signs = split(tokens, frozenset(("+", "-")))
    for part, following in zip(parts, [*signs, ""], strict=True):
        if part:
            terms.append((sign, part))
        elif terms:
            return []
        sign = following
    return terms


def _without_sign(factor: list[str]) -> list[str]:
    """A factor without the multiplication sign between it and the matrix."""
    start = 1 if factor[0] == "*" else 0
    return factor[start:-1] if factor[-1] == "*" else factor[start:]


def _multiple(tokens: list[str]) -> tuple[str, Node | None, list[list[list[str]]]] | None:
    """One matrix with factors in front or behind: its kind, the factor (None for 1), its cells."""
    if tokens.count("\\begin") != 1 or tokens.count("\\end") != 1:
        return None
    start, stop = tokens.index("\\begin"), tokens.index("\\end")
    if "}" not in tokens[start:] or "}" not in tokens[stop:]:
        return None
    head, end = tokens.index("}", start), tokens.index("}", stop) + 1
    environment = "".join(tokens[start + 2 : head])
    kind = ENVIRONMENTS.get(environment)
    if kind not in ("matrix", "determinant") or tokens[stop + 1 : end] != tokens[start + 1 : head + 1]:
        return None
    body = tokens[head + 1 : stop]
    if environment == "array" and body[:1] == ["{"] and "}" in body:
        body = body[body.index("}") + 1 :]  # the columns' alignment
    around = _AROUND.get((tokens[start - 1] if start else "", tokens[end] if end < len(tokens) else ""))
    if around is not None:
        kind, start, end = around, start - 1, end + 1
    factors = [trim(part) for part in (tokens[:start], tokens[end:]) if trim(part)]
    rows = [row for row in split(body, frozenset(("\\\\",)))[0] if row and row != ["\\hline"]]
    cells = [split(row, frozenset(("&",)))[0] for row in rows]
    if not factors:
        return kind, None, cells
    try:
        read = [read_expression(_without_sign(part)) for part in factors]
    except Unreadable:
        return None
    return kind, read[0] if len(read) == 1 else node("multiply", *read), cells
