"""Canonical tokens by their brackets: split at separators outside all brackets, trimmed, enclosed."""

from __future__ import annotations

OPENING = frozenset(("(", "[", "{", "\\{", "\\langle", "\\lfloor", "\\lceil", "\\begin"))
CLOSING = frozenset((")", "]", "}", "\\}", "\\rangle", "\\rfloor", "\\rceil", "\\end"))


def trim(tokens: list[str]) -> list[str]:
    while tokens and tokens[0] == " ":
        tokens = tokens[1:]
    while tokens and tokens[-1] == " ":
        tokens = tokens[:-1]
    return tokens


def split(tokens: list[str], separators: frozenset[str]) -> tuple[list[list[str]], list[str]]:
    """Split at separators outside all brackets; their kinds may differ, as those of a half-open interval do."""
    parts: list[list[str]] = [[]]
    found: list[str] = []
    level = 0
    for token in tokens:
        if token in OPENING:
            level += 1
        elif token in CLOSING:
            level = max(level - 1, 0)
        if level == 0 and token in separators:
            parts.append([])
            found.append(token)
        else:
            parts[-1].append(token)
    return [trim(part) for part in parts], found


def encloses(tokens: list[str]) -> bool:
    """Whether the first and the last token are partners."""
    level = 0
    for index, token in enumerate(tokens):
        level += (token in OPENING) - (token in CLOSING)
        if level <= 0 and index < len(tokens) - 1:
            return False
    return level == 0
