"""Correct or not, from keys.

An answer is correct when its key is the gold's. Two conveniences go beyond that, and both look only at keys: where one
side has a unit (or a percent sign, or a currency) and the other has none, the numbers are compared; where one side
names its value (`x=5`) and the other does not, the values are. Between clusters neither holds, or 10 minutes would be
10 hours, and x=5 would be y=5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from seed_grpo.errors import SeedGrpoError

_ASSIGNMENT = re.compile(r"relation<(?P<left>[^<>|]*)\|=\|(?P<right>[^|]*)>")
_NORMALIZED_ASSIGNMENT = re.compile(r"m:(?:[A-Za-z](?:_\w)?|\\[a-z]+|[A-Za-z]\([a-z]\))=([^=<>]+)")


def gold_strings(gold: str | float | Sequence[str | float]) -> list[str]:
    """The gold answers as strings. A list holds alternatives; 142.0 is `142.0`.

    Raises:
        SeedGrpoError: there is none, or one is empty.
    """
    if isinstance(gold, (str, int, float)):
        gold = [gold]
    strings = [str(item).strip() for item in gold]
    if not strings or not all(strings):
        raise SeedGrpoError(f"The gold answer is empty: {gold!r}.", "leave the problem out, or give its answer.")
    return strings


def is_correct(answer_key: str, gold_keys: Sequence[str], level: str) -> bool:
    """Whether an answer with this key is one of the golds."""
    if answer_key in gold_keys:
        return True
    if level == "exact":
        return False
    return any(_loosely_equal(answer_key, gold_key) for gold_key in gold_keys)


def _loosely_equal(answer_key: str, gold_key: str) -> bool:
    answer_unit, gold_unit = answer_key.startswith("u:"), gold_key.startswith("u:")
    if answer_unit != gold_unit and _without_unit(answer_key) == _without_unit(gold_key):
        return True
    answer_value, gold_value = _assigned(answer_key), _assigned(gold_key)
    if (answer_value is None) == (gold_value is None):
        return False
    return (answer_value or answer_key) == (gold_value or gold_key)


def _without_unit(key: str) -> str:
    return "q:" + key[2:].split(" ", 1)[0] if key.startswith("u:") else key


def _assigned(key: str) -> str | None:
    """The key of the value, for the key of an equation that names one (x=5); None for any other."""
    if key.startswith("relation<"):
        match = _ASSIGNMENT.fullmatch(key)
        if not match:
            return None
        sides = [match["left"], match["right"]]
        names = [side for side in sides if re.fullmatch(r"m:[A-Za-z]", side)]
        return next(side for side in sides if side not in names) if len(names) == 1 else None
    match = _NORMALIZED_ASSIGNMENT.fullmatch(key)
    if not match:
        return None
    from seed_grpo.equivalence.normalize import normalized_key

    return normalized_key(match[1])
