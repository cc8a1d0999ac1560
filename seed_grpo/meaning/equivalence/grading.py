"""Correct or not, from keys.

An answer is correct when its key is the gold's. Grading is more generous than clustering in three ways, and each looks
only at keys, so that a cluster is right or wrong as a whole:

* a unit, a percent sign, a currency or a number's base may be left out on one side, and 50\\% also is 0.5;
* a name may be left out on one side: `x=5` and 5, `f(x)=2x` and 2x, `x>3` and (3,∞);
* a list of values may be written as a set.

Between clusters none of this holds, or 10 minutes would be 10 hours, and x=5 would be y=5.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from seed_grpo.errors import SeedGrpoError
from seed_grpo.meaning.equivalence.normalize import normalized_key
from seed_grpo.meaning.equivalence.rationals import rational_key

_RATIONAL = re.compile(r"q:-?[0-9]+(?:/[0-9]+)?")
_NORMALIZED_NAMED = re.compile(r"m:((?:[A-Za-z]|\\[a-z]+ ?)(?:_\{[^{}=]*\})?'*(?:\([A-Za-z]\))?)(?:=|\\in ?)([^=<>]+)")


def gold_strings(gold: str | float | Sequence[str | float]) -> list[str]:
    """The gold answers as strings, each also without `$`, leading zeros and `.0`, so that the level exact has a chance.

    Raises:
        SeedGrpoError: there is none, or one is empty.
    """
    items = [gold] if isinstance(gold, str) or not isinstance(gold, Iterable) else list(gold)
    strings: dict[str, None] = {}
    for item in items:
        if item is None or (isinstance(item, float) and not math.isfinite(item)):
            raise SeedGrpoError(f"The gold answer is {item!r}.", "leave the problem out, or give its answer.")
        text = str(item).strip()
        strings[text] = None
        strings[_plain(text)] = None
    if not strings or "" in strings:
        raise SeedGrpoError(f"The gold answer is empty: {gold!r}.", "leave the problem out, or give its answer.")
    return list(strings)


def is_correct(answer_key: str, gold_keys: Sequence[str], level: str) -> bool:
    """Whether an answer with this key is one of the golds."""
    if answer_key in gold_keys:
        return True
    if level == "exact":
        return False
    readings = list(_readings(answer_key))
    return any(
        _agree(reading, gold_reading)
        for gold_key in gold_keys
        for gold_reading in _readings(gold_key)
        for reading in readings
    )


@dataclass(frozen=True)
class _Reading:
    """A key as the name of a value, the value's key, and its unit; what is not there is empty."""

    name: str
    value: str
    unit: str


def _agree(answer: _Reading, gold: _Reading) -> bool:
    if answer.name and gold.name and answer.name != gold.name:
        return False
    if answer.unit and gold.unit and answer.unit != gold.unit:
        return False
    if answer.value == gold.value:
        return True
    # One side says percent, the other gives the share itself.
    if {answer.unit, gold.unit} == {"%", ""}:
        share, other = (answer, gold) if answer.unit else (gold, answer)
        return _hundredth(share.value) == other.value
    return False


def _readings(key: str) -> Iterator[_Reading]:
    """A key as it stands, and with each name that it may be read to give a value."""
    bare = _without_unit(_Reading("", _plain_list(key), ""))
    yield bare
    if key.startswith('s:["named"'):
        for name, value in json.loads(key[2:])[1]:
            text = value if isinstance(value, str) else "s:" + json.dumps(value, separators=(",", ":"))
            yield replace(_without_unit(_Reading("", _plain_list(text), "")), name=name)
    elif key.startswith('s:["list",["named"'):
        yield from _named_list(json.loads(key[2:])[1:])
    elif match := _NORMALIZED_NAMED.fullmatch(key):
        yield replace(_without_unit(_Reading("", normalized_key(match[2]), "")), name=match[1])


def _named_list(items: list) -> Iterator[_Reading]:
    """x=1, x=2 as the values 1, 2 of x; for every name that all items give a value."""
    if not all(isinstance(item, list) and item[0] == "named" for item in items):
        return
    values = [dict(item[1]) for item in items]
    for name in values[0]:
        if all(name in value for value in values):
            keys = sorted((value[name] for value in values), key=json.dumps)
            yield _Reading(name, "s:" + json.dumps(["list", *keys], separators=(",", ":")), "")


def _without_unit(reading: _Reading) -> _Reading:
    if not reading.value.startswith("u:"):
        return reading
    unit, value = reading.value[2:].split("|", 1)
    return replace(reading, value=value, unit=unit)


def _plain_list(key: str) -> str:
    """A set as the list of its members."""
    return 's:["list"' + key[len('s:["set"') :] if key.startswith('s:["set"') else key


def _hundredth(key: str) -> str | None:
    return rational_key(Fraction(key[2:]) / 100) if _RATIONAL.fullmatch(key) else None


def _plain(text: str) -> str:
    """A gold answer without its outer `$`; a number without leading zeros and `.0`."""
    if len(text) > 2 and text[0] == text[-1] == "$" and "$" not in text[1:-1]:
        text = text[1:-1].strip()
    match = re.fullmatch(r"([+-]?)0*([0-9]+)(?:\.0*)?", text)
    return match[1].replace("+", "") + match[2] if match else text
