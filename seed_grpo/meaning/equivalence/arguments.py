"""Tokens that belong together: the arguments of commands in braces, the digits of a number in one token."""

from __future__ import annotations

_ARGUMENTS = {
    "\\frac": 2, "\\binom": 2, "\\sqrt": 1, "^": 1, "_": 1, "\\overline": 1, "\\vec": 1, "\\hat": 1, "\\tilde": 1,
    "\\dot": 1, "\\ddot": 1, "\\mathbb": 1, "\\mathcal": 1, "\\mathscr": 1, "\\mathfrak": 1,
}  # fmt: skip
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
        end = partner.get(index) if token == "{" or (token == "(" and command == "\\sqrt") else None
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


def merge_numbers(tokens: list[str]) -> list[str]:
    """Digits as numbers without superfluous zeros; a repeating decimal as a fraction."""
    out: list[str] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
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
        out.append(f"{whole}.{fixed}" if fixed else whole)
    return out


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
