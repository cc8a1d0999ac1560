"""What stands behind an answer and says for which values it holds: `n \\in \\mathbb{Z}`, `\\text{for all } x`.

Such a tail may be left out, so it is kept apart from the answer's body. What restricts the answer to some numbers
(`x \\ge -1`) is part of it: the answer is a list of both.
"""

from __future__ import annotations

import re

from seed_grpo.meaning.equivalence.brackets import encloses, split, trim
from seed_grpo.meaning.equivalence.latex import is_text, text_content

_DOMAINS = {
    "integer": "Z", "integers": "Z", "positive integer": "N", "natural number": "N", "nonnegative integer": "N0",
    "non negative integer": "N0", "real": "R", "real number": "R", "real numbers": "R", "reals": "R", "constant": "R",
    "arbitrary constant": "R", "rational": "Q", "rational number": "Q", "arbitrary": "R", "arbitrary real number": "R",
    "any real number": "R", "arbitrary real constant": "R", "real constant": "R", "arbitrary integer": "Z",
    "any integer": "Z", "positive integers": "N", "natural numbers": "N", "": "R", "positive real number": "R+",
    "some constant": "R", "any constant": "R", "complex number": "C",
}  # fmt: skip
_ORDERS = frozenset(("<", ">", "\\le", "\\ge", "\\ne"))
_SIGNS = frozenset(("\\in", "\\forall")) | _ORDERS
_NO_END = frozenset(("+", "-", "*", "/", "^", "_", "{", "(", "<", ">", "\\le", "\\ge", "\\in", "\\cup"))
_SKIPPED = frozenset("for all any every each some where with is are an a and the of values".split())
_SETS = {"R": "R", "Z": "Z", "N": "N", "Q": "Q", "C": "C"}
_OPENING_WORDS = (
    "for all",
    "for any",
    "for every",
    "for each",
    "for some",
    "where",
    "with",
    "for integer",
    "for real",
    "for",
)


def split_conditions(tokens: list[str]) -> tuple[list[str], list[str]]:
    """An answer's tokens without its tail, and the tail's conditions such as `n Z`; none for all real numbers."""
    if _SIGNS.isdisjoint(tokens) and not any(map(is_text, tokens)):
        return tokens, []
    conditions: list[str] = []
    tokens = _with_restriction(tokens)
    for _ in range(4):
        cut = _last_condition(tokens)
        if cut is None:
            break
        body, found = cut
        if not body or any(condition.split()[0] not in body for condition in found):
            break
        tokens = body
        conditions += found
    return tokens, sorted(condition for condition in conditions if not condition.endswith(" R"))


def _with_restriction(tokens: list[str]) -> list[str]:
    """`2x \\text{ for } x > 1` and `2x (x > 1)` with a comma between the answer and what restricts it."""
    for index in range(1, len(tokens) - 2):
        token = tokens[index]
        if is_text(token) and text_content(token).lower() in ("for", "where", "when", "if", "with"):
            tail = tokens[index + 1 :]
        elif token == "(" and tokens[-1] == ")" and encloses(tokens[index:]) and tokens[index - 1] not in ("=", ","):
            tail = tokens[index + 1 : -1]
        else:
            continue
        if not _ORDERS.isdisjoint(tail) and not any(map(is_text, tail)) and tokens[index - 1] not in _NO_END:
            body = _body(tokens[:index])
            return [*body, ",", *tail] if body else tokens
    return tokens


def _last_condition(tokens: list[str]) -> tuple[list[str], list[str]] | None:
    """The tokens in front of the last condition, and what it says; None if there is none that can be read."""
    for index in range(len(tokens) - 1, 0, -1):
        token = tokens[index]
        if is_text(token) and text_content(token).lower().startswith(_OPENING_WORDS):
            found = _spoken(tokens[index:])
            return (_body(tokens[:index]), found) if found is not None else None
        if token == "\\forall" or (token == "," and "\\in" in tokens[index:]) or (token == "(" and tokens[-1] == ")"):
            tail = tokens[index + 1 : -1] if token == "(" else tokens[index + 1 :]
            found = _memberships(tail[1:] if tail[:1] == ["\\forall"] else tail)
            if found is not None:
                return _body(tokens[:index]), found
            if token in ("\\forall", "("):
                return None
    return None


def _body(tokens: list[str]) -> list[str]:
    while tokens and tokens[-1] in (",", " ", ":", "("):
        tokens = tokens[:-1]
    return tokens


def _memberships(tokens: list[str]) -> list[str] | None:
    """`k \\in \\mathbb{Z}`, also of several letters, or letters alone behind a quantifier."""
    sides, operators = split(tokens, frozenset(("\\in",)))
    if len(operators) != 1:
        return None
    names = [trim(part) for part in split(sides[0], frozenset((",",)))[0]]
    domain = _domain(sides[1])
    if domain is None or not all(_is_name(name) for name in names):
        return None
    return [f"{''.join(name)} {domain}" for name in names]


def _domain(tokens: list[str]) -> str | None:
    letters = [token for token in tokens if token not in ("{", "}", "\\mathbb", " ")]
    if not letters or letters[0] not in _SETS:
        return None
    rest = "".join(letters[1:])
    if rest in ("^+", "_+", "^*", "_>0", "^>0") and letters[0] in ("Z", "N"):
        return "N"
    return _SETS[letters[0]] if not rest else None


def _is_name(tokens: list[str]) -> bool:
    return len(tokens) == 1 and (len(tokens[0]) == 1 or tokens[0].startswith("\\")) and tokens[0][-1].isalpha()


def _spoken(tokens: list[str]) -> list[str] | None:
    """Words and letters such as `\\text{for all } x`, `\\text{where } k \\text{ is an integer}`."""
    if "\\in" in tokens:
        rest = [token for token in tokens if not is_text(token)]
        said = " ".join(text_content(token).lower() for token in tokens if is_text(token))
        return _memberships(rest) if said in (*_OPENING_WORDS, "for any constant", "for some constant") else None
    words: list[str] = []
    names = []
    for token in tokens:
        if is_text(token):
            words.append(text_content(token).lower())
        elif _is_name([token]):
            names.append(token)
        elif token not in (",", " "):
            return None
    kind = _words_domain(" ".join(words))
    return [f"{name} {kind}" for name in names] if kind is not None and names else None


def _words_domain(text: str) -> str | None:
    text = re.sub(r"[^a-z ]", " ", text)
    skipped = (
        "for",
        "all",
        "any",
        "every",
        "each",
        "some",
        "where",
        "with",
        "is",
        "are",
        "an",
        "a",
        "and",
        "the",
        "of",
        "values",
    )
    words = [word for word in text.split() if word not in skipped]
    return _DOMAINS.get(" ".join(words))
