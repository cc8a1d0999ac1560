"""The command line: `seed-grpo COMMAND`. Exit status 0 on success, 1 on failure, 2 on bad usage.

A command is a module in `seed_grpo.commands`; its heavy imports stay inside its functions.
"""

from __future__ import annotations

import os
import sys

import typer

from seed_grpo.commands import ablate, analyze, data, doctor, export, plan, quickstart, report, train
from seed_grpo.commands import eval as evaluation
from seed_grpo.errors import SeedGrpoError
from seed_grpo.version import __version__

app = typer.Typer(
    name="seed-grpo",
    help="SEED-GRPO on verl: train, evaluate and analyze. Start with `seed-grpo doctor`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("doctor")(doctor.doctor)
app.command("quickstart")(quickstart.quickstart)
app.add_typer(data.app, name="data")
app.command("eval")(evaluation.evaluate)
app.command("report")(report.report)
app.command("plan")(plan.plan)
app.command("train")(train.train)
app.command("ablate")(ablate.ablate)
app.command("analyze")(analyze.analyze)
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


def main() -> None:
    """Run one command. A `SeedGrpoError` becomes one line on standard error and an exit status."""
    try:
        app()
    except SeedGrpoError as error:
        if os.environ.get("SEED_GRPO_TRACEBACK"):
            raise
        print(f"seed-grpo: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("seed-grpo: interrupted.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
