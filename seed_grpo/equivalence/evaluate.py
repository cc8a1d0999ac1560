"""The value of one expression as a key. Runs inside a sandboxed worker process, never in a caller's.

An expression is parsed as LaTeX (never as Python) and evaluated to 40 digits. With free symbols it is evaluated at two
fixed points, one of them negative, so that √(x²), |x| and x keep apart. The key holds 20 digits: two equal expressions
agree in almost all 40, so a value on the edge of rounding is not to be expected.
"""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import Any

from seed_grpo.equivalence.normalize import rational_key

DIGITS = 40
KEY_DIGITS = 20
MAX_DENOMINATOR = 10**9


def evaluate(text: str) -> str | None:
    """The key of an expression: `q:…` for a rational, `n:…` for a number, `e:…` for one with symbols; None if it
    cannot be evaluated."""
    import sympy
    from latex2sympy2_extended import latex2sympy
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig

    expression = latex2sympy(text, conversion_config=ConversionConfig(lowercase_symbols=False))
    if not isinstance(expression, sympy.Expr):
        return None
    if expression.has(sympy.Integral, sympy.Sum, sympy.Product, sympy.Limit, sympy.Derivative):
        return None
    expression = expression.xreplace({sympy.Symbol("i"): sympy.I, sympy.Symbol("e"): sympy.E})
    if expression in (sympy.oo, -sympy.oo):
        return f"n:{expression}"
    if expression.has(sympy.core.function.AppliedUndef):
        return None
    if not expression.free_symbols:
        exact = expression.doit()  # the parser leaves 2^100 + 1 as it was written
        if exact.is_Rational:
            return rational_key(Fraction(int(exact.p), int(exact.q)))
    symbols = sorted(expression.free_symbols, key=str)
    values = [_number(expression.xreplace(_point(symbols, which)).evalf(DIGITS)) for which in (0, 1)]
    if any(value is None for value in values):
        return None
    if values[0] == values[1]:
        return values[0]
    return f"e:{values[0]};{values[1]}" if symbols else None


def _point(symbols: list[Any], which: int) -> dict[Any, Any]:
    """A fixed, unremarkable value for each symbol, positive at the first point and negative at the second."""
    import sympy

    point = {}
    for symbol in symbols:
        digest = hashlib.sha256(f"{which}:{symbol}".encode()).digest()
        size = sympy.Rational(int.from_bytes(digest[:16], "big"), 2**128)
        point[symbol] = (-1) ** which * (sympy.Rational(1, 2) + size)
    return point


def _number(value: Any) -> str | None:
    """The key of an evaluated number, real or complex."""
    import sympy

    if value.free_symbols or value.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo):
        return None
    real, imaginary = value.as_real_imag()
    if not (real.is_Float or real.is_Rational) or not (imaginary.is_Float or imaginary.is_Rational):
        return None
    size = max(abs(real), abs(imaginary))
    # What is left of an exact cancellation is noise in the last of 40 digits.
    noise = size * Fraction(1, 10**30)
    parts = [_real(part) if abs(part) > noise else "q:0" for part in (real, imaginary)]
    return parts[0] if parts[1] == "q:0" else f"n:{parts[0]}+i*{parts[1]}"


def _real(part: Any) -> str:
    exact = _recognise(part)
    if exact is not None:
        return rational_key(exact)
    import mpmath

    with mpmath.workdps(DIGITS):
        return "n:" + mpmath.nstr(part._to_mpmath(140), KEY_DIGITS, strip_zeros=True)


def _recognise(part: Any) -> Fraction | None:
    """The rational that a value is, if its denominator is small and all digits agree."""
    import sympy

    exact = sympy.Rational(part) if part.is_Rational else None
    if exact is not None:
        return Fraction(int(exact.p), int(exact.q))
    if getattr(part, "_prec", 2) <= 1:
        return Fraction(0)
    value = Fraction(*map(int, sympy.Rational(str(part.n(DIGITS))).as_numer_denom()))
    if abs(value) > 10**25:
        # More digits before the point than the evaluation holds: only an exact integer would be safe.
        return None
    near = value.limit_denominator(MAX_DENOMINATOR)
    return near if abs(value - near) <= abs(value) * Fraction(1, 10**32) else None
