"""How an expression is written, apart from spelling and from the order of what is added and multiplied."""

from __future__ import annotations

from seed_grpo.meaning.equivalence.expression import Node


def structure(tree: Node) -> str:
    """A text that is the same for `7 + 1605` and `1605 + 7`, and another one for 1612."""
    if tree.kind == "number":
        return str(tree.value)
    if tree.kind == "symbol":
        return tree.name
    if tree.kind in ("add", "multiply"):
        parts = sorted(structure(part) for part in _operands(tree, tree.kind))
    else:
        parts = [structure(part) for part in tree.parts]
    return f"{tree.kind}{tree.name}({','.join(parts)})"


def _operands(tree: Node, kind: str) -> list[Node]:
    """The operands of a sum or product, those of sums in sums and of products in products with them."""
    return [part for child in tree.parts for part in (_operands(child, kind) if child.kind == kind else [child])]
