"""The value of an expression as a key. Runs inside a sandboxed worker process, never in a caller's.

Rationals stay exact. Other constants are evaluated to 140 digits, of which the key holds 40 (and 40 behind the point,
however large the number). Expressions with symbols are evaluated at fixed points:

* at two of them every symbol is positive, at two the bare letters are negative, so that √(x²), |x| and x keep apart.
  There logarithms of what depends on a symbol take the absolute value: ln(ab) is ln a + ln b, as answers mean it;
* a root is the principal one, and a letter that would make the number under an even root negative stays positive:
  √(k/m) is √(km)/m, as everybody means it who writes √m;
* what rounds (⌊n/2⌋) is known by what it rounds.

Every step has a limit on its size, so that no input takes long: `TooLarge`, and the expression is compared by its
spelling.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import mpmath
from mpmath import mp

from seed_grpo.meaning.equivalence.expression import Node, Unreadable, negative
from seed_grpo.meaning.equivalence.functions import FUNCTIONS, Function
from seed_grpo.meaning.equivalence.values import (
    MAX_EXACT_BITS,
    MAX_MAGNITUDE,
    WORKING_BITS,
    as_fraction,
    difference,
    exact_root,
    format_value,
    inexact,
    recognised,
)

MAX_FACTORIAL = 1300
MAX_GAMMA_BITS = 2400


POINTS = ("positive", "negative", "far", "far negative")
"""Where an expression with symbols is evaluated. Far from zero, |x + 1| and x + 1 or |x − 10| and 10 − x part too."""
OUT_OF_REACH = "?"
"""The key of a value at a far point that is too large to be computed."""


class TooLarge(Unreadable):
    """A number on the way to the value is too large to be computed."""


class Undefined(Unreadable):
    """The expression has no value: a division by zero, a logarithm of zero."""


def value_key(tree: Node) -> str:
    """The key of an expression: `q:…` for a rational, `n:…` for another number, `e:…` for one with symbols.

    Raises:
        Unreadable: it cannot be evaluated.
    """
    if not tree.symbols:
        return format_value(evaluate(tree, {}, "positive"))
    return join_values([value_at(tree, kind) for kind in POINTS])


def _point_of(tree: Node, kind: str) -> dict[str, Fraction]:
    """The value of each symbol of an expression at one of `POINTS`."""
    values = point(tree.symbols, kind)
    if kind.endswith("negative"):
        other = "far" if kind.startswith("far") else "positive"
        values.update({name: _coordinate(name, other) * Fraction(9, 8) for name in _positive_symbols(tree)})
    return values


@lru_cache(maxsize=256)
def _positive_symbols(tree: Node) -> frozenset[str]:
    """The bare letters that have to be positive for the numbers under the even roots of an expression to be so."""
    found: set[str] = set()
    for radicand in _radicands(tree):
        letters = [name for name in radicand.symbols if len(name) == 1 and name not in found]
        at = {name: _coordinate(name, "positive") for name in radicand.symbols}
        if not letters or not _is_positive(radicand, at):
            continue
        for name in letters:
            turned = ({**at, name: _coordinate(name, kind)} for kind in ("negative", "far negative"))
            if not all(_is_positive(radicand, values) for values in turned):
                found.add(name)
    return frozenset(found)


def _radicands(tree: Node) -> list[Node]:
    """What stands under roots, and under powers that are no whole numbers."""
    if not tree.symbols:
        return []
    found = [part for child in tree.parts for part in _radicands(child)]
    has_exponent = tree.kind in ("root", "power") and tree.parts[0].symbols and not tree.parts[1].symbols
    if has_exponent and _is_even_root(tree):
        found.append(tree.parts[0])
    return found


def _is_even_root(tree: Node) -> bool:
    """Whether a root or a power has a real value for positive numbers only."""
    try:
        exponent = evaluate(tree.parts[1], {}, "positive")
    except Unreadable:
        return True
    if not isinstance(exponent, Fraction):
        return True
    return (exponent.numerator if tree.kind == "root" else exponent.denominator) % 2 == 0


def _is_positive(tree: Node, values: dict[str, Fraction]) -> bool:
    """Whether an expression is a positive number; True for what cannot be evaluated, or is not real."""
    try:
        value = evaluate(tree, values, "positive")
    except Unreadable:
        return True
    return bool(getattr(value, "imag", 0) != 0 or value.real > 0)


def join_values(values: Sequence[str]) -> str:
    """The key of an expression from the keys of its values at `POINTS`."""
    return values[0] if len(set(values)) == 1 else "e:" + ";".join(values)


def value_at(tree: Node, kind: str) -> str:
    """The key of an expression's value at one of `POINTS`."""
    try:
        return format_value(evaluate(tree, _point_of(tree, kind), kind))
    except TooLarge:
        if kind.startswith("far"):
            return OUT_OF_REACH
        raise


