"""What needs a computer algebra system: sums, products, integrals and limits; inequalities that are not linear.

The last stage before an answer is compared by its spelling, in worker processes of its own: they load sympy when they
start, and start when the first answer needs them. Expressions are built node by node, nothing is parsed by sympy. The
result is a key as that of any other answer, so `\\sum_{k=1}^{10} k` is 55, and `x^2<4` is the interval (-2,2) of x.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import sympy

from seed_grpo.meaning.equivalence import evaluate
from seed_grpo.meaning.equivalence.expression import ExpressionReader, Node, Unreadable, node, number, symbol
from seed_grpo.meaning.equivalence.functions import FUNCTIONS
from seed_grpo.meaning.equivalence.realsets import RealSet, between, end, union
from seed_grpo.meaning.equivalence.symbolic import Outcome, ShapeReader, read_normalized

WARM_UP = (
    "m:\\sum_{k=1}^{n}k+\\int_{0}^{1}x^{2}dx+\\int_{0}^{\\infty}e^{-x}dx"
    "+\\lim_{x\\rightarrow0}\\frac{\\sin x}{x},x^{2}<4"
)
"""Loads the parts of sympy that load late, before a worker's clock runs."""
MAX_TERMS = 300
"""Terms that a finite sum or product of numbers is written out to; a longer one has to have a closed form."""
MAX_NODES = 60
MAX_NUMBER = 10**6
MAX_INTEGRAND = 25
MAX_SERIES = 10
MAX_ARGUMENT = 8
_LAST = "\\last"
MAX_EXPONENT = 12
_FROM_SYMPY = {
    sympy.sin: "\\sin", sympy.cos: "\\cos", sympy.tan: "\\tan", sympy.cot: "\\cot", sympy.sec: "\\sec",
    sympy.csc: "\\csc",
    sympy.asin: "\\arcsin", sympy.acos: "\\arccos", sympy.atan: "\\arctan", sympy.sinh: "\\sinh", sympy.cosh: "\\cosh",
    sympy.tanh: "\\tanh", sympy.asinh: "\\arsinh", sympy.acosh: "\\arcosh", sympy.atanh: "\\artanh", sympy.log: "\\ln",
    sympy.exp: "\\exp",
}  # fmt: skip
_TO_SYMPY: dict[str, Any] = {name: function for function, name in _FROM_SYMPY.items()}
_NOT_FOUND = (Unreadable, NotImplementedError, ValueError, TypeError, AttributeError, ArithmeticError)
"""How sympy says that it has no answer."""
_INEQUALITIES: dict[str, Any] = {">": sympy.Gt, "\\ge": sympy.Ge, "\\ne": sympy.Ne}


def algebraic_key(normalized: str) -> Outcome:
    """As `symbolic_key`, for an answer that needs more than arithmetic."""
    return read_normalized(normalized, AlgebraReader())


class AlgebraReader(ShapeReader):
    """A reader of shapes that leaves to sympy what it cannot read by itself."""

    def read(self, tokens: list[str]) -> Node:
        """The tree of an expression, with its sums, integrals and limits computed."""
        try:
            return OperatorReader(tokens).whole()
        except _NOT_FOUND as error:
            raise Unreadable from error

    def numbers_that_solve(self, difference: Node, operator: str) -> RealSet | None:
        """The solutions of an inequality of one symbol."""
        found = super().numbers_that_solve(difference, operator)
        if found is not None or operator not in _INEQUALITIES:
            return found
        unknown = sympy.Symbol(next(iter(difference.symbols)), real=True)
        try:
            relation = _INEQUALITIES[operator](to_sympy(difference, {unknown.name: unknown}), 0)
            if relation in (sympy.true, sympy.false):
                return None
            return _real_set(sympy.solve_univariate_inequality(relation, unknown, relational=False))
        except _NOT_FOUND:
            return None


