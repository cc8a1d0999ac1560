"""The level `normalized`: string rules for LaTeX answers, and exact rationals. Nothing is evaluated or parsed deeply.

The result is a key: a string that begins with its kind.

* `q:` an exact rational, `q:1/2`; or `q:45e32` where the number would be too long to write out
* `u:` a rational with a unit, `u:10 minute`
* `t:` words, in lower case
* `m:` mathematics, in a canonical spelling

Every rule is linear in the answer's length. docs/answer_keys.md lists the rules with examples.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

MAX_CHARACTERS = 2000
"""A longer answer is compared as it stands: no rule makes sense of it, and some would take time."""
MAX_DIGITS = 400

_CHARACTERS = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "‐": "-", "＋": "+", "＝": "=", "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ",
        "÷": "\\div ", "π": "\\pi ", "∞": "\\infty ", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "°": "^\\circ ",
        "√": "\\sqrt ", "∪": "\\cup ", "∩": "\\cap ", "±": "\\pm ", "％": "%", "，": ",", "′": "'", "’": "'",
        "½": "\\frac{1}{2}", "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}",
    }
)  # fmt: skip

_SAME_COMMAND = {
    "\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\cfrac": "\\frac", "\\leq": "\\le", "\\geq": "\\ge", "\\neq": "\\ne",
    "\\leqslant": "\\le", "\\geqslant": "\\ge", "\\lt": "<", "\\gt": ">", "\\le": "\\le", "\\ge": "\\ge",
    "\\cdot": "*", "\\times": "*", "\\ast": "*", "\\div": "/", "\\varnothing": "\\emptyset", "\\degree": "^\\circ",
    "\\lbrace": "\\{", "\\rbrace": "\\}", "\\lvert": "|", "\\rvert": "|", "\\vert": "|", "\\mid": "|",
    "\\colon": ":", "\\ldots": "\\dots", "\\cdots": "\\dots", "\\lbrack": "[", "\\rbrack": "]", "\\infin": "\\infty",
    "\\tbinom": "\\binom", "\\dbinom": "\\binom", "\\land": "\\wedge", "\\lor": "\\vee", "\\to": "\\rightarrow",
}  # fmt: skip
_NO_MEANING = {
    "\\left", "\\right", "\\bigl", "\\bigr", "\\Bigl", "\\Bigr", "\\biggl", "\\biggr", "\\big", "\\Big", "\\bigg",
    "\\Bigg", "\\displaystyle", "\\textstyle", "\\limits", "\\nolimits", "\\quad", "\\qquad", "\\,", "\\;", "\\:",
    "\\!", "\\ ", "\\>", "~", "\\thinspace", "\\medspace", "\\hfill", "\\null", "\\boxed", "\\fbox", "\\mathstrut",
}  # fmt: skip
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mbox|hbox|operatorname|rm|bf)(?![A-Za-z])\s*")
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)
_WRAPPERS = (("\\(", "\\)"), ("\\[", "\\]"))
_DOLLAR = re.compile(r"(?<!\\)\$")
_SENTENCE_END = re.compile(r"(?<!\.)\.$")

_UNIT_WORDS = {
    "cent": "¢", "dollar": "$", "usd": "$", "degree": "°", "percent": "%", "percentage": "%",
}  # fmt: skip
_SHORT_UNITS = frozenset(
    "cm mm km nm in ft yd mi kg mg lb oz ml kw hz kj ev pa atm hr min sec day mph kph rad sq per amp bps nc mj gev mev".split()
)
_NOT_PLURAL = ("ss", "us", "is")
_SIGN = r"[+-]?"
_DECIMAL = r"(?:\d+\.?\d*|\.\d+)"
_NUMBER = re.compile(rf"{_SIGN}{_DECIMAL}")
_THOUSANDS = re.compile(r"(?<![\d,.])(\d{1,3})((?:(?:,|\{,\}|\\,|\\!,|,\\!|\\ | )\d{3})+)(?![\d,])")
_FRACTION = re.compile(
    rf"({_SIGN})(\d+)?\\frac\{{({_SIGN}{_DECIMAL})\}}\{{({_SIGN}{_DECIMAL})\}}"
)
_SLASHED = re.compile(rf"({_SIGN}{_DECIMAL})/({_DECIMAL})")
_MIXED = re.compile(rf"({_SIGN})(\d+) (\d+)/(\d+)")
_SCIENTIFIC = re.compile(rf"({_SIGN}{_DECIMAL})(?:[eE]({_SIGN}\d+)|\*10\^(?:\{{({_SIGN}\d+)\}}|(\d)))")
_POWER_OF_TEN = re.compile(rf"({_SIGN})10\^(?:\{{({_SIGN}\d+)\}}|(\d))")
_REPEATING = re.compile(rf"({_SIGN})(\d*)\.(\d*)\\(?:overline|bar)\{{(\d+)\}}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z'\-.]*(?: [A-Za-z'\-.]+)*")
_UNIT = re.compile(r"(?:\^\{?\\circ\}?|[A-Za-z°%¢$Ω][A-Za-z°%¢$Ω/^{}0-9*. \-]*)")
_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp max min gcd lcm mod det dim ker arg sup inf lim".split()
)


def normalized_key(answer: str) -> str:
    """The key of an answer at the level `normalized`. Two answers are the same if their keys are."""
    if len(answer) > MAX_CHARACTERS:
        return "m:" + answer.strip()
    text = _unwrap(_clean(answer))
    return _word_key(text) or _number_key(text) or "m:" + canonical_latex(text)


def parse_rational(text: str) -> str | None:
    """The number that a canonical spelling stands for, as `q:…`; None when it is no plain number.

    Integers, decimals, a/b, \\frac, mixed numbers, a·10^n, e-notation and repeating decimals, all exact.
    """
    if len(text) > MAX_DIGITS:
        return None
    if match := _SCIENTIFIC.fullmatch(text):
        exponent = match[2] or match[3] or match[4]
        return _scaled(_fraction(match[1]), int(exponent[:20])) if len(exponent) <= 20 else None
    if match := _POWER_OF_TEN.fullmatch(text):
        exponent = match[2] or match[3]
        return _scaled(Fraction(-1 if match[1] == "-" else 1), int(exponent)) if len(exponent) <= 20 else None
    value: Fraction | None = None
    if _NUMBER.fullmatch(text):
        value = _fraction(text)
    elif match := _FRACTION.fullmatch(text):
        value = _mixed(match[1], match[2], match[3], match[4])
    elif match := _MIXED.fullmatch(text):
        value = _mixed(match[1], match[2], match[3], match[4])
    elif match := _SLASHED.fullmatch(text):
        value = _divide(_fraction(match[1]), _fraction(match[2]))
    elif match := _REPEATING.fullmatch(text):
        value = _repeating(*match.groups())
    return None if value is None else rational_key(value)


def rational_key(value: Fraction) -> str:
    """`q:3` or `q:1/2`; very long powers of ten in the form `q:45e32`."""
    if value.denominator == 1 and len(str(value.numerator)) <= MAX_DIGITS:
        return f"q:{value.numerator}"
    return f"q:{value.numerator}/{value.denominator}"


def canonical_latex(text: str) -> str:
    """One spelling of a LaTeX string: no spacing, one name for each command, all arguments of \\frac and \\sqrt braced."""
    tokens: list[str] = []
    spaced = False
    for token in _TOKEN.findall(_drop_text_commands(text)):
        if token.isspace() or token in _NO_MEANING:
            spaced = True
            continue
        token = _SAME_COMMAND.get(token, token)
        if token == "\\%":
            token = "%"
        elif token == "\\$":
            token = "$"
        if tokens and spaced and tokens[-1][-1].isdigit() and token[0].isdigit():
            tokens.append(" ")
        tokens.append(token)
        spaced = False
    return _join(_brace_arguments(tokens))


def _clean(answer: str) -> str:
    """Without invisible characters, with one character for each meaning."""
    visible = "".join(c for c in answer if c in "\n\t" or unicodedata.category(c) not in ("Cf", "Cc", "Cs"))
    return " ".join(visible.translate(_CHARACTERS).split())


def _unwrap(text: str) -> str:
    """Without an outer pair of math delimiters, without the full stop of a sentence."""
    text = _SENTENCE_END.sub("", text.strip()) if not text.endswith("\\.") else text
    dollars = _DOLLAR.findall(text)
    if len(dollars) > 1 and len(dollars) % 2 == 0:  # $69$,$84$
        return _unwrap(_DOLLAR.sub("", text).strip())
    box = re.fullmatch(r"\\(?:boxed|fbox)\s*(\{.*\})", text)
    group = box[1] if box else text
    if group.startswith("{") and _closes(group) == len(group):
        return _unwrap(group[1:-1].strip())
    for opening, closing in _WRAPPERS:
        inner = text[len(opening) : len(text) - len(closing)]
        if text.startswith(opening) and text.endswith(closing) and closing not in inner:
            return _unwrap(inner.strip())
    return text


def _closes(text: str) -> int:
    """The position behind the partner of the brace that the text begins with; 0 if there is none."""
    depth = 0
    for match in re.finditer(r"\\.|[{}]", text):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return match.end()
    return 0


def _drop_text_commands(text: str) -> str:
    """\\text{ and } as a comma, other \\text{…} as its content with a space on each side."""
    pieces, position = [], 0
    for match in _TEXT.finditer(text):
        if match.start() < position:
            continue
        pieces.append(text[position : match.start()])
        position = match.end()
        if position < len(text) and text[position] == "{":
            end = text.find("}", position)
            if end < 0:
                break
            content = text[position + 1 : end].strip()
            pieces.append("," if content.lower() in ("and", "or") else f" {content} ")
            position = end + 1
    pieces.append(text[position:])
    return "".join(pieces)


def _word_key(text: str) -> str | None:
    """The key of an answer in words, or of a single letter such as the choice (A)."""
    plain = " ".join(_drop_text_commands(text).replace("~", " ").replace("\\ ", " ").split()).strip(" .")
    choice = re.fullmatch(r"\(?\{?([A-Za-z])\}?\)?", plain)
    if choice and (plain == choice[1] or choice[1].isupper()):
        return "m:" + choice[1]
    if not _WORDS.fullmatch(plain) or all(word in _FUNCTIONS for word in plain.split()):
        return None
    words = plain.split()
    # Letters side by side are a product (xy), unless they are long enough for a word, or name something (AB).
    if all(len(word) < 3 and word.islower() for word in words):
        return None
    return "t:" + plain.lower()


def _number_key(text: str) -> str | None:
    """The key of a number, with its unit if it has one."""
    text = _THOUSANDS.sub(lambda match: match[1] + re.sub(r"\D", "", match[2]), text) if _is_one_number(text) else text
    spelling = canonical_latex(text)
    number = parse_rational(spelling)
    if number:
        return number
    sign = ""
    if spelling[:1] in "+-" and spelling[1:2] == "$":
        sign, spelling = spelling[0], spelling[1:]
    if spelling.startswith("$"):
        number = parse_rational(sign + spelling[1:])
        return f"u:{number[2:]} $" if number else None
    start = _leading_number(spelling)
    number = parse_rational(spelling[:start].strip()) if start else None
    # The words are read before spaces are lost: "10 square feet".
    if number is None or not _UNIT.fullmatch(spelling[start:].strip()):
        return None
    unit = _unit(text, spelling[start:].strip())
    return f"u:{number[2:]} {unit}" if unit else None


def _is_one_number(text: str) -> bool:
    """Whether a comma may separate thousands: not inside brackets, and not between several numbers."""
    return not any(bracket in text for bracket in ("(", "[", "\\{")) and len(_THOUSANDS.findall(text)) == 1


def _leading_number(spelling: str) -> int:
    """The length of the longest number that a spelling begins with."""
    lengths = [
        match.end()
        for pattern in (_SCIENTIFIC, _POWER_OF_TEN, _NUMBER, _FRACTION, _MIXED, _SLASHED, _REPEATING)
        if (match := pattern.match(spelling))
    ]
    return max(lengths, default=0)


def _unit(text: str, spelling: str) -> str | None:
    """The canonical name of a unit; None for what is no unit, such as the x of 3x."""
    if spelling in ("^\\circ", "^{\\circ}"):
        return "°"
    words = re.sub(r"[^A-Za-z°%¢$Ω/^0-9*\- ]", "", spelling.replace("^\\circ", "°").replace("^{\\circ}", "°")).strip()
    written_as_text = bool(_TEXT.search(text))
    letters = re.sub(r"[^A-Za-z]", "", words)
    parts = [_singular(part) for part in re.findall(r"[a-z]+", words.lower())]
    # Without \text, letters behind a number are a product (3xy) unless they are known, or long enough for a word.
    if not written_as_text and letters and not all(part in _SHORT_UNITS or len(part) > 3 for part in parts if len(part) > 1):
        return None
    if not written_as_text and parts and all(len(part) == 1 for part in parts) and "/" not in words:
        return None
    singular = " ".join(_singular(word.lower()) for word in words.split())
    return _UNIT_WORDS.get(singular, singular) or None


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(_NOT_PLURAL) else word


def _brace_arguments(tokens: list[str]) -> list[str]:
    """\\frac12 as \\frac{1}{2}, \\sqrt2 as \\sqrt{2}, x^{2} as x^2."""
    out: list[str] = []
    i = 0
    wanted = 0
    while i < len(tokens):
        token = tokens[i]
        if wanted and token not in ("{", "[", " "):
            out += ["{", token, "}"]
            wanted -= 1
        elif wanted and token == "{":
            wanted -= 1
            out.append(token)
            if wanted:  # copy the first argument whole before looking for the second
                depth = 1
                while i + 1 < len(tokens) and depth:
                    i += 1
                    depth += {"{": 1, "}": -1}.get(tokens[i], 0)
                    out.append(tokens[i])
        else:
            out.append(token)
        if token == "\\frac" or token == "\\binom":
            wanted = 2
        elif token == "\\sqrt" and tokens[i + 1 : i + 2] != ["["]:
            wanted = 1
        i += 1
    return _bare_exponents(out)


def _bare_exponents(tokens: list[str]) -> list[str]:
    """^{2} as ^2 and _{n} as _n: braces around a single token say nothing."""
    out: list[str] = []
    i = 0
    while i < len(tokens):
        if tokens[i] in ("^", "_") and tokens[i + 1 : i + 2] == ["{"] and tokens[i + 3 : i + 4] == ["}"]:
            out += [tokens[i], tokens[i + 2]]
            i += 4
        else:
            out.append(tokens[i])
            i += 1
    return out


def _join(tokens: list[str]) -> str:
    pieces: list[str] = []
    for token in tokens:
        if pieces and token[0].isalpha() and re.fullmatch(r"\\[A-Za-z]+", pieces[-1]):
            pieces.append(" ")
        pieces.append(token)
    return "".join(pieces)


def _fraction(text: str) -> Fraction:
    return Fraction(text.rstrip(".") if text.rstrip(".") not in ("", "+", "-") else "0")


def _divide(numerator: Fraction, denominator: Fraction) -> Fraction | None:
    return numerator / denominator if denominator else None


def _mixed(sign: str, whole: str | None, numerator: str, denominator: str) -> Fraction | None:
    part = _divide(_fraction(numerator), _fraction(denominator))
    if part is None or (whole and part < 0):
        return None
    return (-1 if sign == "-" else 1) * (part + int(whole or 0))


def _repeating(sign: str, whole: str, fixed: str, period: str) -> Fraction:
    value = Fraction(int((whole or "0") + fixed), 10 ** len(fixed))
    value += Fraction(int(period), 10 ** len(fixed) * (10 ** len(period) - 1))
    return -value if sign == "-" else value


def _scaled(mantissa: Fraction, exponent: int) -> str:
    """mantissa · 10^exponent, in full where that is short enough."""
    if mantissa == 0:
        return "q:0"
    if abs(exponent) <= MAX_DIGITS // 2:
        return rational_key(mantissa * Fraction(10) ** exponent)
    digits = mantissa.numerator * (10**MAX_DIGITS // mantissa.denominator)
    exponent -= MAX_DIGITS
    while digits % 10 == 0:
        digits, exponent = digits // 10, exponent + 1
    return f"q:{digits}e{exponent}"
