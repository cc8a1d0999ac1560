"""The problems of a prepared benchmark, with the prompts that the model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seed_grpo.data.manifest import read_manifest
from seed_grpo.data.sources import sha256
from seed_grpo.data.templates import Template, get_template
from seed_grpo.data.validate import validate_parquet
from seed_grpo.errors import SeedGrpoError


@dataclass(frozen=True)
class Problem:
    """A problem of a benchmark: its id, its text, its gold answers, and the prompt."""

    id: str
    problem: str
    golds: tuple[str, ...]
    prompt: str


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as it is evaluated.

    Attributes:
        name: its name in results.
        problems: its problems, at most `--limit` of them.
        template: the template of its prompts.
        origin: file, SHA-256 and counts, for the result file.
    """

    name: str
    problems: tuple[Problem, ...]
    template: Template
    origin: dict[str, Any]


def load_benchmark(folder: str | Path, name: str, template: str | None = None, limit: int | None = None) -> Benchmark:
    """Read `NAME.parquet`, or `NAME_test.parquet`, of a folder of prepared data.

    Args:
        folder: what `seed-grpo data prepare` wrote.
        name: the benchmark.
        template: the prompt template; None for the one that the data was prepared with.
        limit: only the first so many problems.

    Raises:
        SeedGrpoError: no such file, or one that cannot be used.
    """
    import pyarrow.parquet as pq

    path = _find(Path(folder), name)
    validate_parquet(path)
    rows = pq.read_table(path).to_pylist()
    chosen = get_template(template or (rows[0].get("extra_info") or {}).get("template") or "none")
    problems = [_problem(row, index, chosen, template, path) for index, row in enumerate(rows[:limit])]
    ids = {problem.id for problem in problems}
    if len(ids) < len(problems):
        raise SeedGrpoError(f"{path} holds an id twice.", "prepare it with `seed-grpo data prepare`.")
    manifest = read_manifest(path)
    origin = {
        "file": path.name,
        "sha256": sha256(path),
        "rows": len(rows),
        "expected_rows": manifest.get("expected_rows"),
        "source": manifest.get("source"),
    }
    return Benchmark(name, tuple(problems), chosen, origin)


def load_benchmarks(
    folder: str | Path, names: Sequence[str], template: str | None = None, limit: int | None = None
) -> list[Benchmark]:
    """As `load_benchmark`, for several; a name given twice counts once."""
    return [load_benchmark(folder, name, template, limit) for name in dict.fromkeys(names)]


def _find(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.parquet", folder / f"{name}_test.parquet"):
        if path.is_file():
            return path
    there = ", ".join(sorted(path.stem for path in folder.glob("*.parquet"))) or "no parquet file"
    raise SeedGrpoError(
        f"{folder} has no benchmark {name!r}; it holds {there}.",
        f"seed-grpo data prepare --dataset {name} --out {folder}",
    )


def _problem(row: dict[str, Any], index: int, template: Template, wanted: str | None, path: Path) -> Problem:
    extra = row.get("extra_info") or {}
    gold = row["reward_model"]["ground_truth"]
    golds = tuple(map(str, gold)) if isinstance(gold, list) else (str(gold),)
    row_id = str(extra.get("id") if extra.get("id") is not None else index)
    problem = extra.get("problem")
    if problem is not None:
        return Problem(row_id, problem, golds, template.text(problem))
    # Not prepared by us: a single message is the final text, and no other template can be put on it.
    messages = row["prompt"]
    if len(messages) != 1 or wanted is not None:
        raise SeedGrpoError(
            f"{path} does not hold the problem apart from its prompt.", "prepare it with `seed-grpo data prepare`."
        )
    return Problem(row_id, messages[0]["content"], golds, messages[0]["content"])
