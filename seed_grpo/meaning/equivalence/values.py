"""Numbers on the way to a key: exact fractions and mpmath numbers, told apart from noise, written as keys."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
from mpmath import mp

from seed_grpo.meaning.equivalence.rationals import rational_key

WORKING_BITS = 480
KEY_DIGITS = 40
MAX_EXACT_BITS = 12_000
MAX_MAGNITUDE = 4096
MAX_DENOMINATOR = 10**45
NOISE_BITS = 380
"""Results smaller than 2^−380 of what they were computed from are zero."""


def difference(left: Any, right: Any) -> Any:
    """left − right; zero where only noise is left of it."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left - right
    with mp.workprec(WORKING_BITS + MAX_MAGNITUDE):
        a, b = inexact(left), inexact(right)
        result = a - b
        if not result:
            return Fraction(0)
        size = max(mp.mag(term) for term in (a, b) if term)
        return result if mp.mag(result) >= size - NOISE_BITS else Fraction(0)


def quotient(left: Any, right: Any) -> Any:
    """left / right, for a `right` that is not zero."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left / right
    with mp.workprec(WORKING_BITS + MAX_MAGNITUDE):
        return inexact(left) / inexact(right) if left else Fraction(0)


def format_value(value: Any) -> str:
    """The key of a value."""
    if isinstance(value, Fraction):
        return rational_key(value)
    if isinstance(value, mpmath.mpc):
        size = max(
            mp.mag(value.real) if value.real else -MAX_MAGNITUDE, mp.mag(value.imag) if value.imag else -MAX_MAGNITUDE
        )
        parts = [
            "q:0" if not part or mp.mag(part) < size - NOISE_BITS else _format_real(part)
            for part in (value.real, value.imag)
        ]
        return parts[0] if parts[1] == "q:0" else f"n:{parts[0]},{parts[1]}i"
    return _format_real(value)


def _format_real(value: Any) -> str:
    exact = recognise(value)
    if exact is not None:
        return rational_key(exact)
    precise = as_fraction(value)
    exponent = 0
    if abs(precise) < 1:
        exponent = math.floor(mp.log10(abs(value))) + 1
    scaled = round(precise * Fraction(10) ** (KEY_DIGITS - exponent))
    return f"n:{scaled}e{exponent - KEY_DIGITS}"


def recognise(value: Any) -> Fraction | None:
    """The rational with a moderate denominator that a value is, if all digits agree; None for any other value.

    Continued fractions. A value close to where a key's digits would be rounded is itself such a rational, so equal
    values are never rounded apart.
    """
    precise = as_fraction(value)
    p, q = top, bottom = precise.numerator, precise.denominator
    # |value − h/k| is compared with 2^−380, or with that part of a value below 1; all in whole numbers.
    allowed = max(min(abs(top), bottom), 1)
    h, h_before, k, k_before = 1, 0, 0, 1
    while q:
        whole, rest = divmod(p, q)
        h, h_before = whole * h + h_before, h
        k, k_before = whole * k + k_before, k
        if k > MAX_DENOMINATOR:
            return None
        if abs(top * k - h * bottom) << NOISE_BITS <= allowed * k:
            return Fraction(h, k)
        p, q = q, rest
    return None


def recognised(value: Any) -> Any:
    """A value as a Fraction where it is one."""
    exact = recognise(value) if isinstance(value, mpmath.mpf) else None
    return value if exact is None else exact


def as_fraction(value: Any) -> Fraction:
    sign, mantissa, exponent, _ = value._mpf_
    mantissa = -int(mantissa) if sign else int(mantissa)
    return Fraction(mantissa << exponent) if exponent >= 0 else Fraction(mantissa, 1 << -exponent)


def inexact(value: Any) -> Any:
    """A value as an mpmath number at the working precision."""
    if not isinstance(value, Fraction):
        return value
    numerator, denominator = value.numerator, value.denominator
    if denominator & (denominator - 1):
        return mp.mpf(numerator) / denominator
    return mp.mpf((numerator, 1 - denominator.bit_length()))


def exact_root(base: Fraction, exponent: Fraction) -> Fraction | None:
    """base^(p/q) where that is rational; None where it is not, or may not be."""
    degree, sign = exponent.denominator, 1
    if degree > 64 or abs(exponent.numerator) > 64:
        return None
    if base < 0:
        if degree % 2 == 0:
            return None
        base, sign = -base, -1
    roots = []
    for whole in (base.numerator, base.denominator):
        root = _integer_root(whole, degree)
        if root is None:
            return None
        roots.append(root)
    if max(roots).bit_length() * abs(exponent.numerator) > MAX_EXACT_BITS:
        return None
    return (sign * Fraction(roots[0], roots[1])) ** exponent.numerator


def _integer_root(value: int, degree: int) -> int | None:
    """The whole number whose power `value` is; None if there is none."""
    if degree == 2:
        root = math.isqrt(value)
    else:
        low, high = 0, 1 << (value.bit_length() // degree + 1)
        while low < high:  # the largest whole number whose power is not above `value`
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
        root = low
    return root if root**degree == value else None
