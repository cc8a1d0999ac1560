"""The problems of a prepared benchmark, with the messages that a model is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seed_grpo.data.manifest import read_manifest
from seed_grpo.data.registry import DATASETS
from seed_grpo.data.sources import sha256
from seed_grpo.data.templates import PASS_THROUGH, TEMPLATES, Messages, Template, get_template
from seed_grpo.data.validate import validate_parquet
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.meaning.answers import TEMPLATES as ANSWER_TEMPLATES

MODEL = "model"
"""The name of the model's own chat template among the templates of prompts."""


@dataclass(frozen=True)
class PromptForm:
    """How the prompts of a benchmark are written, and where their answers stand.

    Attributes:
        name: a template of `seed_grpo.data.templates`, or `model`.
        chat_template: what renders the messages; None: the model's own chat template.
        answer_template: where a response holds its answer (`seed_grpo.meaning.answers`).
        stop: strings that end a response and belong to it.
    """

    name: str
    chat_template: str | None = PASS_THROUGH
    answer_template: str = "boxed"
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """A problem of a benchmark: its id, its text, its gold answers, and the messages that ask it."""

    id: str
    problem: str
    golds: tuple[str, ...]
    messages: Messages


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as it is evaluated.

    Attributes:
        name: its name in results.
        problems: its problems, at most `--limit` of them.
        form: how its prompts are written.
        origin: file, SHA-256 and counts, for the result file.
    """

    name: str
    problems: tuple[Problem, ...]
    form: PromptForm
    origin: dict[str, Any]


@dataclass(frozen=True)
class DataOptions:
    """Which benchmarks, and how to ask them.

    Attributes:
        data: folder of prepared data.
        benchmarks: names with commas; one given twice counts once.
        template: of the prompts; None: as a training run on these files has them.
        answer_template: where answers stand; None: where the data were prepared for, or the template asks for them.
        limit: only the first so many problems of each.
    """

    data: Path
    benchmarks: str
    template: str | None = None
    answer_template: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit is {self.limit}.", "give --limit 1 or more.")
        if self.template not in (None, MODEL):
            get_template(self.template)
        if self.answer_template not in (None, *ANSWER_TEMPLATES):
            raise UsageError(
                f"Unknown answer template {self.answer_template!r}.", f"choose one of {', '.join(ANSWER_TEMPLATES)}."
            )

    @property
    def names(self) -> list[str]:
        names = [name.strip() for name in self.benchmarks.split(",") if name.strip()]
        if not names:
            raise UsageError("No benchmark is named.", "give --benchmarks aime24,amc or so.")
        return list(dict.fromkeys(names))


def load_benchmarks(options: DataOptions) -> tuple[Benchmark, ...]:
    """Read the benchmarks' files.

    Raises:
        SeedGrpoError: no such file, or one that cannot be used.
    """
    return tuple(load_benchmark(name, options) for name in options.names)


def load_benchmark(name: str, options: DataOptions) -> Benchmark:
    """Read `NAME.parquet`, or `NAME_test.parquet`, of a folder of prepared data.

    Raises:
        SeedGrpoError: no such file, or one that cannot be used.
    """
    import pyarrow.parquet as pq

    path = _find(options.data.expanduser(), name)
    validate_parquet(path)
    table = pq.read_table(path).to_pylist()
    rows = [_Row.read(row, index) for index, row in enumerate(table)]
    manifest = read_manifest(path)
    stored = _Stored(path, manifest.get("prompt_format"), manifest.get("answer_template"), table[0].get("data_source"))
    form, messages = _choose_form(rows[: options.limit], stored, options)
    problems = tuple(
        Problem(row.id, row.problem or str(row.messages[-1]["content"]), row.golds, asked)
        for row, asked in zip(rows, messages, strict=False)
    )
    if len({problem.id for problem in problems}) < len(problems):
        raise SeedGrpoError(f"{path} has two rows of one id.", "prepare it with `seed-grpo data prepare`.")
    origin = {
        "file": path.name,
        "sha256": sha256(path),
        "rows": len(rows),
        "expected_rows": manifest.get("expected_rows"),
        "source": manifest.get("source"),
    }
    return Benchmark(name, problems, form, origin)


def _find(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.parquet", folder / f"{name}_test.parquet"):
        if path.is_file():
            return path
    there = ", ".join(sorted(path.stem for path in folder.glob("*.parquet"))) or "no parquet file"
    raise SeedGrpoError(
        f"{folder} has no benchmark {name!r}; it holds {there}.",
        f"seed-grpo data prepare --dataset {name} --out {folder}",
    )


@dataclass(frozen=True)
class _Row:
    """A row of verl's data; `problem` and `template` are known of rows that we prepared."""

    id: str
    golds: tuple[str, ...]
    messages: Messages
    problem: str | None
    template: Template | None

    @classmethod
    def read(cls, row: Mapping[str, Any], index: int) -> _Row:
        extra = row.get("extra_info") or {}
        gold = row["reward_model"]["ground_truth"]
        ours = extra.get("problem") is not None and extra.get("template") in TEMPLATES
        if not all(isinstance(message["content"], str) for message in row["prompt"]):
            raise SeedGrpoError(f"The prompt of row {index} is not text.", "evaluate data sets of text only.")
        return cls(
            id=str(extra.get("id") if extra.get("id") is not None else index),
            golds=tuple(map(str, gold)) if isinstance(gold, list) else (str(gold),),
            messages=[{"role": message["role"], "content": message["content"]} for message in row["prompt"]],
            problem=extra["problem"] if ours else None,
            template=get_template(extra["template"]) if ours else None,
        )