class OperatorReader(ExpressionReader):
    """A reader of expressions that knows sums, products, integrals and limits."""

    def atom(self, depth: int) -> Node:
        token = self.peek()
        if token in ("\\sum", "\\prod"):
            return self._repeated(depth)
        if token == "\\int":
            return self._integral(depth)
        if token == "\\lim":
            return self._limit(depth)
        return super().atom(depth)

    def _repeated(self, depth: int) -> Node:
        kind = self.take()
        self.take("_")
        self.take("{")
        name = self.symbol(depth).name
        self.take("=")
        low = self.sum(depth + 1)
        self.take("}")
        self.take("^")
        high = self._bound(depth)
        body = self._body(name, depth)
        if name in low.symbols or (high is not None and name in high.symbols):
            raise Unreadable
        return _series(kind, body, name, low, high)

    def _body(self, name: str, depth: int) -> Node:
        """What is summed, or goes to a limit."""
        body = self.product(depth + 1)
        _check_names(body, name)
        return body

    def _bound(self, depth: int) -> Node | None:
        """An upper bound in braces; None for infinity."""
        for infinite in (["{", "\\infty", "}"], ["{", "+", "\\infty", "}"]):
            if self.tokens[self.index : self.index + len(infinite)] == infinite:
                self.index += len(infinite)
                return None
        return self.group(depth)

    def _integral(self, depth: int) -> Node:
        self.take()
        self.take("_")
        low = self._bound_or_minus_infinity(depth)
        self.take("^")
        bound = self._bound(depth)
        high = sympy.oo if bound is None else to_sympy(bound, {})
        stop = self._differential()
        body = type(self)(self.tokens[self.index : stop]).whole()
        self.index = stop + 1
        name = self.symbol(depth).name
        _check_names(body, name)
        if not _is_elementary(body, name):
            raise Unreadable
        variable = sympy.Symbol(name, real=True)
        return from_sympy(sympy.integrate(to_sympy(body, {name: variable}), (variable, low, high)))

    def _bound_or_minus_infinity(self, depth: int) -> Any:
        infinite = ["{", "-", "\\infty", "}"]
        if self.tokens[self.index : self.index + 4] == infinite:
            self.index += 4
            return -sympy.oo
        return to_sympy(self.group(depth), {})

    def _differential(self) -> int:
        """The index of the d that ends an integrand."""
        level = 0
        for index in range(self.index, len(self.tokens) - 1):
            token = self.tokens[index]
            level += (token in ("{", "(", "[")) - (token in ("}", ")", "]"))
            if level < 0:
                break
            if level == 0 and token == "d" and self.tokens[index + 1][-1].isalpha() and index > self.index:
                return index
        raise Unreadable

    def _limit(self, depth: int) -> Node:
        self.take()
        self.take("_")
        self.take("{")
        name = self.symbol(depth).name
        self.take("\\rightarrow")
        signs = [self.take()] if self.peek() in ("+", "-") else []
        if self.peek() == "\\infty":
            self.take()
            place = -sympy.oo if signs == ["-"] else sympy.oo
            direction = "-"
        else:
            self.index -= len(signs)
            place = to_sympy(self.sum(depth + 1), {})
            direction = "+-"
            if self.peek() == "^":
                self.take()
                self.take("{")
                direction = self.take()
                self.take("}")
        self.take("}")
        body = self._body(name, depth)
        variable = sympy.Symbol(name, real=True)
        if direction not in ("+", "-", "+-"):
            raise Unreadable
        return from_sympy(sympy.limit(to_sympy(body, {name: variable}), variable, place, direction))


def _check_names(body: Node, name: str) -> None:
    """Refuse a_k under a sum over k: it depends on k, and nobody knows how."""
    letter = re.compile(rf"(?<![A-Za-z\\]){re.escape(name)}(?![A-Za-z])")
    if any(other != name and letter.search(other) for other in body.symbols):
        raise Unreadable


