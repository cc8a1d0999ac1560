"""One expression: canonical tokens to a tree. A reader for the notation of answers, not for all of LaTeX.

Whatever it does not know for certain is `Unreadable`, and then the expression is compared by its spelling: a wrong
reading could merge answers that differ, a missing one cannot. Nesting and size are limited.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from seed_grpo.meaning.equivalence.arguments import GREEK
from seed_grpo.meaning.equivalence.functions import FUNCTIONS
from seed_grpo.meaning.equivalence.latex import join

MAX_NESTING = 24
MAX_TOKENS = 400
MAX_DIGITS = 300

_DECORATIONS = frozenset("\\vec \\hat \\tilde \\overline \\dot \\ddot \\mathcal \\mathscr \\mathfrak".split())
_APPLIED = frozenset("f g h \\Gamma \\zeta \\psi \\phi".split())
_STOPS = frozenset(") ] } + - = , \\} | \\rfloor \\rceil \\rangle \\land \\lor".split())


class Unreadable(Exception):
    """The tokens are no expression that can be read for certain, or one that is too large."""


@dataclass(frozen=True)
class Node:
    """A node of the tree.

    Attributes:
        kind: `number`, `symbol`, `add`, `multiply`, `divide`, `power`, `root`, `function`, `factorial`, `binomial`,
            `abs`, `floor`, `ceil`.
        parts: its operands.
        name: of a symbol or a function.
        value: of a number.
        symbols: the names of all symbols below it.
    """

    kind: str
    parts: tuple[Node, ...] = ()
    name: str = ""
    value: Fraction = Fraction(0)
    symbols: frozenset[str] = frozenset()


def node(kind: str, *parts: Node, name: str = "") -> Node:
    """A node over its operands."""
    return Node(kind, parts, name, symbols=frozenset().union(*(part.symbols for part in parts)))


def number(value: int | Fraction) -> Node:
    """A number."""
    return Node("number", value=Fraction(value))


def symbol(name: str) -> Node:
    """A symbol; also what stands for a value as a whole, such as f(x) or y'."""
    return Node("symbol", name=name, symbols=frozenset((name,)))


def read_expression(tokens: list[str]) -> Node:
    """The tree of an expression.

    Raises:
        Unreadable: it is none that can be read for certain.
    """
    return ExpressionReader(tokens).whole()


