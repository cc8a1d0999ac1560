"""The level `normalized`: string rules for LaTeX answers, and exact rationals. Nothing is evaluated.

The result is a key: a string that begins with its kind.

* `q:1/2` an exact rational
* `u:min|q:10` a quantity: its unit, and the key of its value; `u:_5|q:204` a number written in base 5
* `t:east` words, in lower case
* `m:x^{2}+1` mathematics, in its canonical spelling

Every rule is linear in the answer's length. docs/answer_keys.md lists the rules with examples.
"""

from __future__ import annotations

import re

from seed_grpo.meaning.equivalence.characters import clean
from seed_grpo.meaning.equivalence.functions import FUNCTIONS
from seed_grpo.meaning.equivalence.latex import (
    canonical_tokens,
    is_command_word,
    is_text,
    join,
    text_content,
    trim,
)
from seed_grpo.meaning.equivalence.rationals import read_rational
from seed_grpo.meaning.equivalence.units import unit_name

MAX_CHARACTERS = 2000
"""A longer answer is compared as it stands: no rule makes sense of it."""
_MAX_WRAPPERS = 8

_PLAIN_INTEGER = re.compile(r"-?[1-9][0-9]{0,99}")
_DOLLAR = re.compile(r"(?<!\\)\$")
_WRAPPERS = (("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"))
_WRAPPING_COMMAND = re.compile(
    r"\\(boxed|fbox|text|textrm|textnormal|textbf|textit|mathrm|mathbf|mathit|mbox|hbox|boldsymbol|bm|displaystyle)\s*(?=\{)"
)
_THOUSANDS = re.compile(r"(?<![0-9,.])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])")
_SPACED_THOUSANDS = re.compile(r"([+-]?)([0-9]{1,3}(?: [0-9]{3})+)(\.[0-9]+)?")
_CHOICE = re.compile(r"\(?([A-Z])[).:]?|\(([a-z])\)")
_WORDS = re.compile(r"[^\W\d_](?:[^\W\d_]|[ ,'.\-])*")
_SHORT_WORDS = frozenset("yes no odd one two six ten red all any not none true zero both".split())
_RELATION_TOKENS = frozenset(("=", "<", ">", "\\le", "\\ge", "\\ne", "\\in", ",", "\\approx", "\\equiv", "&", "\\\\"))
_ANGLE_FUNCTIONS = frozenset(command for command, function in FUNCTIONS.items() if function.angle)
_UNIT_TOKEN = re.compile(r"[\^{}/*°%'-]|\\\$|[0-9]")
_UNIT_SIGNS = frozenset(("°", "%", "'", "\\$"))


def normalized_key(answer: str) -> str:
    """The key of an answer at the level `normalized`. Two answers are the same if their keys are."""
    answer = answer.strip()
    if _PLAIN_INTEGER.fullmatch(answer):
        return "q:" + answer
    if len(answer) > MAX_CHARACTERS:
        return "m:" + answer
    text, as_text = _unwrap(clean(answer))
    if _is_one_number(text):
        text = text.replace(",", "")
    elif match := _SPACED_THOUSANDS.fullmatch(text):
        text = match[1] + match[2].replace(" ", "") + (match[3] or "")
    words = _words_key(text, as_text)
    return words if words is not None else tokens_key(canonical_tokens(text))


def tokens_key(tokens: list[str]) -> str:
    """The normalized key of canonical tokens: a number, a quantity, words, or their spelling."""
    if tokens[:1] == ["="]:
        tokens = tokens[1:]
    canonical = join(tokens)
    number = read_rational(canonical)
    if number is not None:
        return number
    if len(tokens) == 1 and is_text(tokens[0]):
        return "t:" + text_content(tokens[0]).lower()
    if len(tokens) == 3 and tokens[0] == "(" and tokens[2] == ")" and len(tokens[1]) == 1 and tokens[1].isalpha():
        return "m:" + tokens[1]  # a choice
    quantity = split_unit(tokens)
    if quantity is not None:
        value, unit = quantity
        return f"u:{unit}|{read_rational(join(value)) or 'm:' + join(value)}"
    return "m:" + canonical


