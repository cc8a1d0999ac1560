"""The level `normalized`: string rules for LaTeX answers, and exact rationals. Nothing is evaluated.

The result is a key: a string that begins with its kind.

* `q:1/2` an exact rational
* `u:min|q:10` a quantity: its unit, and the key of its value; `u:_5|q:204` a number written in base 5
* `w:or more|q:5` a value with words behind it that are part of the answer
* `c:C|q:12` a choice with its text: the letter, and the key of the text
* `t:east` words, in lower case
* `m:x^{2}+1` mathematics, in its canonical spelling

Every rule is linear in the answer's length. docs/answer_keys.md lists the rules with examples.
"""

from __future__ import annotations

import re
from fractions import Fraction

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
from seed_grpo.meaning.equivalence.rationals import key_tokens, rational_key, read_rational
from seed_grpo.meaning.equivalence.repair import repair
from seed_grpo.meaning.equivalence.units import SCALES, unit_name

MAX_CHARACTERS = 2000
"""A longer answer is compared as it stands: no rule makes sense of it."""
_MAX_WRAPPERS = 8

_PLAIN_INTEGER = re.compile(r"-?[1-9][0-9]{0,99}")
_DOLLAR = re.compile(r"(?<!\\)\$")
_WRAPPERS = (("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("*", "*"), ("__", "__"), ("`", "`"), ('"', '"'))
_WRAPPER_STARTS = frozenset(opening[0] for opening, _ in _WRAPPERS)
_GROUP_STARTS = frozenset("{\\")
_JUNK_ENDS = (".", ",", ";", ":", "\\")
_JUNK = (",", ";", "\\\\", " \\", ":")
_WRAPPING_COMMAND = re.compile(
    r"\\(boxed|fbox|text|textrm|textnormal|textbf|textit|mathrm|mathbf|mathit|mbox|hbox|boldsymbol|bm|displaystyle)\s*(?=\{)"
)
_THOUSANDS = re.compile(r"(?<![0-9,.])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])")
_SPACED_THOUSANDS = re.compile(r"([+-]?)([0-9]{1,3}(?: [0-9]{3})+)(\.[0-9]+)?")
_CHOICE = re.compile(
    r"(?:(?:[Oo]ption|[Cc]hoice|[Aa]nswer) )?\(?([A-Z])[).:]?|\(([a-e])\)|(?:[Oo]ption|[Cc]hoice) \(?([a-e])\)?"
)
_ANSWER_IS = re.compile(r"(?:\\text ?\{ ?)?(?:[Tt]he )?(?:[Ff]inal )?[Aa]nswer(?: is:?|:) ?\}? ?(?=.)")
_SYNONYMS = {
    "all real numbers": "m:\\mathbb{R}", "all reals": "m:\\mathbb{R}", "the set of all real numbers": "m:\\mathbb{R}",
    "no solution": "m:\\emptyset", "no solutions": "m:\\emptyset", "empty set": "m:\\emptyset",
    "the empty set": "m:\\emptyset",
}  # fmt: skip
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen".split()
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_NUMBERS = {
    **{word: number for number, word in enumerate(_ONES)},
    **{word: 10 * number for number, word in enumerate(_TENS, 2)},
    **{f"{ten} {one}": 10 * i + j for i, ten in enumerate(_TENS, 2) for j, one in enumerate(_ONES[:10]) if j},
}
_CHOICE_STARTS = frozenset("\\(ABCDEFGHIJ")
_GAP = r"(?:\\ |\\[,;:]|\\quad|\\qquad|~| )"
_CHOICE_WITH_TEXT = re.compile(
    r"(?:\\(?:text|textbf|textrm|mathrm|mathbf|bold|mbox) ?\{ ?)(?:\(([A-Ja-e])\)|([A-J])[).:])[.:]? ?\}"
    rf"{_GAP}*(.+)|(?:\(([A-J])\)[.:]?|([A-J])[).:]){_GAP}+(.+)"
)
_TEXT_AND_BRACE = re.compile(r"\\(?:text|textbf|textrm|mathrm|mbox) ?\{ ?\(([A-J])\) ?([^{}]+)\}")
_WORDS = re.compile(r"[^\W\d_](?:[^\W\d_]|[ ,'.\-])*")
_PROSE = re.compile(r"[^\W\d_][\w ,'.\-?!:;\"“”()&/]*")
_CIRCLED = re.compile(r"[①-⑳](?:[ ,]*[①-⑳])*")
_SHORT_WORDS = frozenset("yes no odd one two six ten red all any not none true zero both".split())
_RELATION_TOKENS = frozenset(("=", "<", ">", "\\le", "\\ge", "\\ne", "\\in", ",", "\\approx", "\\equiv", "&", "\\\\"))
_ANGLE_FUNCTIONS = frozenset(command for command, function in FUNCTIONS.items() if function.angle)
_UNIT_TOKEN = re.compile(r"[\^{}/*°%'-]|\\\$|[0-9]")
_UNIT_SIGNS = frozenset(("°", "%", "'", "\\$"))


def normalized_key(answer: str) -> str:
    """The key of an answer at the level `normalized`. Two answers are the same if their keys are."""
    stripped = answer.strip()
    if _PLAIN_INTEGER.fullmatch(stripped):
        return "q:" + stripped
    if len(stripped) > MAX_CHARACTERS:
        return "m:" + stripped
    text, as_text = _unwrap(clean(repair(answer)))
    if "nswer" in text[:30]:
        text = _ANSWER_IS.sub("", text)
    choice = text[:1] in _CHOICE_STARTS and (_CHOICE_WITH_TEXT.fullmatch(text) or _TEXT_AND_BRACE.fullmatch(text))
    if choice:
        *letters, rest = [group for group in choice.groups() if group is not None]
        if not _CHOICE_WITH_TEXT.search(rest) and "=" not in rest[:2]:
            return f"c:{letters[0].upper()}|{_key(*_unwrap(rest))}"
    return _key(text, as_text)


def _key(text: str, as_text: bool) -> str:
    """The key of a clean text without wrappers."""
    if _is_one_number(text):
        text = text.replace(",", "")
    elif match := _SPACED_THOUSANDS.fullmatch(text):
        text = match[1] + match[2].replace(" ", "") + (match[3] or "")
    words = _words_key(text, as_text)
    return words if words is not None else tokens_key(canonical_tokens(text))


def tokens_key(tokens: list[str]) -> str:
    """The normalized key of canonical tokens: a number, a quantity, words, or their spelling."""
    if tokens[:1] in (["="], ["\\approx"]):
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
        return unit + (read_rational(join(value)) or "m:" + join(value))
    return "m:" + canonical


def split_unit(tokens: list[str]) -> tuple[list[str], str] | None:
    """A quantity as its value's tokens and the beginning of its key, `u:min|`; None for what is no quantity.

    A unit is text behind a value, or one of the signs ° % ' \\$; currency may stand in front; the base of 204_5 is one
    as well. Only units, currencies and counted nouns are units; other words are part of the answer, `w:or more|`.
    """
    if not tokens or not _RELATION_TOKENS.isdisjoint(tokens):
        return None
    sign, rest = (tokens[:1], tokens[1:]) if tokens[0] in ("+", "-") else ([], tokens)
    currency = {"\\$": "$", "\\text{euro}": "€", "\\text{pound}": "£", "\\text{USD}": "$"}
    if len(rest) > 1 and rest[0] in currency:
        return _with_currency([*sign, *rest[1:]], currency[rest[0]])
    if len(rest) == 5 and rest[1:3] == ["_", "{"] and rest[4] == "}" and rest[0].isdigit() and rest[3].isdigit():
        return [*sign, rest[0]], f"u:_{rest[3]}|"
    if len(rest) == 5 and rest[1:3] == ["_", "{"] and is_text(rest[3]) and rest[0].isdigit():
        return [*sign, rest[0]], f"u:_{text_content(rest[3]).lower()}|"
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
    return _with_words(value, " ".join(parts).split())


def _with_currency(value: list[str], currency: str) -> tuple[list[str], str] | None:
    """$5, $5 million; what else stands behind a currency's value is part of the answer."""
    quantity = split_unit(value)
    if quantity is None:
        return value, f"u:{currency}|"
    return (quantity[0], f"u:{currency}|") if not quantity[1] else None


def _with_words(value: list[str], words: list[str]) -> tuple[list[str], str] | None:
    """A value with the words behind it: scales multiply it, units are its unit, other words are part of the answer."""
    scaled = read_rational(join(value)) if words[0].lower() in SCALES else None
    while scaled is not None and scaled[:2] == "q:" and "e" not in scaled and words and words[0].lower() in SCALES:
        scaled = rational_key(Fraction(scaled[2:]) * SCALES[words[0].lower()])
        value, words = key_tokens(scaled), words[1:]
    if not words:
        return value, ""
    unit = unit_name(words)
    if unit:
        return value, f"u:{unit}|"
    if not any(character.isalpha() for character in "".join(words)) or any("|" in word for word in words):
        return None
    return value, f"w:{' '.join(words).lower()}|"


def _unwrap(text: str) -> tuple[str, bool]:
    """Without math delimiters, outer braces, a sentence's full stop; and whether it stood in a text command."""
    as_text = False
    for _ in range(_MAX_WRAPPERS):
        before = text
        text = trim(text)
        if text.endswith(_JUNK_ENDS):
            text = _without_junk(text)
        if "$" in text and (dollars := len(_DOLLAR.findall(text))) and dollars % 2 == 0:  # $69$,$84$
            text = _DOLLAR.sub("", text).strip()
        if text[:1] in _GROUP_STARTS:
            command = _WRAPPING_COMMAND.match(text)
            group = text[command.end() :] if command else text
            if group.startswith("{") and _closes(group) == len(group):
                as_text = as_text or bool(command and command[1] not in ("boxed", "fbox", "displaystyle"))
                text = group[1:-1].replace("~", " ").strip()
        for opening, closing in _WRAPPERS if text[:1] in _WRAPPER_STARTS else ():
            if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening + closing):
                inner = text[len(opening) : len(text) - len(closing)].strip()
                text = inner if closing not in inner and opening not in inner else text
        if text == before:
            break
    if "$" in text and len(_DOLLAR.findall(text)) == 1:  # a single one is currency
        text = _DOLLAR.sub(r"\\$", text)
    return text, as_text


def _without_junk(text: str) -> str:
    """Without a full stop, commas, line breaks and backslashes at the end."""
    if text.endswith(".") and not text.endswith(("..", "\\.")):
        text = text[:-1].rstrip()
    for junk in _JUNK:
        text = text.removesuffix(junk).rstrip()
    if text.endswith("\\") and not text.endswith("\\\\"):
        text = text[:-1].rstrip()
    return text


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
        return "m:" + (choice[1] or choice[2] or choice[3]).upper()
    if _CIRCLED.fullmatch(plain):
        return "t:" + "".join(plain.replace(",", " ").split())
    if not _WORDS.fullmatch(plain):
        return _prose_key(plain)
    words = plain.replace(",", " ").replace("-", " ").split()
    said = " ".join(words).lower()
    if said in _NUMBERS:
        return f"q:{_NUMBERS[said]}"
    if said in _SYNONYMS:
        return _SYNONYMS[said]
    if not as_text and any(is_command_word(word) for word in words):
        return None
    if as_text or (len(words) > 1 and all(len(word) > 2 for word in words)) or any(_is_word(word) for word in words):
        return "t:" + " ".join(plain.lower().split()) if len(plain) > 1 else "m:" + plain
    return None


def _prose_key(text: str) -> str | None:
    """A sentence with numbers or brackets in it: words, and no mathematics but what words name."""
    if not _PROSE.fullmatch(text):
        return None
    words = [word for word in re.findall(r"[A-Za-z]+", text) if len(word) > 1]
    long = [word for word in words if len(word) > 3 and not is_command_word(word)]
    if len(words) < 3 or len(long) < 2 or any(is_command_word(word) for word in words):
        return None
    return "t:" + " ".join(text.lower().replace('"', "").split())


def _is_word(word: str) -> bool:
    """Whether bare letters are a word rather than a product: long, well known, or a name in capitals such as AB."""
    return (
        len(word) > 3
        or word.lower() in _SHORT_WORDS
        or (len(word) > 1 and word.isupper())
        or (len(word) == 3 and word[0].isupper() and word[1:].islower())
    )
