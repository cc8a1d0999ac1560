"""Text on a terminal: what a user or a model wrote is shown as it is, whatever the terminal can show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str, console: Console | None = None) -> None:
    """Print a line, in which rich takes nothing for markup, an emoji or a number to be coloured, and breaks nothing.

    Args:
        text: may hold paths and other people's text.
        console: where to; standard output by default.
    """
    from rich import get_console
    from rich.text import Text

    (console or get_console()).print(Text(text), soft_wrap=True, highlight=False)