def split_unit(tokens: list[str]) -> tuple[list[str], str] | None:
    """A quantity as its value's tokens and the name of its unit; None for what is no quantity.

    A unit is text behind a value, or one of the signs ° % ' \\$; currency may stand in front; the base of 204_5 is one
    as well.
    """
    if not tokens or not _RELATION_TOKENS.isdisjoint(tokens):
        return None
    sign, rest = (tokens[:1], tokens[1:]) if tokens[0] in ("+", "-") else ([], tokens)
    currency = {"\\$": "$", "\\text{euro}": "€", "\\text{pound}": "£", "\\text{USD}": "$"}
    if len(rest) > 1 and rest[0] in currency:
        return [*sign, *rest[1:]], currency[rest[0]]
    if len(rest) == 5 and rest[1:3] == ["_", "{"] and rest[4] == "}" and rest[0].isdigit() and rest[3].isdigit():
        return [*sign, rest[0]], f"_{rest[3]}"
    if len(rest) == 5 and rest[1:3] == ["_", "{"] and is_text(rest[3]) and rest[0].isdigit():
        return [*sign, rest[0]], f"_{text_content(rest[3]).lower()}"
    start = len(tokens)
    for index in range(len(tokens) - 1, 0, -1):
        if is_text(tokens[index]) or tokens[index] in _UNIT_SIGNS:
            start = index
        elif not _UNIT_TOKEN.fullmatch(tokens[index]) and not (tokens[index] == "C" and tokens[index - 1] == "°"):
            break
    value = tokens[:start]
    if start == len(tokens) or value[-1] in ("+", "-", "*", "/", "^", "_", "{", "("):
        return None
    if tokens[start] == "'" and value[-1][-1] not in "0123456789}":
        return None  # y' is a derivative, 0.003'' an angle
    if tokens[start] in ("°", "'") and not _ANGLE_FUNCTIONS.isdisjoint(value):
        return None
    parts = [text_content(token) if is_text(token) else token.replace("\\$", "$") for token in tokens[start:]]
    unit = unit_name(parts)
    return (value, unit) if unit else None


def _unwrap(text: str) -> tuple[str, bool]:
    """Without math delimiters, outer braces, a sentence's full stop; and whether it stood in a text command."""
    as_text = False
    for _ in range(_MAX_WRAPPERS):
        before = text
        text = trim(text)
        if text.endswith(".") and not text.endswith(("..", "\\.")):
            text = text[:-1].rstrip()
        dollars = len(_DOLLAR.findall(text))
        if dollars and dollars % 2 == 0:  # $69$,$84$
            text = _DOLLAR.sub("", text).strip()
        command = _WRAPPING_COMMAND.match(text)
        group = text[command.end() :] if command else text
        if group.startswith("{") and _closes(group) == len(group):
            as_text = as_text or bool(command and command[1] not in ("boxed", "fbox", "displaystyle"))
            text = group[1:-1].replace("~", " ").strip()
        for opening, closing in _WRAPPERS:
            inner = text[len(opening) : len(text) - len(closing)].strip()
            if len(text) > len(opening + closing) and text.startswith(opening) and text.endswith(closing):
                text = inner if closing not in inner and opening not in inner else text
        if text == before:
            break
    if len(_DOLLAR.findall(text)) == 1:  # a single one is currency
        text = _DOLLAR.sub(r"\\$", text)
    return text, as_text


def _closes(text: str) -> int:
    """The position behind the partner of the brace that the text begins with; 0 if there is none."""
    depth = 0
    for match in re.finditer(r"\\.|[{}]", text):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return match.end()
    return 0


def _is_one_number(text: str) -> bool:
    """Whether a comma can only separate thousands: not inside brackets, and not between several numbers."""
    commas = text.count(",")
    if not commas or any(bracket in text for bracket in ("(", "[", "\\{")):
        return False
    groups = _THOUSANDS.findall(text)
    return len(groups) == 1 and groups[0].count(",") == commas


def _words_key(text: str, as_text: bool) -> str | None:
    """The key of an answer in words, or of a single letter such as the choice (A)."""
    plain = text.replace("\\ ", " ").strip(" .,")
    choice = _CHOICE.fullmatch(plain)
    if choice:
        return "m:" + (choice[1] or choice[2])
    if not _WORDS.fullmatch(plain):
        return None
    words = plain.replace(",", " ").replace("-", " ").split()
    if not as_text and any(is_command_word(word) for word in words):
        return None
    if as_text or (len(words) > 1 and all(len(word) > 2 for word in words)) or any(_is_word(word) for word in words):
        return "t:" + " ".join(plain.lower().split()) if len(plain) > 1 else "m:" + plain
    return None


def _is_word(word: str) -> bool:
    """Whether bare letters are a word rather than a product: long, well known, or a name in capitals such as AB."""
    return (
        len(word) > 3
        or word.lower() in _SHORT_WORDS
        or (len(word) > 1 and word.isupper())
        or (len(word) == 3 and word[0].isupper() and word[1:].islower())
    )