def _series(kind: str, body: Node, name: str, low: Node, high: Node | None) -> Node:
    """The value of a sum or a product."""
    first, last = _whole(low), None if high is None else _whole(high)
    if first is not None and last is not None and last - first < MAX_TERMS:
        terms = [_substituted(body, name, place) for place in range(first, last + 1)]
        neutral = number(0 if kind == "\\sum" else 1)
        if kind == "\\sum":
            return node("add", neutral, *terms)
        result = neutral
        for term in terms:
            result = node("multiply", result, term)
        return _shallow(result, terms)
    if high is None and body.symbols - {name} and _size(body) > MAX_SERIES:
        raise Unreadable  # sympy is slow with power series that are not short
    index = sympy.Symbol(name, integer=True)
    bounds = (index, to_sympy(low, {}), sympy.oo if high is None else to_sympy(high, {}))
    expression = to_sympy(body, {name: index})
    compute = sympy.summation if kind == "\\sum" else sympy.product
    if last is None:
        return from_sympy(compute(expression, bounds))
    # Up to a large number: in closed form for any number, so that sympy never computes with large ones.
    general = sympy.Symbol(_LAST, integer=True, positive=True)
    return _substituted(from_sympy(compute(expression, (index, bounds[1], general))), _LAST, last)


def _shallow(result: Node, terms: list[Node]) -> Node:
    """A product of many terms as a tree that is not deep."""
    while len(terms) > 1:
        terms = [
            node("multiply", *terms[i : i + 2]) if i + 1 < len(terms) else terms[i] for i in range(0, len(terms), 2)
        ]
    return terms[0] if terms else result


def _whole(tree: Node) -> int | None:
    if tree.symbols:
        return None
    value = evaluate.evaluate(tree, {}, "positive")
    return int(value) if isinstance(value, Fraction) and value.denominator == 1 else None


def _substituted(tree: Node, name: str, place: int) -> Node:
    if name not in tree.symbols:
        return tree
    if tree.kind == "symbol":
        if tree.name != name:
            raise Unreadable
        return number(place)
    return node(tree.kind, *(_substituted(part, name, place) for part in tree.parts), name=tree.name)


# ---- to sympy and back ----------------------------------------------------------------------------------------------


def to_sympy(tree: Node, symbols: dict[str, Any]) -> Any:
    """An expression of sympy's; other symbols than the given ones are positive.

    Raises:
        Unreadable: it has something in it that sympy is not asked about.
    """
    if _size(tree) > MAX_NODES:
        raise Unreadable
    return _converted(tree, symbols)


def _converted(tree: Node, symbols: dict[str, Any]) -> Any:
    if tree.kind == "number":
        if max(abs(tree.value.numerator), tree.value.denominator) > MAX_NUMBER:
            raise Unreadable
        return sympy.Rational(tree.value.numerator, tree.value.denominator)
    if tree.kind == "symbol":
        return symbols.get(tree.name) or sympy.Symbol(tree.name, positive=True)
    if tree.kind == "function" and not tree.parts:
        return {"\\pi": sympy.pi, "e": sympy.E, "i": sympy.I}[tree.name]
    parts = [_converted(part, symbols) for part in tree.parts]
    if tree.kind == "function":
        function = _TO_SYMPY.get(tree.name)
        if function is None or len(parts) > 2 or (len(parts) == 2 and function is not sympy.log):
            raise Unreadable
        return function(*parts)
    if tree.kind == "power" and parts[1].is_number and not abs(parts[1]) <= MAX_EXPONENT and not parts[0].is_symbol:
        raise Unreadable
    if tree.kind == "divide" and parts[1] == 0:
        raise Unreadable
    rules: dict[str, Any] = {
        "add": sympy.Add, "multiply": sympy.Mul, "divide": lambda a, b: a / b, "power": sympy.Pow, "abs": sympy.Abs,
        "root": lambda base, degree: sympy.Pow(base, 1 / degree) if degree != 0 else None,
        "binomial": lambda n, k: sympy.binomial(n, k) if n.free_symbols or abs(n) < 100 else None,
        "factorial": lambda n: sympy.factorial(n) if n.free_symbols or abs(n) < 100 else None,
    }  # fmt: skip
    result = rules[tree.kind](*parts) if tree.kind in rules else None
    if result is None:
        raise Unreadable
    return result


