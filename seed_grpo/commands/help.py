"""Help that is shown as it is written: rich takes `[default: 1]` in a text for markup, and drops it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command with literal help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _escape(self)
        super().format_help(ctx, formatter)


class Group(TyperGroup):
    """A group of commands with literal help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        for command in (self, *self.commands.values()):
            _escape(command)
        super().format_help(ctx, formatter)


class App(typer.Typer):
    """A Typer application whose commands and groups have literal help."""

    def __init__(self, **options: Any) -> None:
        super().__init__(cls=Group, **options)

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """As Typer's."""
        return super().command(name, cls=Command, **options)


def _escape(command: Any) -> None:
    from rich.markup import escape

    for item in (command, *command.params):
        text = getattr(item, "help", None)
        if text:
            item.help = escape(text)
