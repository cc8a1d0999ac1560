"""Names of values, and the order that they are listed in."""

from __future__ import annotations

import itertools
import re


def in_usual_order(names: list[str]) -> bool:
    """Whether names follow each other in the alphabet, or by their indices: a tuple of their values needs no names."""
    if all(len(name) == 1 for name in names):
        return all(ord(b) == ord(a) + 1 for a, b in itertools.pairwise(names))
    pairs = [re.fullmatch(r"(.+)_\{([0-9]{1,3})\}", name) for name in names]
    found = [(match[1], int(match[2])) for match in pairs if match]
    return len(found) == len(names) and all(a[0] == b[0] and b[1] == a[1] + 1 for a, b in itertools.pairwise(found))