def point(symbols: frozenset[str], kind: str) -> dict[str, Fraction]:
    """The value of each symbol at one of `POINTS`."""
    return {name: _coordinate(name, kind) for name in symbols}


@lru_cache(maxsize=1024)
def _coordinate(name: str, kind: str) -> Fraction:
    """A fixed, unremarkable value, exact in binary. Bare letters are negative at two points; others never are."""
    digits = int.from_bytes(hashlib.sha384(name.encode("utf-8", "replace")).digest(), "big")
    size = 3 + 5 * Fraction(digits, 1 << 384)
    if kind.startswith("far"):
        size *= 6
    if not kind.endswith("negative"):
        return size
    if len(name) > 1:
        return size * Fraction(5, 32)
    return -size if kind.startswith("far") else -size / 8


def evaluate(tree: Node, values: dict[str, Any], kind: str) -> Any:
    """The value of an expression: a Fraction where it is exact, else an mpmath number.

    Raises:
        Unreadable: it cannot be evaluated.
    """
    bits = WORKING_BITS
    for _ in range(2):
        with mp.workprec(bits):
            evaluator = _Evaluator(values, kind, bits)
            try:
                result = evaluator.value(tree)
            except (ArithmeticError, ValueError) as error:  # mpmath at a pole
                raise Undefined from error
            if evaluator.largest <= 64 or bits > WORKING_BITS:
                return result
        # Digits before the point are paid for with digits behind it: once more with as many added.
        bits = WORKING_BITS + evaluator.largest
    return result


@lru_cache(maxsize=256)
def _fractional_part(tree: Node) -> Fraction:
    """What rounding down takes away, for an expression with symbols: a number in (0, 1) that looks random, the same for
    expressions that differ by a whole number, and for no others. At a few points two roundings could agree."""
    near, further = (evaluate(tree, _point_of(tree, kind), kind) for kind in POINTS[:2])
    if isinstance(near, mpmath.mpc) or isinstance(further, mpmath.mpc):
        raise Undefined
    exact = recognised(near)
    precise = exact if isinstance(exact, Fraction) else as_fraction(exact)
    text = format_value(difference(near, Fraction(math.floor(precise)))) + format_value(difference(further, near))
    return Fraction(int.from_bytes(hashlib.sha512(text.encode()).digest(), "big"), 1 << 512)


