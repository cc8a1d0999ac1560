"""Sides that say what was measured and are no single name: `\\angle APC`, `AB`, `\\sin\\theta`, `P(X=2)`."""

from __future__ import annotations

from seed_grpo.meaning.equivalence.brackets import encloses
from seed_grpo.meaning.equivalence.expression import Node, Unreadable, read_expression
from seed_grpo.meaning.equivalence.latex import is_text

_MARKS = frozenset("\\angle \\triangle \\hat \\overline \\vec \\overparen \\overarc".split())
_MEASURES = frozenset(("m", "S", "V", "A", "P", "d", "r"))


def is_label(tokens: list[str]) -> bool:
    """Whether a side of an equation is the description of a value, which may be left out."""
    if not tokens:
        return False
    if is_text(tokens[0]) or tokens[0] in _MARKS or (tokens[0] in _MEASURES and tokens[1:2] and tokens[1] in _MARKS):
        return not any(token in ("+", "-") for token in tokens)
    measure = len(tokens[0]) == 1 and (tokens[0].isupper() or tokens[0] == "n")
    if len(tokens) > 3 and measure and tokens[1] == "(" and encloses(tokens[1:]):
        return True  # P(X=2), E(X), N(\mu, \sigma)
    if tokens[:4] in (["\\mathbb", "{", "P", "}"], ["\\mathbb", "{", "E", "}"]) or tokens[0] in (
        "\\Pr",
        "\\max",
        "\\min",
    ):
        return True
    try:
        return _describes(read_expression(tokens))
    except Unreadable:
        return False


def _describes(tree: Node) -> bool:
    if not tree.symbols:
        return False
    if tree.kind in ("function", "abs"):
        return True
    if tree.kind == "power":
        return tree.parts[0].kind == "function" and not tree.parts[1].symbols
    return tree.kind in ("multiply", "divide") and _of_capitals(tree)


def _of_capitals(tree: Node) -> bool:
    """Products and quotients of capital letters: AB, AB/CD."""
    if tree.kind == "symbol":
        return tree.name[0].isupper()
    return tree.kind in ("multiply", "divide") and all(_of_capitals(part) for part in tree.parts)
