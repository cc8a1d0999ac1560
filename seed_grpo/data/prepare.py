"""Data sets as verl reads them: one parquet file each, and next to it a manifest of where its rows come from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seed_grpo.data import arithmetic
from seed_grpo.data.answer_forms import misfit
from seed_grpo.data.manifest import read_manifest, write_manifest
from seed_grpo.data.overlap import Overlap, drop_overlap
from seed_grpo.data.parquet import Layout, write_rows
from seed_grpo.data.registry import TEST, TRAIN, Dataset, describe, exactly, get_dataset
from seed_grpo.data.rows import Record, choose_columns, to_records
from seed_grpo.data.sources import BadRow, check_bad_rows, looks_local, read_hub, read_local, sha256
from seed_grpo.data.templates import PASS_THROUGH, Template, get_template
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.meaning.answers import TEMPLATES as ANSWER_TEMPLATES
from seed_grpo.runs.files import writable_folder


@dataclass(frozen=True)
class Request:
    """One data set to prepare.

    Attributes:
        dataset: what it is.
        split: its split; None if it is a local file that does not say.
        source: a path, or owner/name on the hub; None for what is made here.
        revision: the commit on the hub.
        held_out: whether the split was made here (`Options.hold_out`): the data set's numbers of rows do not apply.
    """

    dataset: Dataset
    split: str | None
    source: str | None
    revision: str | None = None
    held_out: bool = False

    @property
    def name(self) -> str:
        """The name of the files: the data set's, with the split if it has several."""
        several = len(self.dataset.splits) > 1 or self.held_out
        return f"{self.dataset.name}_{self.split}" if several and self.split else self.dataset.name

    @property
    def is_test(self) -> bool:
        return (self.split or self.dataset.splits[0]) == TEST

    @property
    def expected_rows(self) -> list[range]:
        """The right numbers of rows; a file without a named split may have any split, or all of them."""
        rows = self.dataset.rows
        if self.held_out:
            return []
        if self.split is not None:
            return [rows[self.split]]
        return [*rows.values(), exactly(sum(each.start for each in rows.values()))]

    def may_have(self, rows: int) -> bool:
        """Whether that is a right number of rows."""
        return self.held_out or any(rows in each for each in self.expected_rows)


@dataclass(frozen=True)
class Options:
    """Options that apply to every data set of a call.

    Attributes:
        template: the prompt template.
        prompt_format: how a row stores the prompt, one of `seed_grpo.data.templates.PROMPT_FORMATS`.
        columns: columns by role, as the user named them.
        skip_bad_rows: leave bad rows out instead of failing.
        strict: fail if the number of rows is not the data set's.
        answer_template: where responses will be searched for their answers; None for the prompt template's own.
        hold_out: how many problems to set aside as a test set, from a source that does not name its split.
    """

    template: Template = field(default_factory=lambda: get_template("qwen_math"))
    prompt_format: str = "text"
    columns: Mapping[str, str | None] = field(default_factory=dict)
    skip_bad_rows: bool = False
    strict: bool = False
    answer_template: str | None = None
    hold_out: int | None = None

    def __post_init__(self) -> None:
        if self.hold_out is not None and self.hold_out < 1:
            raise UsageError(f"--hold-out is {self.hold_out}.", "give a positive number, or leave it out.")
        if self.answer_template is not None and self.answer_template not in ANSWER_TEMPLATES:
            raise UsageError(
                f"Unknown answer template {self.answer_template!r}.", f"choose one of {', '.join(ANSWER_TEMPLATES)}."
            )

    @property
    def reads(self) -> str:
        """Where responses will be searched for their answers."""
        return self.answer_template or self.template.answer_template


@dataclass(frozen=True)
class Prepared:
    """A written file, its manifest, and what a person should hear about it."""

    path: Path
    manifest: dict[str, Any]
    warnings: list[str]


