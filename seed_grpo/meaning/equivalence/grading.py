"""Correct or not, from keys.

An answer is correct when its key is the gold's. Grading is more generous than clustering, and looks only at keys, so
that a cluster is right or wrong as a whole. Each key has *readings*: a value, with what may be left out beside it. Two
keys agree if a reading of each has the same value and nothing in them contradicts:

* a unit, a percent sign, a currency or a number's base may be left out on one side, and 50\\% also is 0.5;
* a name may be left out on one side: `x=5` and 5, `f(x)=2x` and 2x, `x>3` and (3,∞), `AB=5` and 5; of an equation of
  several letters only the name that stands alone;
* a list of values may be written as a set, and named values as a list or a tuple;
* the letter of a choice or its text may be left out, and the tail that says for which values an answer holds;
* an answer may show how it comes to its value, `3 \\cdot 2 = 6`; in a gold answer that is the answer itself;
* an answer may solve an equation that is the gold answer, `x=5` for `2x=10`; but `2x=10` and 5 are not the same.

Between clusters none of this holds, or 10 minutes would be 10 hours, and x=5 would be y=5.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from seed_grpo.errors import SeedGrpoError
from seed_grpo.meaning.equivalence.names import in_usual_order
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
    readings = list(_readings(answer_key, gold=False))
    return any(
        _agree(reading, gold_reading)
        for gold_key in gold_keys
        for gold_reading in _readings(gold_key, gold=True)
        for reading in readings
    )


@dataclass(frozen=True)
class _Reading:
    """A value and what may be left out beside it; what is not there is empty.

    Attributes:
        value: the key of the value.
        name: the name that it is the value of.
        units: the units in it.
        choice: the letter of the choice that it is the text of.
        conditions: for which values it holds.
    """

    value: str
    name: str = ""
    units: frozenset[str] = frozenset()
    choice: str = ""
    conditions: str = ""


def _agree(answer: _Reading, gold: _Reading) -> bool:
    for ours, theirs in (
        (answer.name, gold.name),
        (answer.units, gold.units),
        (answer.choice, gold.choice),
        (answer.conditions, gold.conditions),
    ):
        if ours and theirs and ours != theirs:
            return False
    if answer.units and gold.units and len(answer.units) > 1:
        return False  # 10 m, 5 s and 10 s, 5 m
    if answer.value == gold.value:
        return True
    # One side says percent, the other gives the share itself.
    if {answer.units, gold.units} == {_PERCENT, frozenset()}:
        share, other = (answer, gold) if answer.units else (gold, answer)
        return _hundredth(share.value) == other.value
    return False


_PERCENT = frozenset("%")


def _readings(key: str, *, gold: bool) -> Iterator[_Reading]:
    """What a key may be read to say."""
    if key.startswith("c:"):
        letter, value = key[2:].split("|", 1)
        yield _Reading("m:" + letter)
        for reading in _readings(value, gold=gold):
            yield replace(reading, choice=letter)
        return
    if match := _NORMALIZED_NAMED.fullmatch(key):
        yield _Reading(key)
        yield replace(_plain_reading(normalized_key(match[2])), name=match[1])
        return
    for reading in _shaped(json.loads(key[2:]) if key.startswith("s:") else key, gold):
        yield reading


def _shaped(key: Any, gold: bool) -> Iterator[_Reading]:
    """The readings of a key as JSON has it."""
    yield _plain_reading(_text(key))
    kind = key[0] if isinstance(key, list) else None
    if kind == "named":
        yield replace(_plain_reading(_text(key[2])), name=key[1])
        yield from _assignment(key)
        if not gold:
            yield _Reading(_text(["equation", [key[1:]]]))
    elif kind == "label":
        yield replace(_plain_reading(_text(key[2])), name=key[1])
    elif kind == "defined":
        yield replace(_plain_reading(_text(key[2])), name=key[1])
        yield _Reading(_text(["function", *key[3:]]))
    elif kind == "equation":
        yield _Reading(_text(["equation", key[2]]))
        if key[1] is not None:
            yield replace(_plain_reading(_text(key[1][1])), name=key[1][0])
    elif kind == "chain" and not gold:
        yield from _shaped(key[1], gold)
    elif kind == "approximate":
        for value in key[1:]:
            yield from _shaped(value, gold)
    elif kind == "where":
        for reading in _shaped(key[1], gold):
            yield replace(reading, conditions=_text(key[2]))
    elif kind in ("list", "or") and all(isinstance(item, list) and item[0] in _NAMED for item in key[1:]):
        yield from _named_list(key[1:])


_NAMED = ("named", "label", "defined")


def _assignment(key: list[Any]) -> Iterator[_Reading]:
    """(n,k) = (3,4) as n = 3, k = 4."""
    if key[1].startswith("(") and isinstance(key[2], list) and key[2][0] == "tuple":
        names = key[1][1:-1].split(",")
        if len(names) == len(key[2]) - 1:
            pairs = [["named", name, value] for name, value in zip(names, key[2][1:], strict=True)]
            yield _Reading(_text(["list", *_sorted(pairs)]))


def _named_list(items: list[Any]) -> Iterator[_Reading]:
    """x=1, x=2 as the values 1, 2 of x; x=1, y=2 as the values 1, 2, and as the tuple (1,2)."""
    names = [item[1] for item in items]
    values = [item[2] for item in items]
    if len(set(names)) == 1:
        yield replace(_plain_reading(_text(["list", *_sorted(values)])), name=names[0])
    elif len(set(names)) == len(names):
        both = _text(["list", *_sorted(items)])  # so it agrees with what has no names, or gives them the same values
        yield replace(_plain_reading(_text(["list", *_sorted(values)])), name=both)
        pairs = sorted(zip(names, values, strict=True), key=lambda pair: pair[0])
        if in_usual_order([name for name, _ in pairs]):
            yield replace(_plain_reading(_text(["tuple", *(value for _, value in pairs)])), name=both)


def _plain_reading(key: str) -> _Reading:
    """A key without its units, and a set as the list of its members."""
    if not key.startswith("s:"):
        unit, value = _without_unit(key)
        return _Reading(value, units=frozenset((unit,)) if unit else frozenset())
    shape = json.loads(key[2:])
    units: set[str] = set()
    bare = _bare(shape, units)
    if isinstance(bare, list) and bare[0] in ("list", "set"):
        bare = ["list", *_sorted(bare[1:])]
    return _Reading(_text(bare), units=frozenset(units))


def _bare(key: Any, units: set[str]) -> Any:
    """A shape without the units in it, which are added to `units`."""
    if isinstance(key, str):
        unit, value = _without_unit(key)
        if unit:
            units.add(unit)
        return value
    if isinstance(key, list) and key and key[0] in _COLLECTIONS:
        return [key[0], *(_bare(part, units) for part in key[1:])]
    return key


_COLLECTIONS = ("list", "set", "tuple", "closed", "left_open", "right_open", "ratio", "union")


def _without_unit(key: str) -> tuple[str, str]:
    """The unit and the value of a quantity; no unit for anything else."""
    if not key.startswith("u:"):
        return "", key
    unit, value = key[2:].split("|", 1)
    return unit, value


def _text(key: Any) -> str:
    return key if isinstance(key, str) else "s:" + json.dumps(key, separators=(",", ":"))


def _sorted(keys: list[Any]) -> list[Any]:
    return sorted(keys, key=json.dumps)


def _hundredth(key: str) -> str | None:
    return rational_key(Fraction(key[2:]) / 100) if _RATIONAL.fullmatch(key) else None


def _plain(text: str) -> str:
    """A gold answer without its outer `$`; a number without leading zeros and `.0`."""
    if len(text) > 2 and text[0] == text[-1] == "$" and "$" not in text[1:-1]:
        text = text[1:-1].strip()
    match = re.fullmatch(r"([+-]?)0*([0-9]+)(?:\.0*)?", text)
    return match[1].replace("+", "") + match[2] if match else text