@dataclass(frozen=True)
class _Stored:
    """What is known of a file: how its prompts are stored, where its answers stand, and whose problems they are."""

    path: Path
    prompt_format: str | None
    answer_template: str | None
    data_source: str | None


def _choose_form(rows: Sequence[_Row], stored: _Stored, options: DataOptions) -> tuple[PromptForm, list[Messages]]:
    """How the prompts are written, and the messages of each row.

    Left to the data, it is what a training run on the file has: prompts stored as text pass through, and messages get
    the model's chat template; so do rows of other people's files, whatever they hold.
    """
    first = rows[0]
    ours = first.template
    if options.template is None:
        if ours is not None and (stored.prompt_format or _stored_format(first)) == "text":
            form, messages = _text_form(ours), [row.messages for row in rows]
        else:
            form, messages = PromptForm(MODEL, None), [row.messages for row in rows]
    elif options.template == MODEL:
        form, messages = PromptForm(MODEL, None), [_as_messages(row, stored.path) for row in rows]
    else:
        template = get_template(options.template)
        form, messages = _text_form(template), [_as_text(row, template, stored.path) for row in rows]
    answers = options.answer_template or _answers(form, ours, stored, options.template)
    return replace(form, answer_template=answers), messages


def _answers(form: PromptForm, ours: Template | None, stored: _Stored, template: str | None) -> str:
    """Where responses hold their answers, if nobody says it.

    A prompt that asks for a form of answer gets it. Else it is as the manifest says, or as the data set's own solutions
    have it.
    """
    if template not in (None, MODEL) and get_template(template).asks:
        return form.answer_template
    if stored.answer_template is not None:
        return stored.answer_template
    if ours is not None and ours.asks:
        return ours.answer_template
    known = (each for each in DATASETS.values() if stored.data_source in (each.name, each.hub_id))
    dataset = next(known, None)
    return dataset.answer_form if dataset else form.answer_template


def _stored_format(row: _Row) -> str:
    """How a row of ours is stored whose file has lost its manifest."""
    as_text = None if row.template is None or row.problem is None else row.template.messages(row.problem)
    return "text" if row.messages == as_text else "messages"


def _text_form(template: Template) -> PromptForm:
    return PromptForm(template.name, PASS_THROUGH, template.answer_template, template.stop)


def _as_messages(row: _Row, path: Path) -> Messages:
    """What the model's chat template is given: the data's template as messages, or the messages as they are."""
    if row.template is None or row.problem is None:
        return row.messages
    if not row.template.is_chat:
        raise UsageError(
            f"The prompts of {path} are written with the template {row.template.name!r}, which is not a chat.",
            "leave --template model out, or prepare the data with another template.",
        )
    return row.template.messages(row.problem, "messages")


def _as_text(row: _Row, template: Template, path: Path) -> Messages:
    """The template's text around the problem."""
    if row.problem is not None:
        return template.messages(row.problem)
    if template.name == "none" and len(row.messages) == 1:
        return row.messages
    raise SeedGrpoError(
        f"{path} does not hold the problem apart from its prompt.",
        "leave --template out, give --template model, or prepare the file with `seed-grpo data prepare`.",
    )
