"""Tokens that belong together: the arguments of commands in braces, the digits of a number in one token."""

from __future__ import annotations

GREEK = frozenset(
    f"\\{name}"
    for name in "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi "
    "chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega hbar ell varsigma varrho varpi varkappa "
    "mho".split()
)
"""Greek letters and others that are symbols; not π, which is a number."""

_ARGUMENTS = {
    "\\frac": 2, "\\binom": 2, "\\sqrt": 1, "^": 1, "_": 1, "\\overline": 1, "\\vec": 1, "\\hat": 1, "\\tilde": 1,
    "\\dot": 1, "\\ddot": 1, "\\mathbb": 1, "\\mathcal": 1, "\\mathscr": 1, "\\mathfrak": 1,
}  # fmt: skip
_IN_PARENTHESES = ("\\sqrt", "^", "_")
"""Commands whose argument people also put in parentheses: sqrt(2), 2^(n+1)."""
_SINGLE_DIGITS = ("\\frac", "\\binom")
_MAX_NESTING = 60


def brace_arguments(tokens: list[str]) -> list[str]:
    """`\\frac12` as `\\frac{1}{2}`, `\\sqrt2` as `\\sqrt{2}`, `x^2` as `x^{2}`.

    Where TeX would take one digit and people mean the number (`x^10`, `\\sqrt12`), the number is taken.
    """
    partner = matching(tokens)
    out: list[str] = []
    index = 0
    while index < len(tokens):
        if tokens[index] == "{" and tokens[index + 1 : index + 2] == ["}"]:
            index += 2
        else:
            takes_arguments = tokens[index] in _ARGUMENTS
            index = _emit(tokens, partner, index, out, 0)
            # Only between two numbers does a space say anything: not in \\log_2 8.
            index += takes_arguments and tokens[index : index + 1] == [" "]
    return out


_INFIX = {"\\over": "\\frac", "\\choose": "\\binom"}
_MAX_INFIX = 8


def infix_fractions(tokens: list[str]) -> list[str]:
    """`{n \\choose k}` as `\\binom{n}{k}`, `{a \\over b}` as `\\frac{a}{b}`."""
    if "\\over" not in tokens and "\\choose" not in tokens:
        return tokens
    for _ in range(_MAX_INFIX):
        index = next((index for index, token in enumerate(tokens) if token in _INFIX), None)
        if index is None:
            break
        start = _group_edge(tokens, index, -1)
        end = _group_edge(tokens, index, 1)
        upper, lower = tokens[start + 1 : index], tokens[index + 1 : end]
        fraction = [_INFIX[tokens[index]], "{", *upper, "}", "{", *lower, "}"]
        tokens = [*tokens[: start + 1], *fraction, *tokens[end:]]
    return tokens


def _group_edge(tokens: list[str], index: int, step: int) -> int:
    """The brace or bracket that encloses a token, to its left (step −1) or right; the end of the tokens without one."""
    level = 0
    index += step
    while 0 <= index < len(tokens):
        level += (tokens[index] in ("{", "(")) - (tokens[index] in ("}", ")"))
        if level * step < 0:
            return index
        index += step
    return index


def _emit(tokens: list[str], partner: dict[int, int], index: int, out: list[str], depth: int) -> int:
    """Copy one token, and if it is a command its arguments in braces. Returns the index behind them."""
    command = tokens[index]
    out.append(command)
    index += 1
    if depth > _MAX_NESTING:
        return index
    if command == "\\sqrt" and tokens[index : index + 1] == ["["] and "]" in tokens[index : index + 8]:
        degree_end = tokens.index("]", index) + 1
        out += tokens[index:degree_end]
        index = degree_end
    for _ in range(_ARGUMENTS.get(command, 0)):
        while tokens[index : index + 1] == [" "]:
            index += 1
        if index == len(tokens):
            break
        token = tokens[index]
        end = partner.get(index) if token == "{" or (token == "(" and command in _IN_PARENTHESES) else None
        if end is not None:
            out.append("{")
            index += 1
            while index < end:
                index = _emit(tokens, partner, index, out, depth + 1)
            out.append("}")
            index = end + 1
        elif token in ("{", "}", ")", "]", ",", "=", "&", "^", "_"):
            break
        else:
            out.append("{")
            index = _emit_bare(tokens, partner, index, out, depth, command)
            out.append("}")
    return index


def _emit_bare(tokens: list[str], partner: dict[int, int], index: int, out: list[str], depth: int, command: str) -> int:
    """Copy an argument without braces: a command with its own arguments, a number, or a single token."""
    if tokens[index] in ("+", "-") and command in ("^", "_") and index + 1 < len(tokens):
        out.append(tokens[index])
        index += 1
    if tokens[index] not in DIGITS:
        return _emit(tokens, partner, index, out, depth + 1)
    out.append(tokens[index])
    index += 1
    while command not in _SINGLE_DIGITS and index < len(tokens) and tokens[index] in DIGITS:
        out.append(tokens[index])
        index += 1
    return index


DIGITS = frozenset("0123456789")
_NUMERIC = DIGITS | {"."}


