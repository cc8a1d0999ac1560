"""`seed-grpo analyze`: what the method makes of rollouts on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seed_grpo.terminal import make_console, say

if TYPE_CHECKING:
    from seed_grpo.analysis.run import Progress

Paths = Annotated[
    list[Path], typer.Argument(help="Files or folders: our own runs, or verl's rollout_data_dir.", metavar="PATH...")
]
Out = Annotated[Path, typer.Option(help="Folder for the table and the plot.")]
Format = Annotated[str, typer.Option(help="Format of the table: parquet or csv.")]
Alpha = Annotated[float, typer.Option(help="Strength of the uncertainty in the weights.")]
Gamma = Annotated[float, typer.Option(help="Exponent of the form focal.")]
Level = Annotated[str, typer.Option(help="Clusters for the weights and the plot: exact, normalized or symbolic.")]
Estimator = Annotated[str, typer.Option(help="Entropy for the weights: monte_carlo or rao_blackwell.")]
NoAnswer = Annotated[str, typer.Option(help="Responses without an answer: singleton, shared or drop.")]
Template = Annotated[
    str,
    typer.Option(help="Where verl's responses hold answers: boxed, answer_tag, gsm8k, phrase, answer_line or auto."),
]
Grade = Annotated[bool, typer.Option("--grade", help="Grade the answers again with this library's keys.")]

AlsoGrade = Annotated[
    str | None, typer.Option(help="Grade with another grader too, and list every disagreement: math-verify.")
]


def analyze(
    paths: Paths,
    out: Out = Path("analysis"),
    format: Format = "parquet",
    alpha: Alpha = 0.02,
    gamma: Gamma = 2.0,
    level: Level = "exact",
    estimator: Estimator = "monte_carlo",
    no_answer: NoAnswer = "singleton",
    template: Template = "boxed",
    grade: Grade = False,
    also_grade: AlsoGrade = None,
) -> None:
    """Clusters, entropies and weights of dumped rollouts, per prompt: a summary, a table, and a plot. No GPU.

    Reads `prompts.jsonl` of our own runs, and the files that verl writes to trainer.rollout_data_dir. Rewards are those
    on record, unless --grade computes them again.

    Example: seed-grpo analyze runs/quickstart --out analysis

    Example: seed-grpo analyze rollouts/*.jsonl --format csv --alpha 0.5 --level symbolic --grade
    """

    from seed_grpo.analysis.run import AnalysisOptions, analyze_rollouts
    from seed_grpo.analysis.second_opinion import second_opinion_line
    from seed_grpo.analysis.summary import summary_table
    from seed_grpo.settings import Settings

    settings = Settings(alpha=alpha, gamma=gamma, estimator=estimator, meaning=level, no_answer=no_answer,
                        answer_template=template)  # fmt: skip
    with _progress_bar() as progress:
        analysis = analyze_rollouts(paths, AnalysisOptions(settings, out, format, grade, also_grade), progress)
    console = make_console()
    console.print(summary_table(analysis.prompts, settings))
    console.print(
        f"Answers that the level symbolic compared by their spelling: {analysis.counts['guarded']} could not be "
        f"evaluated, {analysis.counts['timeouts']} ran out of time."
    )
    if analysis.also_graded is not None:
        say(second_opinion_line(analysis.also_graded, out), console)
    say(f"{analysis.table}; {analysis.plot}", console)


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    """A bar on standard error for each part of the work."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    rows: dict[str, TaskID] = {}
    with Progress(*columns, console=make_console(stderr=True)) as bar:

        def progress(what: str, done: int, total: int) -> None:
            if what not in rows:
                rows[what] = bar.add_task(what, total=total)
            bar.update(rows[what], completed=done)

        yield progress