class ExpressionReader:
    """Recursive descent over tokens; `index` is the next one."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.index = 0
        self.bars = 0

    def whole(self) -> Node:
        """The tree of all tokens."""
        if not self.tokens or len(self.tokens) > MAX_TOKENS:
            raise Unreadable
        tree = self.sum(0)
        if self.index != len(self.tokens):
            raise Unreadable
        return tree

    def peek(self, ahead: int = 0) -> str:
        index = self.index + ahead
        return self.tokens[index] if index < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if not token or (expected is not None and token != expected):
            raise Unreadable
        self.index += 1
        return token

    def sum(self, depth: int) -> Node:
        if depth > MAX_NESTING:
            raise Unreadable
        terms = [self.product(depth)]
        while self.peek() in ("+", "-"):
            sign = self.take()
            term = self.product(depth)
            terms.append(term if sign == "+" else negative(term))
        return terms[0] if len(terms) == 1 else node("add", *terms)

    def product(self, depth: int) -> Node:
        """Signs, factors with `*` or nothing between them, and `/`, from left to right."""
        negate = divided = False
        while self.peek() in ("+", "-"):
            negate ^= self.take() == "-"
        result = self.factor(depth)
        while (token := self.peek()) and (token == "|" or token not in _STOPS):
            if token == "|" and self.bars:
                break
            if token == " ":
                raise Unreadable  # two numbers side by side
            if token == "\\bmod":
                self.take()
                result = node("mod", result, self.factor(depth))
                continue
            if divided and token not in ("*", "/"):
                raise Unreadable  # a/bc: to some (a/b)c, to others a/(bc)
            operator = self.take() if token in ("*", "/") else "*"
            divided = operator == "/"
            sign = self.take() if token in ("*", "/") and self.peek() in ("+", "-") else "+"
            factor = self.factor(depth)
            factor = negative(factor) if sign == "-" else factor
            result = node("multiply" if operator == "*" else "divide", result, factor)
        return negative(result) if negate else result

    def factor(self, depth: int) -> Node:
        """An atom with its powers and postfix marks."""
        result = self.atom(depth)
        while True:
            token = self.peek()
            if token == "^":
                self.take()
                result = node("power", result, self.group(depth))
                if self.peek() == "^":
                    raise Unreadable  # TeX has no double superscripts
                if self.peek() == "(" and result.parts[0].name in _APPLIED and self._may_be_applied(result.parts[1]):
                    raise Unreadable  # f^{-1}(x)
            elif token == "!":
                self.take()
                if self.peek() == "!":
                    raise Unreadable
                result = node("factorial", result)
            elif token == "°":
                self.take()
                result = node("multiply", result, node("divide", _PI, number(180)))
            elif token == "%":
                self.take()
                result = node("divide", result, number(100))
            else:
                return result

    def _may_be_applied(self, exponent: Node) -> bool:
        """Whether f^{…}(…) may be a function of an argument: h^2(3r-h) is a product."""
        return exponent.kind != "number" or exponent.value < 0 or self._lone_argument()

    def group(self, depth: int) -> Node:
        """What stands in braces."""
        self.take("{")
        bars, self.bars = self.bars, 0
        inner = self.sum(depth + 1)
        self.bars = bars
        self.take("}")
        return inner

    def enclosed(self, closing: str, depth: int) -> Node:
        bars, self.bars = self.bars, 0
        inner = self.sum(depth + 1)
        self.bars = bars
        self.take(closing)
        return inner

    def atom(self, depth: int) -> Node:
        token = self.peek()
        if token[:1] in "0123456789" and token:
            return self.number(depth)
        if token in ("(", "["):
            self.take()
            return self.enclosed(")" if token == "(" else "]", depth)
        if token == "{":
            return self.group(depth)
        if token == "|":
            self.take()
            self.bars += 1
            inner = self.sum(depth + 1)
            self.bars -= 1
            self.take("|")
            return node("abs", inner)
        if token in ("\\lfloor", "\\lceil"):
            self.take()
            kind = token[2:]
            return node(kind, self.enclosed("\\r" + kind, depth))
        if token == "\\frac":
            return self.fraction(depth)
        if token == "\\binom":
            self.take()
            return node("binomial", self.group(depth), self.group(depth))
        if token == "\\sqrt":
            return self.root(depth)
        if _is_function(token):
            return self.function(depth)
        if token == "\\pi":
            self.take()
            return _PI
        if token in ("e", "i") and self.peek(1) not in ("_", "'"):
            self.take()
            return _E if token == "e" else _I
        if (token.isascii() and token.isalpha()) or token in GREEK or token in _DECORATIONS:
            return self.symbol(depth)
        raise Unreadable

    def number(self, depth: int) -> Node:
        text = self.take()
        if len(text) > MAX_DIGITS:
            raise Unreadable
        value = Fraction(text)
        if self.peek() == "_":
            raise Unreadable  # digits in some base
        if self.peek() == "\\frac" and "." not in text:
            mixed = self._digit_fraction(self.index)
            if mixed is not None:
                self.index += 7
                return number(value + mixed)
        if self.peek() == " " and self.peek(2) == "/" and "." not in text:  # 1 1/2
            numerator, denominator = self.peek(1), self.peek(3)
            if numerator.isdigit() and denominator.isdigit() and int(denominator):
                self.index += 4
                return number(value + Fraction(int(numerator), int(denominator)))
        return number(value)

    def _digit_fraction(self, index: int) -> Fraction | None:
        """The value of \\frac{3}{4} with whole numbers, which makes the number in front a mixed one."""
        frac = self.tokens[index : index + 7]
        if len(frac) < 7 or [frac[i] for i in (1, 3, 4, 6)] != ["{", "}", "{", "}"]:
            return None
        if not frac[2].isdigit() or not frac[5].isdigit() or not int(frac[5]):
            return None
        return Fraction(int(frac[2]), int(frac[5]))

    def fraction(self, depth: int) -> Node:
        start = self.index
        self.take()
        if self.peek(1) == "d" and self._is_derivative():
            return symbol(join(self.tokens[start : self.index]))
        numerator = self.group(depth)
        return node("divide", numerator, self.group(depth))

    def _is_derivative(self) -> bool:
        """Whether \\frac{d…}{d…} stands here: a derivative, as a whole a symbol. If so, it is taken."""
        index, ends = self.index, []
        for _ in range(2):
            if self.tokens[index : index + 2] != ["{", "d"]:
                return False
            level = 0
            while index < len(self.tokens):
                level += (self.tokens[index] == "{") - (self.tokens[index] == "}")
                index += 1
                if level == 0:
                    break
            ends.append(index)
        if ends[1] - ends[0] < 4:
            return False  # \frac{d}{d}, \frac{dx}{d}: products
        self.index = ends[1]
        return True

    def root(self, depth: int) -> Node:
        self.take()
        degree = number(2)
        if self.peek() == "[":
            self.take()
            degree = self.sum(depth + 1)
            self.take("]")
        return node("root", self.group(depth), degree)

    def function(self, depth: int) -> Node:
        name = self.take()
        base: Node | None = None
        power: Node | None = None
        while self.peek() in ("_", "^"):
            if self.take() == "_":
                if base is not None or name != "\\log":
                    raise Unreadable
                base = self.group(depth)
            else:
                if power is not None:
                    raise Unreadable
                power = self.group(depth)
        if power == _MINUS_ONE:
            inverse = FUNCTIONS[name].inverse
            if not inverse:
                raise Unreadable
            name, power = f"\\{inverse}", None
        if FUNCTIONS[name].many:
            result = node("function", *self.arguments(depth), name=name)
        else:
            result = node("function", self.argument(depth), *([base] if base is not None else []), name=name)
        if self.peek() == "^" and self.tokens[self.index - 1] in (")", "]"):
            if power is not None:
                raise Unreadable
            self.take()
            power = self.group(depth)
        return node("power", result, power) if power is not None else result

    def arguments(self, depth: int) -> list[Node]:
        """The arguments of a function that takes several: in parentheses, with commas between them."""
        opening = self.take()
        closing = {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}.get(opening)
        if closing is None:
            raise Unreadable
        bars, self.bars = self.bars, 0
        found = [self.sum(depth + 1)]
        while self.peek() == ",":
            self.take()
            found.append(self.sum(depth + 1))
        self.bars = bars
        self.take(closing)
        if len(found) < 2:
            raise Unreadable  # the maximum of an expression is over something that it does not name
        return found

    def argument(self, depth: int) -> Node:
        """What a function without parentheses is applied to: the factors up to a sign, an operator or a function."""
        if depth > MAX_NESTING:
            raise Unreadable
        token = self.peek()
        if token in ("(", "[", "{", "|", "\\lfloor", "\\lceil"):
            atom = self.atom(depth)
            return atom  # \cos(x)^2 is (\cos x)^2: the parentheses are the function's
        if _is_function(token):
            return self.function(depth + 1)
        negate = token == "-"
        if negate:
            self.take()
        result = self.factor(depth + 1)
        while (token := self.peek()) and token not in _STOPS and token not in ("*", "/", "(", "[", "|", " "):
            if _is_function(token) or token in ("\\lfloor", "\\lceil"):
                break
            result = node("multiply", result, self.factor(depth + 1))
        return negative(result) if negate else result

    def symbol(self, depth: int) -> Node:
        """A letter with its decoration, subscript and primes; applied to an argument, the whole is one symbol."""
        start = self.index
        letter = self.take()
        if letter in _DECORATIONS:
            self._skip_group()
        if self.peek() == "_":
            self.take()
            self._skip_group()
        primed = self.peek() == "'"
        while self.peek() == "'":
            self.take()
        name = join(self.tokens[start : self.index])
        if self.peek() == "(" and (letter in _APPLIED or primed or self._lone_argument()):
            self.take()
            argument = self._argument_text()
            return symbol(f"{name}({argument})")
        return symbol(name)

    def _skip_group(self) -> None:
        """Take a short group in braces, whatever it says."""
        self.take("{")
        for _ in range(12):
            token = self.take()
            if token == "}":
                return
            if token == "{" or token == "^":
                break
        raise Unreadable

    def _lone_argument(self) -> bool:
        """Whether a single letter or number stands in parentheses: x(t) and I(0) are values of functions."""
        inner = self.peek(1)
        return (
            self.peek(2) == ")" and (inner.isalpha() or inner.isdigit() or inner in GREEK) and inner not in ("e", "i")
        )

    def _argument_text(self) -> str:
        """The spelling of an argument up to its closing parenthesis, which is taken."""
        start, level = self.index, 1
        while level:
            token = self.take()
            level += (token == "(") - (token == ")")
        return join(self.tokens[start : self.index - 1])


def renamed(tree: Node, old: str, new: str) -> Node:
    """An expression with another name for one of its symbols."""
    if old not in tree.symbols:
        return tree
    if tree.kind == "symbol":
        return symbol(new)
    return node(tree.kind, *(renamed(part, old, new) for part in tree.parts), name=tree.name)


def _is_function(token: str) -> bool:
    return token in FUNCTIONS and FUNCTIONS[token].known


def negative(term: Node) -> Node:
    """−term."""
    return number(-term.value) if term.kind == "number" else node("multiply", _MINUS_ONE, term)


_PI, _E, _I = Node("function", name="\\pi"), Node("function", name="e"), Node("function", name="i")
_MINUS_ONE = number(-1)