def plan(
    names: Sequence[str], sources: Sequence[str], *, split: str | None = None, revision: str | None = None
) -> list[Request]:
    """What a call asks for, the test sets first: training rows are compared with them.

    Args:
        names: data sets by name.
        sources: none (the hub), one for each name, or one folder that holds them all.
        split: only this split.
        revision: the commit on the hub, if the call names one data set.

    Raises:
        UsageError: an unknown name or split, or sources that do not fit the names.
    """
    datasets = list(dict.fromkeys(get_dataset(name) for name in names))
    if not datasets:
        raise UsageError("No data set is named.", "name one with --dataset.")
    if revision is not None and len(datasets) > 1:
        raise UsageError("--revision names one commit, and there are several data sets.", "prepare them one by one.")
    if len(sources) == 1 and len(datasets) > 1 and Path(sources[0]).expanduser().is_dir():
        sources = list(sources) * len(datasets)
    if len(sources) not in (0, len(datasets)):
        raise UsageError(
            f"{len(datasets)} data sets and {len(sources)} sources.",
            "give one --source per data set, in the same order, one folder that holds them all, or none for the hub.",
        )
    requests = []
    for position, dataset in enumerate(datasets):
        if split is not None and split not in dataset.splits:
            raise UsageError(f"{dataset.name} has no split {split!r}.", f"choose among {', '.join(dataset.splits)}.")
        source = sources[position] if sources else dataset.hub_id
        if source is not None and looks_local(source):
            only = dataset.splits[0] if len(dataset.splits) == 1 else None
            requests.append(Request(dataset, split or only, source))
        else:
            at = revision or (dataset.revision if source == dataset.hub_id else None)
            requests += [Request(dataset, each, source, at) for each in ([split] if split else dataset.splits)]
    return sorted(requests, key=lambda request: not request.is_test)


def prepare(
    requests: Sequence[Request], out: str | Path, options: Options, *, against: Iterable[str | Path] = ()
) -> list[Prepared]:
    """Write each data set to `out`.

    Args:
        requests: what to prepare (`plan`).
        out: the folder, made if absent. Training rows are compared with the test sets in it as well.
        options: template, columns, and how strict to be.
        against: further folders of prepared test sets that training rows must not be in.

    Raises:
        SeedGrpoError, UsageError: the first source or row that cannot be used, named.
    """
    folder = writable_folder(out)
    test_folders = [folder, *(Path(each).expanduser() for each in against)]
    prepared = []
    for request in requests:
        problems = _read(request, options)
        check_bad_rows(problems.bad, options.skip_bad_rows)
        parts = [(request, problems)] if options.hold_out is None else _hold_out(request, problems, options.hold_out)
        prepared += [_write(part, those, folder, options, test_folders) for part, those in parts]
    return prepared


@dataclass(frozen=True)
class _Problems:
    """The problems of a request, before they are compared with the test sets.

    Attributes:
        records: the problems.
        columns: the column of each role; none for what is made here.
        bad: rows that cannot be used.
        other_levels: rows left out for their level.
        origin: where they come from.
    """

    records: list[Record]
    columns: dict[str, str]
    bad: list[BadRow]
    other_levels: int
    origin: dict[str, Any]


def _hold_out(request: Request, problems: _Problems, count: int) -> list[tuple[Request, _Problems]]:
    """A test set of `count` problems, and the rest as training data. The choice depends on the problems' texts, not on
    their order, and a few problems more or less in the source move few from one side to the other."""
    if request.split is not None:
        raise UsageError(
            f"{request.name} is a split already: --hold-out is for a file that holds all problems.",
            "leave --hold-out out.",
        )

    def digest(record: Record) -> bytes:
        return hashlib.sha256(record.problem.encode("utf-8", "surrogatepass")).digest()

    held = {record.id for record in sorted(problems.records, key=digest)[:count]}
    if len(held) == len(problems.records):
        raise UsageError(
            f"--hold-out {count} leaves nothing of the {len(problems.records)} problems of {request.name}.",
            "hold fewer out.",
        )
    return [
        (
            replace(request, split=split, held_out=True),
            replace(problems, records=[each for each in problems.records if (each.id in held) == (split == TEST)]),
        )
        for split in (TEST, TRAIN)
    ]


def _write(
    request: Request, problems: _Problems, folder: Path, options: Options, test_folders: Sequence[Path]
) -> Prepared:
    records = problems.records
    tests: dict[str, list[str]] = {}
    overlaps: list[Overlap] = []
    if not request.is_test:
        tests = prepared_tests(test_folders)
        records, overlaps = drop_overlap(records, tests)
    if not records:
        raise SeedGrpoError(
            f"No row of {request.source or request.dataset.name} is left.", "check the source and the filters."
        )
    warnings = _warnings(request, len(records), problems.bad, overlaps, tests)
    unread = misfit(request.dataset, options.template, options.reads)
    complete = request.may_have(len(records))
    if not complete and (options.strict or problems.origin.get("kind") == "hub"):
        raise SeedGrpoError(warnings[0], "check the source and its revision.")

    path = folder / f"{request.name}.parquet"
    layout = Layout(request.dataset.name, request.split or "unnamed", options.template, options.prompt_format)
    write_rows(path, records, layout)
    manifest = {
        "dataset": layout.dataset,
        "split": layout.split,
        "test": request.is_test,
        "file": path.name,
        "rows": len(records),
        "expected_rows": " or ".join(map(describe, request.expected_rows)) or "any",
        "held_out_here": request.held_out,
        "complete": complete,
        "sha256": sha256(path),
        **_origin(problems, options),
        **_left_out(problems, overlaps, tests),
        "seed_grpo_version": version("seed-grpo"),
    }
    write_manifest(path, manifest)
    return Prepared(path, manifest, [*warnings, *([unread] if unread else [])])