def _is_elementary(body: Node, name: str) -> bool:
    """Whether an integrand is one that sympy is quick with: no function of a function, no x^x, not long."""
    if _size(body) > MAX_INTEGRAND:
        return False
    pending = [body]
    while pending:
        tree = pending.pop()
        if name not in tree.symbols:
            continue
        pending += tree.parts
        if tree.kind == "function" and _is_involved(tree.parts[0], name):
            return False
        if tree.kind == "divide" and name in tree.parts[1].symbols and "function" in _kinds(tree.parts[0], name):
            return False  # a sine integral, or worse
        if (
            tree.kind == "power"
            and name in tree.parts[1].symbols
            and (name in tree.parts[0].symbols or _is_involved(tree.parts[1], name))
        ):
            return False
    return True


def _kinds(tree: Node, name: str) -> set[str]:
    """The kinds of nodes that depend on a symbol."""
    if name not in tree.symbols:
        return set()
    return {tree.kind}.union(*(_kinds(part, name) for part in tree.parts))


def _is_involved(argument: Node, name: str) -> bool:
    """Whether an argument is more than a short polynomial."""
    if _size(argument) > MAX_ARGUMENT:
        return True
    return not _kinds(argument, name) <= {"symbol", "add", "multiply", "divide", "power"}


def _size(tree: Node) -> int:
    return 1 + sum(map(_size, tree.parts))


def from_sympy(expression: Any) -> Node:
    """The tree of a result of sympy's.

    Raises:
        Unreadable: sympy has left something undone, or the result is no number or expression.
    """
    if isinstance(expression, sympy.Piecewise):  # a power series: where it converges
        expression = expression.args[0][0]
    if expression.is_Rational:
        return number(Fraction(int(expression.p), int(expression.q)))
    if expression.is_Symbol:
        return symbol(expression.name)
    constants = {sympy.pi: "\\pi", sympy.E: "e", sympy.I: "i"}
    if expression in constants:
        return Node("function", name=constants[expression])
    kinds: list[tuple[Any, str]] = [
        (sympy.Add, "add"), (sympy.Mul, "multiply"), (sympy.Pow, "power"), (sympy.Abs, "abs"),
        (sympy.factorial, "factorial"), (sympy.binomial, "binomial"),
    ]  # fmt: skip
    for kind, name in kinds:
        if isinstance(expression, kind):
            parts = [from_sympy(part) for part in expression.args]
            if name != "multiply":
                return node(name, *parts)
            return _shallow(parts[0], parts)
    name = _FROM_SYMPY.get(expression.func, "")
    if name not in FUNCTIONS or len(expression.args) != 1:
        raise Unreadable
    return node("function", from_sympy(expression.args[0]), name=name)


def _real_set(found: Any) -> RealSet | None:
    """A set of sympy's; None for what is no union of intervals and points."""
    if found is sympy.S.EmptySet:
        return None
    if found is sympy.S.Reals:
        return between(None, None, False, False)
    if isinstance(found, sympy.Union):
        parts = [_real_set(part) for part in found.args]
        return None if any(part is None for part in parts) else union(*(part for part in parts if part is not None))
    if isinstance(found, sympy.FiniteSet):
        places = [_place(value) for value in found.args]
        return union(*(between(place, place, True, True) for place in places))
    if isinstance(found, sympy.Interval):
        low = None if found.start == -sympy.oo else _place(found.start)
        high = None if found.end == sympy.oo else _place(found.end)
        return between(low, high, not found.left_open, not found.right_open)
    return None


def _place(value: Any) -> Any:
    place = end(evaluate.evaluate(from_sympy(value), {}, "positive"))
    if place is None:
        raise Unreadable
    return place
