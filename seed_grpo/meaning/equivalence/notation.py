"""Plain notation as LaTeX: `>=`, `**`, `0.333...`, `12th`, `4:30 p.m.`, the spacing of rows."""

from __future__ import annotations

import re

_SIGNS = (
    (">=", "\\ge "), ("=<", "\\le "), ("<=", "\\le "), ("+/-", "\\pm "), ("->", "\\rightarrow "), ("==", "="),
    ("=>", "\\Rightarrow "), ("<>", "\\ne "),
)  # fmt: skip
# 5!=120 is an equation: "not equal" has a space in front.
_NOT_EQUAL = re.compile(r"(?<= )!=")
_ROW_SPACING = re.compile(r"\\\\ ?\[ ?-?[0-9.]+ ?(?:pt|em|ex|mm|cm|in|\\baselineskip) ?\]")
_ORDINAL = re.compile(
    r"(?<=[0-9]) ?(?:\^ ?\{ ?\\(?:text|mathrm|textrm|rm)? ?\{?(?:st|nd|rd|th)\} ?\}?"
    r"|\^ ?\\(?:text|mathrm|textrm) ?\{(?:st|nd|rd|th)\}|\^ ?\{(?:st|nd|rd|th)\}"
    r"|\\(?:text|mathrm|textrm) ?\{ ?(?:st|nd|rd|th) ?\}|(?:st|nd|rd|th)(?![A-Za-z]))"
)
_HALF_DAY = re.compile(r"(?<=[0-9 {~])([apAP])\. ?[mM]\.?(?![A-Za-z])|(?<=[0-9 {~])([AP])M(?![A-Za-z])")
_REPEATING = re.compile(r"(?<![0-9.])([0-9]*\.[0-9]{2,60}) ?(?:\.\.\.+|\\[lc]?dots(?![A-Za-z]))")


def plain_notation(text: str) -> str:
    """A clean text in which what has a LaTeX form has it."""
    if ">" in text or "<" in text or "=" in text or "+/" in text:
        text = _NOT_EQUAL.sub("\\\\ne ", text)
        for sign, command in _SIGNS:
            text = text.replace(sign, command)
    if "\\\\" in text:
        text = _ROW_SPACING.sub(r"\\\\", text)
    if ".m" in text or ". m" in text or "M" in text:
        text = _HALF_DAY.sub(lambda match: f"{(match[1] or match[2]).lower()}m", text)
    if "dots" in text or "..." in text:
        text = _REPEATING.sub(_repeating, text)
    if "th" in text or "st" in text or "nd" in text or "rd" in text:
        text = _ORDINAL.sub("", text)
    return text


def _repeating(match: re.Match[str]) -> str:
    """0.333... as a repeating decimal: a digit that is written three times, or several that are written twice."""
    whole, digits = match[1].split(".")
    for length in range(1, len(digits) // 2 + 1):
        period = digits[-length:]
        times = 3 if length == 1 else 2
        if len(digits) >= times * length and digits.endswith(period * times):
            start = len(digits)
            while start >= length and digits[start - length : start] == period:
                start -= length
            return f"{whole or 0}.{digits[:start]}\\overline{{{period}}}"
    return match[0]
