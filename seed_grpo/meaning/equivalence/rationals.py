"""Exact rationals: what canonical tokens write as a plain number, and the key of a rational."""

from __future__ import annotations

import re
from fractions import Fraction

MAX_DIGITS = 400
"""Digits of a number that is read as one; a longer string of digits is compared by its spelling."""
MAX_EXPONENT = 2000
"""Powers of ten up to here are written out; beyond, a number keeps the form mantissa and exponent."""

_DECIMAL = r"[0-9]+(?:\.[0-9]+)?"
_SIGN = r"[+-]?"
_PLAIN = re.compile(rf"({_SIGN})({_DECIMAL})")
_FRACTION = re.compile(rf"({_SIGN})([0-9]*)\\frac\{{({_SIGN}{_DECIMAL})\}}\{{({_SIGN}{_DECIMAL})\}}")
_SLASHED = re.compile(rf"({_SIGN})(?:([0-9]+) )?({_DECIMAL})/({_DECIMAL})")
_SCIENTIFIC = re.compile(rf"({_SIGN})(?:({_DECIMAL})\*)?10\^\{{({_SIGN}[0-9]+)\}}")


def read_rational(canonical: str) -> str | None:
    """The key of the number that a canonical text writes; None when it is no plain number.

    Integers, decimals, a/b, \\frac, mixed numbers, a·10^n and e-notation.
    """
    if len(canonical) > MAX_DIGITS:
        return None
    if match := _SCIENTIFIC.fullmatch(canonical):
        mantissa = Fraction(match[2] or 1)
        return scaled_key(-mantissa if match[1] == "-" else mantissa, int(match[3])) if len(match[3]) < 20 else None
    if match := _PLAIN.fullmatch(canonical):
        value = Fraction(match[2])
    elif match := _FRACTION.fullmatch(canonical) or _SLASHED.fullmatch(canonical):
        numerator, denominator = Fraction(match[3]), Fraction(match[4])
        # After a whole number only a proper-looking fraction is a mixed number: 2\frac{-1}{2} is none.
        if denominator == 0 or (match[2] and (numerator < 0 or denominator < 0)):
            return None
        value = int(match[2] or 0) + numerator / denominator
    else:
        return None
    return rational_key(-value if match[1] == "-" else value)


def rational_key(value: Fraction) -> str:
    """`q:3` or `q:1/2`."""
    return f"q:{value.numerator}" if value.denominator == 1 else f"q:{value.numerator}/{value.denominator}"


def scaled_key(mantissa: Fraction, exponent: int) -> str:
    """The key of mantissa · 10^exponent: written out where that is short enough, else `q:` mantissa `e` exponent."""
    if mantissa == 0 or abs(exponent) <= MAX_EXPONENT:
        return rational_key(mantissa * Fraction(10) ** exponent if mantissa else mantissa)
    while mantissa.denominator > 1:  # a decimal: ends after as many steps as it has digits
        mantissa, exponent = mantissa * 10, exponent - 1
    digits = mantissa.numerator
    while digits % 10 == 0:
        digits, exponent = digits // 10, exponent + 1
    return f"q:{digits}e{exponent}"


def key_tokens(key: str) -> list[str]:
    """The canonical tokens of a rational from its key, `q:1/2`."""
    numerator, _, denominator = key[2:].partition("/")
    sign = ["-"] if numerator.startswith("-") else []
    numerator = numerator.removeprefix("-")
    return [*sign, *(["\\frac", "{", numerator, "}", "{", denominator, "}"] if denominator else [numerator])]
