"""Raw rows from a file, a folder or the hub. Their columns are looked at elsewhere.

A row that cannot be read is kept as a `BadRow` with its place; a file that cannot be read is an error.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.data.registry import Dataset
from seed_grpo.errors import SeedGrpoError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".jsonl", ".json", ".parquet", ".arrow")
_ANONYMOUS = re.compile(r"(?:data|train|test|eval|dev|validation|part)?[-_]?(?:\d+(?:-of-\d+)?)?")
"""Names of files that do not name their data set (`data-00000-of-00001`); the name of their folder does."""


@dataclass(frozen=True)
class RawRow:
    """A row as its source has it, and where to find it."""

    place: str
    values: dict[str, Any]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and why."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass
class RawTable:
    """The rows of a source; `origin` goes into the manifest."""

    rows: list[RawRow] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    origin: dict[str, Any] = field(default_factory=dict)

    def columns(self) -> list[str]:
        """Every column that some row has, in order of first appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row.values))


def looks_local(source: str) -> bool:
    """Whether a source is a file or folder, and not a data set on the hub."""
    path = Path(source).expanduser()
    return path.exists() or source.startswith((".", "/", "~")) or path.suffix in SUFFIXES or source.count("/") != 1


def read_local(source: str | Path, dataset: Dataset, split: str | None = None) -> RawTable:
    """Read a file, or a folder of files, of a data set.

    Raises:
        SeedGrpoError: there is no such file, or it is not of the kind that its name says.
    """
    files = find_files(Path(source).expanduser(), dataset, split)
    table = RawTable()
    for file in files:
        reader = _read_json if file.suffix in (".json", ".jsonl") else _read_arrow
        try:
            rows, bad = reader(file)
        except OSError as error:
            raise SeedGrpoError(f"{file} cannot be read ({error.strerror or error}).", "check the file.") from error
        table.rows.extend(rows)
        table.bad.extend(bad)
    table.origin = {
        "kind": "local",
        "path": str(source),
        "files": [{"name": file.name, "bytes": file.stat().st_size, "sha256": sha256(file)} for file in files],
    }
    return table


def read_hub(source: str, revision: str | None, dataset: Dataset, split: str) -> RawTable:
    """Download a split of a data set from the Hugging Face hub, at one commit.

    Raises:
        UsageError: no revision is known. SeedGrpoError: the hub, the data set or the split cannot be reached.
    """
    if revision is None:
        raise UsageError(
            f"No revision of {source} is known.",
            "give the commit with --revision (its page on the hub lists them), or a local file with --source.",
        )
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise SeedGrpoError("The hub is read with the package datasets.", "pip install datasets") from error
    config = dataset.hub_config if source == dataset.hub_id else None
    hub_split = dataset.hub_splits.get(split, split) if source == dataset.hub_id else split
    try:
        loaded = load_dataset(source, config, revision=revision, split=hub_split)
    except Exception as error:  # whatever the hub's client raises: connection, missing repository, revision or split
        reason = str(error).strip().split("\n")[0][:200]
        raise SeedGrpoError(
            f"{source} at {revision}, split {hub_split}, cannot be loaded ({type(error).__name__}: {reason}).",
            "check the connection, the id, the revision and the split, or give a local file with --source.",
        ) from error
    rows = [RawRow(f"{source}, row {number}", dict(row)) for number, row in enumerate(loaded, start=1)]
    origin = {"kind": "hub", "id": source, "revision": revision, "config": config, "split": hub_split}
    return RawTable(rows=rows, origin=origin)


