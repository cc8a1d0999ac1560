"""The terminal: text that a user or a model wrote is shown as it is, in whatever characters the terminal knows."""

from __future__ import annotations

import codecs
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PLAIN = {
    "–": "-", "−": "-", "—": "-", "×": "x", "±": "+-", "→": "->", "…": "...", "·": ".", "≤": "<=", "≥": ">=",
    "α": "alpha", "β": "beta", "γ": "gamma", "λ": "lambda", "μ": "mu", "σ": "sigma", "π": "pi",
    "“": '"', "”": '"', "‘": "'", "’": "'", "\u00a0": " ", "\u202f": " ",
}  # fmt: skip
"""What stands for the project's own symbols where they cannot be shown."""
CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
ERRORS = "seed_grpo.terminal"


def prepare_streams() -> None:
    """Let standard output and error show any text: no character is an error, whatever the encoding of the terminal."""
    codecs.register_error(ERRORS, _replacement)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not if somebody has put a stream of another kind there
            stream.reconfigure(errors=ERRORS)


def _replacement(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    shown = []
    for character in error.object[error.start : error.end]:
        plain = PLAIN.get(character)
        shown.append(plain if plain is not None else character.encode("ascii", "backslashreplace").decode("ascii"))
    return "".join(shown), error.end


def shown(text: str) -> str:
    """A text with its control characters spelled out, so that it cannot steer the terminal."""
    return text.translate(CONTROL)


def make_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console that takes nothing in a text or in a table for markup, an emoji or a number to be coloured.

    Args:
        stderr: write to standard error.
        width: columns; those of the terminal by default.
    """
    from rich.console import Console

    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def say(text: str, console: Console | None = None, *, style: str | None = None) -> None:
    """Print a line as it is, with no breaks of its own.

    Args:
        text: the line.
        console: where to; standard output by default.
        style: rich's, for the whole line.
    """
    console = console or make_console()
    console.print(shown(text), soft_wrap=True, style=style, markup=False, emoji=False, highlight=False)
