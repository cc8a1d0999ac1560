"""`seed-grpo analyze`: what the method makes of rollouts on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from seed_grpo.errors import UsageError

FORMATS = ("parquet", "csv")


def analyze(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Files or folders: our own runs, or verl's rollout_data_dir.", metavar="PATH..."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the table and the plot.")] = Path("analysis"),
    format: Annotated[str, typer.Option(help="Format of the table: parquet or csv.")] = "parquet",
    alpha: Annotated[float, typer.Option(help="Strength of the uncertainty in the weights.")] = 0.02,
    gamma: Annotated[float, typer.Option(help="Exponent of the form focal.")] = 2.0,
    level: Annotated[
        str, typer.Option(help="Clusters for the weights and the plot: exact, normalized or symbolic.")
    ] = "exact",
    estimator: Annotated[
        str, typer.Option(help="Entropy for the weights: monte_carlo or rao_blackwell.")
    ] = "monte_carlo",
    no_answer: Annotated[
        str, typer.Option(help="Responses without an answer: singleton, shared or drop.")
    ] = "singleton",
    template: Annotated[
        str,
        typer.Option(
            help="Form of the answers in verl's responses: boxed, answer_tag, gsm8k, phrase, answer_line or auto."
        ),
    ] = "boxed",
    grade: Annotated[bool, typer.Option("--grade", help="Grade the answers again with this library's keys.")] = False,
) -> None:
    """Clusters, entropies and weights of dumped rollouts, per prompt: a summary, a table, and a plot. No GPU.

    Reads `prompts.jsonl` of our own runs, and the files that verl writes to trainer.rollout_data_dir. Rewards are those
    on record, unless --grade computes them again.

    Example: seed-grpo analyze runs/quickstart --out analysis

    Example: seed-grpo analyze rollouts/*.jsonl --format csv --alpha 0.5 --level symbolic --grade
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from seed_grpo.analysis.measure import measure_groups
    from seed_grpo.analysis.rollouts import find_files, read_groups
    from seed_grpo.analysis.summary import plot_accuracy, summary_table
    from seed_grpo.errors import SeedGrpoError
    from seed_grpo.meaning.answers import TEMPLATES
    from seed_grpo.meaning.equivalence import shared_keyer
    from seed_grpo.method.entropy import lookup
    from seed_grpo.settings import Settings

    if format not in FORMATS:
        raise UsageError(f"Unknown format {format!r}.", f"choose one of {', '.join(FORMATS)}.")
    lookup(TEMPLATES, template, "answer template")
    method = Settings(
        alpha=alpha,
        gamma=gamma,
        estimator=estimator,
        meaning=level,
        no_answer=no_answer,
        answer_template=template,
    )
    files = find_files(paths)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        reading = bar.add_task("reading files", total=len(files))
        groups = []
        for file in files:
            groups += read_groups(file, template=template)
            bar.advance(reading)
        if not groups:
            raise SeedGrpoError(f"There are no rollouts in {', '.join(map(str, files))}.", "name other files.")
        measuring = bar.add_task("measuring prompts", total=len(groups))
        prompts = measure_groups(groups, method, grade=grade, advance=lambda done: bar.advance(measuring, done))
    out.mkdir(parents=True, exist_ok=True)
    table = out / f"analysis.{format}"
    if format == "csv":
        lists = prompts.columns[[isinstance(value, list) for value in prompts.iloc[0]]]
        prompts.assign(**{name: prompts[name].map(json.dumps) for name in lists}).to_csv(
            table, index=False, errors="backslashreplace"
        )
    else:
        prompts.to_parquet(table, index=False)
    plot = plot_accuracy(prompts, method, out / "accuracy_vs_entropy.png")
    console = Console()
    console.print(summary_table(prompts, method))
    counts = shared_keyer().take_counts()
    console.print(
        f"Answers that the level symbolic compared by their spelling: {counts['guarded']} could not be evaluated, "
        f"{counts['timeouts']} ran out of time."
    )
    console.print(f"{table}; {plot}", soft_wrap=True)