def merge_numbers(tokens: list[str]) -> list[str]:
    """Digits as numbers without superfluous zeros; a repeating decimal as a fraction."""
    out: list[str] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token not in _NUMERIC:
            out.append(token)
            index += 1
            continue
        following = tokens[index + 1] if index + 1 < len(tokens) else ""
        starts = token in DIGITS or (token == "." and (following in DIGITS or bool(_period(tokens, index + 1)[0])))
        behind_number = bool(out) and out[-1][-1] in ".0123456789"
        if not starts or (token == "." and behind_number):
            # A point behind a number is none of its digits' (1.2.3): a token that cannot be mistaken for one.
            out.append("\\point" if token == "." and behind_number and following in DIGITS else token)
            index += 1
            continue
        whole, index = _digits(tokens, index)
        fixed = ""
        point = tokens[index : index + 1] == ["."]
        if point and tokens[index + 1 : index + 2] != ["."]:
            fixed, index = _digits(tokens, index + 1)
        period, behind = _period(tokens, index) if point else ("", index)
        if period:
            index = behind
            scale = 10 ** len(fixed) * (10 ** len(period) - 1)
            value = int((whole or "0") + fixed) * (10 ** len(period) - 1) + int(period)
            out += ["\\frac", "{", str(value), "}", "{", str(scale), "}"]
            continue
        whole, fixed = whole.lstrip("0") or "0", fixed.rstrip("0")
        number = f"{whole}.{fixed}" if fixed else whole
        if out and out[-1][-1].isalpha() and is_letter(out[-1]) and not _has_letter_exponent(tokens, index):
            out += ["_", "{", number, "}"]  # x2 is the second x, not twice x; but n2^{n-1} is a product
        else:
            out.append(number)
    return out


def is_letter(token: str) -> bool:
    """Whether a token is a letter that may have an index: Latin, or Greek but π."""
    return (len(token) == 1 and token.isascii() and token.isalpha()) or token in GREEK


def _has_letter_exponent(tokens: list[str], index: int) -> bool:
    if tokens[index : index + 2] != ["^", "{"]:
        return False
    end = index + 2
    while end < len(tokens) and tokens[end] != "}" and end < index + 20:
        if is_letter(tokens[end]):
            return True
        end += 1
    return False


def order_indices(tokens: list[str]) -> list[str]:
    """`v^{2}_{0}` as `v_{0}^{2}`, `{a}_{n}` as `a_{n}`, `k_{\\text{B}}` as `k_{B}`."""
    if "_" not in tokens:
        return tokens
    out: list[str] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        bare = not out or out[-1] not in _ARGUMENTS
        if bare and token == "{" and tokens[index + 2 : index + 4] == ["}", "_"] and is_letter(tokens[index + 1]):
            out.append(tokens[index + 1])
            index += 3
        elif token == "^" and (end := _group_end(tokens, index + 1)) and tokens[end : end + 1] == ["_"]:
            subscript_end = _group_end(tokens, end + 1)
            if subscript_end:
                out += [*_index(tokens[end:subscript_end]), *tokens[index:end]]
                index = subscript_end
            else:
                out.append(token)
                index += 1
        elif token == "_" and (end := _group_end(tokens, index + 1)):
            out += _index(tokens[index:end])
            index = end
        else:
            out.append(token)
            index += 1
    return out


def _index(tokens: list[str]) -> list[str]:
    """A subscript with its words letter by letter."""
    out: list[str] = []
    for token in tokens:
        out += [c for c in token[len("\\text{") : -1] if c.isalnum()] if token.startswith("\\text{") else [token]
    return out


def _group_end(tokens: list[str], index: int) -> int:
    """The index behind a short group in braces; 0 if none stands here."""
    if tokens[index : index + 1] != ["{"]:
        return 0
    level = 0
    for end in range(index, min(index + 60, len(tokens))):
        level += (tokens[end] == "{") - (tokens[end] == "}")
        if level == 0:
            return end + 1
    return 0


def _digits(tokens: list[str], index: int) -> tuple[str, int]:
    start = index
    while index < len(tokens) and tokens[index] in DIGITS:
        index += 1
    return "".join(tokens[start:index]), index


def _period(tokens: list[str], index: int) -> tuple[str, int]:
    """The digits under a bar or a dot, and the index behind them."""
    if tokens[index : index + 1] in (["\\overline"], ["\\dot"]) and tokens[index + 1 : index + 2] == ["{"]:
        digits, end = _digits(tokens, index + 2)
        if digits and len(digits) <= 60 and tokens[end : end + 1] == ["}"]:
            return digits, end + 1
    return "", index


def matching(tokens: list[str]) -> dict[int, int]:
    """For each opening brace or parenthesis that is closed, the index of its partner; pairs never overlap."""
    partner: dict[int, int] = {}
    stack: list[int] = []
    braces = 0
    for index, token in enumerate(tokens):
        if token in ("{", "("):
            stack.append(index)
            braces += token == "{"
        elif token == "}" and braces:
            while tokens[stack[-1]] == "(":
                stack.pop()
            partner[stack.pop()] = index
            braces -= 1
        elif token == ")" and stack and tokens[stack[-1]] == "(":
            partner[stack.pop()] = index
    return partner
