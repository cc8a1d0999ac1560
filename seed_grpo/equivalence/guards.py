"""Which expressions are handed to a computer algebra system at all.

Model output can ask for a tower of powers or the factorial of a million. These rules are deterministic and look only at
the characters, so that the same answer always has the same key and a time-out stays the exception.
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 200
MAX_NESTING = 10
MAX_EXPONENT = 1000
MAX_EXPONENT_PRODUCT = 10_000
MAX_FACTORIAL = 200
MAX_BINOMIAL = 1000
MAX_DIGITS = 60
MAX_POWERS = 12

_FORBIDDEN = re.compile(
    r"\\(?:int|iint|oint|sum|prod|lim|bigcup|bigcap|begin|def|newcommand|input|write|loop|csname|frac\{d|partial|nabla)"
    r"(?![A-Za-z])|[^\x20-\x7e]|['\"`;@#?_~]{2}|__"
)
_EXPONENT = re.compile(r"\^(?:\{[+-]?(\d+)\}|(\d))")
_NESTED_POWER = re.compile(r"\^\{[^{}]*\^")
_FACTORIAL = re.compile(r"(\d*)(\)?)(!+)")
_BINOMIAL = re.compile(r"\\binom")
_DIGITS = re.compile(r"\d+")


def is_guarded(text: str) -> bool:
    """Whether an expression is kept away from evaluation and compared by its spelling."""
    return (
        len(text) > MAX_CHARACTERS
        or bool(_FORBIDDEN.search(text))
        or _nesting(text) > MAX_NESTING
        or _heavy_powers(text)
        or _heavy_factorials(text)
        or any(len(digits) > MAX_DIGITS for digits in _DIGITS.findall(text))
    )


def _nesting(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    return deepest


def _heavy_powers(text: str) -> bool:
    if text.count("^") > MAX_POWERS or _NESTED_POWER.search(text):
        return True
    product = 1
    for braced, bare in _EXPONENT.findall(text):
        exponent = int((braced or bare)[:8])
        if exponent > MAX_EXPONENT:
            return True
        product *= max(exponent, 1)
    return product > MAX_EXPONENT_PRODUCT


def _heavy_factorials(text: str) -> bool:
    for digits, closing, _marks in _FACTORIAL.findall(text):
        if closing or len(digits) > 3 or (digits and int(digits) > MAX_FACTORIAL):
            return True
    if text.count("!") > 6 or "!!" in text:
        return True
    return bool(_BINOMIAL.search(text)) and (
        "^" in text or any(len(digits) > 4 or int(digits) > MAX_BINOMIAL for digits in _DIGITS.findall(text))
    )
