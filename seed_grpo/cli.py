"""The command line: `seed-grpo COMMAND`. Exit status 0 on success, 1 on failure, 2 on bad usage.

A command is a module in `seed_grpo.commands`; its heavy imports stay inside its functions.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from seed_grpo.commands import ablate, analyze, data, doctor, export, plan, quickstart, report, train
from seed_grpo.commands import eval as evaluation
from seed_grpo.errors import SeedGrpoError
from seed_grpo.terminal import prepare_streams, shown
from seed_grpo.version import __version__

COMMANDS = ("quickstart", "doctor", "data", "train", "eval", "report", "analyze", "ablate", "plan", "export")
"""In the order in which people meet them."""


class InOrder(TyperGroup):
    """Lists the commands in the order of `COMMANDS`, not by their kind."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: COMMANDS.index(name) if name in COMMANDS else len(COMMANDS))


app = typer.Typer(
    name="seed-grpo",
    cls=InOrder,
    help="SEED-GRPO on verl: train, evaluate and analyze. Start with `seed-grpo quickstart`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("quickstart")(quickstart.quickstart)
app.command("doctor")(doctor.doctor)
app.add_typer(data.app, name="data")
app.command("train")(train.train)
app.command("eval")(evaluation.evaluate)
app.command("report")(report.report)
app.command("analyze")(analyze.analyze)
app.command("ablate")(ablate.ablate)
app.command("plan")(plan.plan)
app.command("export")(export.export)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"seed-grpo {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def _complain(text: str) -> None:
    """Say it in one line on standard error."""
    print(f"seed-grpo: {shown(' '.join(text.splitlines()))}", file=sys.stderr)


def main() -> None:
    """Run one command. A `SeedGrpoError` becomes one line on standard error and an exit status."""
    prepare_streams()
    try:
        app()
    except SeedGrpoError as error:
        if os.environ.get("SEED_GRPO_TRACEBACK"):
            raise
        _complain(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        if os.environ.get("SEED_GRPO_TRACEBACK") or error.filename is None:
            raise
        # A path that a person gave, or one below it: there is no room, no permission, or something in its place.
        _complain(
            f"{error.filename}: {error.strerror or error}. Remedy: check the path, its permissions and the free space, "
            "or choose another."
        )
        sys.exit(1)
    except KeyboardInterrupt:
        _complain("interrupted.")
        sys.exit(130)


if __name__ == "__main__":
    main()
