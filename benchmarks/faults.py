"""What an equality of answers gets wrong as an equality, whatever answers it calls equal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, permutations


def count_faults(
    answers: Sequence[str], equal: Callable[[str, str], bool]
) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
    """Pairs that are equal in one order and not in the other; and triples a, b, c with a = b and b = c in both orders
    and a = c in neither."""
    table = {pair: equal(*pair) for pair in permutations(answers, 2)}
    asymmetric = [(a, b) for a, b in combinations(answers, 2) if table[a, b] != table[b, a]]
    intransitive = []
    for b in answers:
        near = [a for a in answers if a != b and table[a, b] and table[b, a]]
        intransitive += [(a, b, c) for a, c in combinations(near, 2) if not table[a, c] and not table[c, a]]
    return asymmetric, intransitive
