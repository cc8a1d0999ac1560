"""`seed-grpo report`: runs and evaluations on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seed_grpo.terminal import say


def report(
    paths: Annotated[list[Path], typer.Argument(help="Folders of runs and evaluations.", metavar="RUN_OR_RESULT...")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report.", show_default="the only folder given, or report")
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "SEED-GRPO report",
) -> None:
    """Write report.html (one self-contained page) and report.md: tables next to the paper's, curves, examples.

    Example: seed-grpo report runs/quickstart/seed_1/run

    Example: seed-grpo report results/base results/seed_grpo runs/qwen2.5_math_7b --out report
    """
    from seed_grpo.report.build import write_report

    folder = out or (paths[0] if len(paths) == 1 and paths[0].expanduser().is_dir() else Path("report"))
    for path in write_report(paths, folder, title):
        say(str(path))
