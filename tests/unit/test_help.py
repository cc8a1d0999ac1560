"""`--help`: what is written for an option is what a person reads."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
import typer.main
from typer.testing import CliRunner

from seed_grpo.cli import app


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in getattr(group, "commands", {}).items():
        yield (*path, name), command
        yield from commands(command, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


def words(text: str) -> str:
    """Text without the frame and the line breaks of a terminal's table."""
    return "".join(text.replace("│", " ").split())


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_help_of_every_option_is_shown_in_full(path: tuple[str, ...]) -> None:
    """rich takes [what is in brackets] for markup and leaves it out; defaults in words go into `show_default`."""
    shown = words(CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200"}).output)
    for parameter in COMMANDS[path].params:
        help_text = getattr(parameter, "help", None) or ""
        assert words(help_text) in shown, parameter.name
        default = getattr(parameter, "show_default", None)
        if isinstance(default, str):
            assert words(f"[default: ({default})]") in shown, parameter.name


def test_every_command_has_an_example() -> None:
    for path, command in COMMANDS.items():
        if not getattr(command, "commands", {}):
            assert "Example: " in (command.help or ""), path