def find_files(path: Path, dataset: Dataset, split: str | None = None) -> list[Path]:
    """The data files that a path stands for: itself, those in it, or those in it with the data set's name."""
    if path.is_file():
        if path.suffix not in SUFFIXES:
            raise SeedGrpoError(f"{path} is of an unknown kind.", f"give a file that ends in {', '.join(SUFFIXES)}.")
        return [path]
    if not path.is_dir():
        raise SeedGrpoError(f"The source {path} does not exist.", "give a file, a folder, or owner/name on the hub.")
    named = _named_after(path, dataset)
    if len(named) > 1:
        raise UsageError(
            f"{path} holds several sources of {dataset.name}: {', '.join(entry.name for entry in named)}.",
            "name the file with --source.",
        )
    if named:
        return find_files(named[0], dataset, split)
    if split and (path / split).is_dir():
        return find_files(path / split, dataset)
    files = sorted(entry for entry in path.iterdir() if entry.suffix in SUFFIXES and _ANONYMOUS.fullmatch(entry.stem))
    if not files or len({file.suffix for file in files}) > 1:
        inside = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise SeedGrpoError(
            f"{path} holds no source of {dataset.name}; it holds {inside}.", "name the file with --source."
        )
    return files


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _named_after(folder: Path, dataset: Dataset) -> list[Path]:
    """Entries with the data set's name (`amc.jsonl`, the folder `amc`), else those that begin so (`amc_first20`)."""
    entries = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() or entry.suffix in SUFFIXES]
    names = {dataset.name, *dataset.aliases}
    exact = [entry for entry in entries if _stem(entry) in names | {dataset.folder}]
    # Not with the folder's name: that of math_lvl3to5 begins like MATH500's.
    return exact or [
        entry for entry in entries if _stem(entry).startswith(tuple(f"{name}{end}" for name in names for end in "_-"))
    ]


def _stem(entry: Path) -> str:
    return (entry.name if entry.is_dir() else entry.stem).lower()


def _read_json(file: Path) -> tuple[list[RawRow], list[BadRow]]:
    content = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if file.suffix == ".json" and content.lstrip().startswith(b"["):
        return _read_json_array(file, content)
    rows, bad = [], []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        place = f"{file}, line {number}"
        try:
            values = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            bad.append(BadRow(place, f"not UTF-8 (byte {error.start + 1} of the line)"))
        except (ValueError, RecursionError):
            bad.append(BadRow(place, "not JSON, or cut off"))
        else:
            if isinstance(values, dict):
                rows.append(RawRow(place, values))
            else:
                bad.append(BadRow(place, f"a JSON {type(values).__name__}, not an object"))
    return rows, bad


def _read_json_array(file: Path, content: bytes) -> tuple[list[RawRow], list[BadRow]]:
    try:
        items = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise SeedGrpoError(f"{file} is not JSON in UTF-8 ({error}).", "check that the file is complete.") from error
    rows, bad = [], []
    for number, values in enumerate(items, start=1):
        place = f"{file}, row {number}"
        if isinstance(values, dict):
            rows.append(RawRow(place, values))
        else:
            bad.append(BadRow(place, f"a JSON {type(values).__name__}, not an object"))
    return rows, bad


def _read_arrow(file: Path) -> tuple[list[RawRow], list[BadRow]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file) if file.suffix == ".parquet" else _read_arrow_ipc(file)
    except (pa.ArrowException, OSError) as error:
        kind = file.suffix.removeprefix(".")
        reason = str(error).strip().split("\n")[0][:120]
        raise SeedGrpoError(f"{file} is not a whole {kind} file ({reason}).", "fetch or write it again.") from error
    rows, bad = [], []
    for number in range(table.num_rows):
        place = f"{file}, row {number + 1}"
        try:
            rows.append(RawRow(place, {name: table.column(name)[number].as_py() for name in table.column_names}))
        except UnicodeDecodeError:
            bad.append(BadRow(place, "not UTF-8"))
    return rows, bad


def _read_arrow_ipc(file: Path) -> pa.Table:
    """Arrow's stream format (what `datasets` writes) or its file format."""
    import pyarrow as pa

    with pa.memory_map(str(file)) as source:
        try:
            return pa.ipc.open_stream(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_file(source).read_all()


def check_bad_rows(bad: Sequence[BadRow], skip: bool) -> None:
    """Raise an error if rows are bad and must not be left out.

    Raises:
        SeedGrpoError: naming the first of them, with file and row.
    """
    if bad and not skip:
        shown = "; ".join(str(row) for row in bad[:5]) + (f"; and {len(bad) - 5} more" if len(bad) > 5 else "")
        count = "One row" if len(bad) == 1 else f"{len(bad)} rows"
        raise SeedGrpoError(
            f"{count} cannot be used. {shown}.", "correct the source, or leave them out with --skip-bad-rows."
        )
