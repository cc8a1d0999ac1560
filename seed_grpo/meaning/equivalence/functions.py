"""The functions of answers: one record each. A new function, such as \\gcd, is a line here and a row in a test.

This table is all that the reader of LaTeX (which words name a function), the reader of expressions (how many arguments,
what f^{-1} is) and the evaluation (its value) know of a function. It loads nothing but the standard library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Function:
    """A function that answers name.

    Attributes:
        name: as in LaTeX, without the backslash.
        value: the name of mpmath's function; empty if it has another value, or none that is known.
        whole: its value for whole numbers, of any number of arguments.
        real: its value for real numbers, of any number of arguments.
        inverse: the name of the function that f^{-1} means.
        aliases: other names of it, in words or in LaTeX.
        zero: whether its value at 0 is 0.
        angle: whether its argument is an angle, so that a degree sign in it is no unit.
        most: the logarithm to base 2 of the largest argument that is evaluated; empty for no limit of its own.
        word: whether the bare word names it, too (`sin x` does; `deg` is as often a unit).
    """

    name: str
    value: str = ""
    whole: Callable[..., int] | None = None
    real: Callable[..., Any] | None = None
    inverse: str = ""
    aliases: tuple[str, ...] = ()
    zero: bool = False
    angle: bool = False
    most: int | None = None
    word: bool = True

    @property
    def many(self) -> bool:
        """Whether it takes several arguments in parentheses."""
        return self.whole is not None or self.real is not None

    @property
    def known(self) -> bool:
        """Whether an expression may contain it; the others are names only."""
        return bool(self.value) or self.many or self.name in LOGARITHMS


LOGARITHMS = frozenset(("ln", "log", "lg"))
"""Evaluated by rules of their own: without a base, log is neither natural nor decimal."""

TABLE = (
    Function("sin", "sin", inverse="arcsin", zero=True, angle=True),
    Function("cos", "cos", inverse="arccos", angle=True),
    Function("tan", "tan", inverse="arctan", aliases=("tg",), zero=True, angle=True),
    Function("cot", "cot", inverse="arccot", aliases=("ctg", "cotg"), angle=True),
    Function("sec", "sec", inverse="arcsec", angle=True),
    Function("csc", "csc", inverse="arccsc", aliases=("cosec",), angle=True),
    Function("arcsin", "asin", inverse="sin", aliases=("asin",), zero=True),
    Function("arccos", "acos", inverse="cos", aliases=("acos",)),
    Function("arctan", "atan", inverse="tan", aliases=("atan", "arctg"), zero=True),
    Function("arccot", "acot", inverse="cot", aliases=("acot", "arcctg")),
    Function("arcsec", "asec", inverse="sec", aliases=("asec",)),
    Function("arccsc", "acsc", inverse="csc", aliases=("acsc",)),
    Function("sinh", "sinh", inverse="arsinh", zero=True, most=11),
    Function("cosh", "cosh", inverse="arcosh", most=11),
    Function("tanh", "tanh", inverse="artanh", zero=True, most=11),
    Function("coth", "coth", inverse="arcoth", aliases=("cth",), most=11),
    Function("sech", "sech", inverse="arsech", most=11),
    Function("csch", "csch", inverse="arcsch", most=11),
    Function("arsinh", "asinh", inverse="sinh", aliases=("arcsinh", "asinh", "argsinh"), zero=True),
    Function("arcosh", "acosh", inverse="cosh", aliases=("arccosh", "acosh", "argcosh")),
    Function("artanh", "atanh", inverse="tanh", aliases=("arctanh", "atanh", "argtanh"), zero=True),
    Function("arcoth", "acoth", inverse="coth", aliases=("arccoth", "acoth")),
    Function("arsech", "asech", inverse="sech", aliases=("arcsech", "asech")),
    Function("arcsch", "acsch", inverse="csch", aliases=("arccsch", "acsch")),
    Function("ln"),
    Function("log"),
    Function("lg"),
    Function("exp", "exp"),
    Function("gcd", whole=math.gcd, aliases=("hcf",)),
    Function("lcm", whole=math.lcm),
    Function("max", real=max),
    Function("min", real=min),
    # Names only: what they are applied to is compared by its spelling.
    Function("det"),
    Function("dim"),
    Function("ker"),
    Function("arg"),
    Function("sup"),
    Function("lim"),
    Function("deg", word=False),
    Function("inf", word=False),
)

FUNCTIONS = {f"\\{function.name}": function for function in TABLE}
"""Every function by its command."""
COMMANDS = {name: f"\\{function.name}" for function in TABLE for name in (function.name, *function.aliases)}
"""The command for each name that a text command may hold (`\\operatorname{arcsinh}`), and for each LaTeX alias."""
WORDS = {
    name: f"\\{function.name}"
    for function in TABLE
    if function.word
    for name in (function.name, *(alias for alias in function.aliases if len(alias) > 2))
}
"""The command for each bare word that names a function."""