def _read(request: Request, options: Options) -> _Problems:
    """The problems of a request's source."""
    if request.source is None:
        origin = {"kind": "made here", "module": "seed_grpo.data.arithmetic"}
        return _Problems(made_here(request.split or "unnamed"), {}, [], 0, origin)
    if looks_local(request.source):
        table = read_local(request.source, request.dataset, request.split)
    else:
        assert request.split is not None
        table = read_hub(request.source, request.revision, request.dataset, request.split)
    if not table.rows:
        check_bad_rows(table.bad, skip=False)
        raise SeedGrpoError(f"{request.source} has no rows.", "check the source.")
    named = {role: column for role, column in options.columns.items() if column is not None}
    columns = choose_columns(table.columns(), {**request.dataset.columns, **named}, request.source)
    records, bad, other_levels = to_records(table.rows, columns, request.dataset, request.split or "unnamed")
    return _Problems(records, columns, [*table.bad, *bad], other_levels, table.origin)


def made_here(split: str) -> list[Record]:
    """The quickstart's sums as records."""
    return [
        Record(f"arithmetic/{split}/{index}", each.problem, (each.answer,), float(each.level))
        for index, each in enumerate(arithmetic.problems(split))
    ]


def _origin(problems: _Problems, options: Options) -> dict[str, Any]:
    """The manifest's part on source and prompts."""
    return {
        "source": problems.origin,
        "columns": problems.columns,
        "template": options.template.name,
        "prompt_format": options.prompt_format,
        # The run must set this as its custom_chat_template for the model to see exactly the template's bytes.
        "chat_template": PASS_THROUGH if options.prompt_format == "text" else None,
        "answer_template": options.reads,
    }


def _left_out(problems: _Problems, overlaps: Sequence[Overlap], tests: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The manifest's part on rows that the file does not have."""
    return {
        "left_out": {
            "bad_rows": len(problems.bad),
            "other_levels": problems.other_levels,
            "overlap_exact": sum(overlap.how == "exact" for overlap in overlaps),
            "overlap_normalized": sum(overlap.how == "normalized" for overlap in overlaps),
        },
        "compared_with": {name: len(texts) for name, texts in tests.items()},
        "overlap": [asdict(overlap) for overlap in overlaps],
        "bad_rows": [asdict(row) for row in problems.bad],
    }


def prepared_tests(folders: Iterable[Path]) -> dict[str, list[str]]:
    """The problems of every prepared test set in the folders, by name."""
    import pyarrow.parquet as pq

    found: dict[str, list[str]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"There is no folder {folder}.", "give a folder of prepared test sets with --against.")
        for path in sorted(folder.glob("*.parquet")):
            manifest = read_manifest(path)
            if manifest.get("test"):
                rows = pq.read_table(path, columns=["extra_info"]).column("extra_info").to_pylist()
                found[path.stem] = [row["problem"] for row in rows]
    return found


def _warnings(
    request: Request, rows: int, bad: Sequence[BadRow], overlaps: Sequence[Overlap], tests: Mapping[str, Sequence[str]]
) -> list[str]:
    warnings = []
    expected = request.expected_rows
    if not request.may_have(rows):
        warnings.append(f"{request.name} has {rows} rows, not {' or '.join(map(describe, expected))}.")
    if bad:
        warnings.append(f"{request.name}: {len(bad)} bad rows left out; the first is {bad[0]}.")
    if overlaps:
        warnings.append(f"{request.name}: {len(overlaps)} rows removed that test sets have as well.")
    if not request.is_test and not tests and request.source is not None:
        warnings.append(
            f"{request.name} was compared with no test set; prepare the benchmarks in the same folder first, "
            "or name their folder with --against."
        )
    return warnings