class _Evaluator:
    """Evaluates a tree at one point, at one precision."""

    def __init__(self, values: dict[str, Any], kind: str, bits: int) -> None:
        self._values = values
        self._absolute = kind.endswith("negative")
        self._noise = bits - 100
        self.largest = 0
        """The magnitude of the largest number met, in bits."""

    def value(self, tree: Node) -> Any:
        return self._checked(_RULES[tree.kind](self, tree))

    def _checked(self, value: Any) -> Any:
        if isinstance(value, Fraction):
            if value.numerator.bit_length() > MAX_EXACT_BITS or value.denominator.bit_length() > MAX_EXACT_BITS:
                raise TooLarge
            return value
        if not mp.isfinite(value):
            raise Undefined
        if not value:
            return Fraction(0)
        magnitude = int(mp.mag(value))
        if abs(magnitude) > MAX_MAGNITUDE:
            raise TooLarge
        self.largest = max(self.largest, magnitude)
        return value

    def number(self, tree: Node) -> Any:
        return tree.value

    def symbol(self, tree: Node) -> Any:
        value = self._values[tree.name]
        return value if value.denominator < 1 << 64 else inexact(value)

    def add(self, tree: Node) -> Any:
        terms = [self.value(part) for part in tree.parts]
        if all(isinstance(term, Fraction) for term in terms):
            return sum(terms, Fraction(0))
        rounded = [inexact(term) for term in terms]
        total = mp.fsum(rounded)
        size = max(mp.mag(term) for term in rounded if term)
        return self._without_noise(total, size)

    def _without_noise(self, total: Any, size: int) -> Any:
        """The total; zero, or without its real or imaginary part, where only noise is left of what was summed."""
        if isinstance(total, mpmath.mpc):
            real, imaginary = (
                part if part and mp.mag(part) >= size - self._noise else mp.mpf(0) for part in (total.real, total.imag)
            )
            return mp.mpc(real, imaginary) if imaginary else (real or Fraction(0))
        return total if total and mp.mag(total) >= size - self._noise else Fraction(0)

    def multiply(self, tree: Node) -> Any:
        left, right = (self.value(part) for part in tree.parts)
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            return left * right
        if left == 0 or right == 0:
            return Fraction(0)
        return self._real_if_real(inexact(left) * inexact(right))

    def divide(self, tree: Node) -> Any:
        left, right = (self.value(part) for part in tree.parts)
        if right == 0:
            raise Undefined
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            return left / right
        return self._real_if_real(inexact(left) / inexact(right))

    def _real_if_real(self, value: Any) -> Any:
        if isinstance(value, mpmath.mpc) and value:
            return self._without_noise(value, int(mp.mag(value)))
        return value

    def power(self, tree: Node) -> Any:
        base, exponent = tree.parts
        return self._power(self.value(base), self.value(exponent))

    def root(self, tree: Node) -> Any:
        base, degree = tree.parts
        degree_value = self.value(degree)
        if degree_value == 0:
            raise Undefined
        exponent = 1 / (degree_value if isinstance(degree_value, Fraction) else inexact(degree_value))
        return self._power(self.value(base), exponent)

    def _power(self, base: Any, exponent: Any) -> Any:
        exponent = recognised(exponent)
        if base == 0:
            if isinstance(exponent, Fraction) and exponent > 0:
                return Fraction(0)
            raise Undefined
        if isinstance(exponent, Fraction) and exponent.denominator == 1:
            return self._whole_power(base, int(exponent))
        base = recognised(base)
        if isinstance(base, Fraction) and isinstance(exponent, Fraction):
            exact = exact_root(base, exponent)
            if exact is not None:
                return exact
        odd = isinstance(exponent, Fraction) and exponent.denominator % 2
        if odd and not isinstance(base, mpmath.mpc) and base < 0:
            size = self._general_power(inexact(-base), exponent)
            return -size if exponent.numerator % 2 else size
        return self._general_power(inexact(base), exponent)

    def _whole_power(self, base: Any, exponent: int) -> Any:
        if isinstance(base, Fraction):
            bits = max(base.numerator.bit_length(), base.denominator.bit_length())
            if abs(base) != 1 and (bits - 1) * abs(exponent) > MAX_EXACT_BITS:
                raise TooLarge
            if abs(base) == 1:
                return base if exponent % 2 else Fraction(1)
            return base**exponent
        if abs(int(mp.mag(base))) * abs(exponent) > 4 * MAX_MAGNITUDE or abs(exponent) > 10**6:
            raise TooLarge
        return self._real_if_real(base**exponent)

    def _general_power(self, base: Any, exponent: Any) -> Any:
        logarithm = mp.log(base) * inexact(exponent)
        return self._real_if_real(self._exp(logarithm))

    def _exp(self, argument: Any) -> Any:
        if argument and mp.mag(argument) > 12:
            raise TooLarge
        return mp.exp(argument)

    def factorial(self, tree: Node) -> Any:
        argument = self._whole_if_whole(self.value(tree.parts[0]))
        if isinstance(argument, int):
            if argument < 0:
                raise Undefined
            if argument > MAX_FACTORIAL:
                raise TooLarge
            return Fraction(math.factorial(argument))
        return self._gamma(inexact(argument) + 1)

    def binomial(self, tree: Node) -> Any:
        n, k = (self._whole_if_whole(self.value(part)) for part in tree.parts)
        if isinstance(n, int) and isinstance(k, int):
            if n < 0 or k < 0:
                raise Undefined
            smaller = min(k, n - k)
            if smaller * n.bit_length() > MAX_EXACT_BITS and n > MAX_EXACT_BITS:
                raise TooLarge
            return Fraction(math.comb(n, k))
        n, k = (inexact(Fraction(value) if isinstance(value, int) else value) for value in (n, k))
        return self._gamma(n + 1) / (self._gamma(k + 1) * self._gamma(n - k + 1))

    def _gamma(self, argument: Any) -> Any:
        """Γ by Stirling's series far to the right, and back by its recurrence: mpmath's own way to the left of that
        first computes tables for seconds."""
        if (argument and mp.mag(argument) > 9) or mp.prec > MAX_GAMMA_BITS:
            raise TooLarge
        shift = max(0, int(mp.prec * 0.4 - argument.real))
        product = mp.mpf(1)
        for step in range(shift):
            product *= argument + step
        return mp.gamma(argument + shift) / product

    def _whole_if_whole(self, value: Any) -> Any:
        """An int for a value that is a whole number; symbols' values never are, but at the points made of them."""
        exact = recognised(value)
        return int(exact) if isinstance(exact, Fraction) and exact.denominator == 1 else value

    def mod(self, tree: Node) -> Any:
        number, modulus = (self._whole_if_whole(self.value(part)) for part in tree.parts)
        if not isinstance(number, int) or not isinstance(modulus, int) or modulus == 0:
            raise Undefined
        return Fraction(number % modulus)

    def abs(self, tree: Node) -> Any:
        return abs(self.value(tree.parts[0]))

    def floor(self, tree: Node) -> Any:
        if not tree.symbols:
            return Fraction(math.floor(self._real(tree)))
        return inexact(self.value(tree.parts[0])) - inexact(_fractional_part(tree.parts[0]))

    def ceil(self, tree: Node) -> Any:
        if not tree.symbols:
            return Fraction(math.ceil(self._real(tree)))
        return inexact(self.value(tree.parts[0])) + inexact(_fractional_part(negative(tree.parts[0])))

    def _real(self, tree: Node) -> Fraction:
        value = self.value(tree.parts[0])
        if isinstance(value, mpmath.mpc):
            raise Undefined
        exact = recognised(value)
        return exact if isinstance(exact, Fraction) else as_fraction(exact)

    def function(self, tree: Node) -> Any:
        if not tree.parts:
            return {"\\pi": mp.pi, "e": mp.e, "i": mp.mpc(0, 1)}[tree.name] * mp.mpf(1)
        argument = self.value(tree.parts[0])
        if tree.name in _LOGARITHMS:
            result = self._log(argument, tree.parts[0])
            if len(tree.parts) == 2:
                base = self._log(self.value(tree.parts[1]), tree.parts[1])
                if base == 0:
                    raise Undefined
                return self._real_if_real(inexact(result) / inexact(base))
            return inexact(result) * _LOGARITHMS[tree.name]()
        function = FUNCTIONS[tree.name]
        if function.many:
            return self._of_many(function, [self.value(part) for part in tree.parts])
        if tree.name == "\\exp":
            return self._real_if_real(self._exp(inexact(argument)))
        if mp.mag(inexact(argument)) > (function.most or 2 * WORKING_BITS):
            raise TooLarge
        if argument == 0 and function.zero:
            return Fraction(0)
        result = getattr(mp, function.value)(inexact(argument))
        if mp.mag(result) > WORKING_BITS // 3:
            raise Undefined  # a pole: what should be a division by zero is one by noise
        if mp.mag(result) < -(WORKING_BITS // 2):
            return Fraction(0)  # a zero, such as sin π
        return self._real_if_real(result)

    def _of_many(self, function: Function, arguments: list[Any]) -> Any:
        """A function of several arguments: of whole numbers, or of real ones."""
        if function.whole is not None:
            wholes = [self._whole_if_whole(argument) for argument in arguments]
            if not all(isinstance(whole, int) for whole in wholes):
                raise Unreadable
            return Fraction(function.whole(*wholes))
        if function.real is None or any(isinstance(argument, mpmath.mpc) for argument in arguments):
            raise Undefined
        return function.real(arguments, key=lambda value: value if isinstance(value, Fraction) else as_fraction(value))

    def _log(self, argument: Any, tree: Node) -> Any:
        if argument == 0:
            raise Undefined
        if argument == 1:
            return Fraction(0)
        if self._absolute and tree.symbols and not isinstance(argument, mpmath.mpc) and argument < 0:
            argument = -argument
        return mp.log(inexact(argument))


_RULES: dict[str, Callable[[_Evaluator, Node], Any]] = {
    kind: getattr(_Evaluator, kind)
    for kind in "number symbol add multiply divide power root factorial binomial mod abs floor ceil function".split()
}
# A logarithm without a base is natural to some and decimal to others: its own unit, under which log rules hold.
_LOGARITHMS: dict[str, Callable[[], Any]] = {
    "\\ln": lambda: 1,
    "\\lg": lambda: 1 / mp.log(10),
    "\\log": lambda: 1 / mp.log(mp.mpf(7) + mp.catalan),
}
