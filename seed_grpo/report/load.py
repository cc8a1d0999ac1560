"""What a report is made of: training runs and evaluations, read from their folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.runs.checks import checked_metrics, checked_prompts
from seed_grpo.runs.names import METRICS, PROBLEMS, PROMPTS, RESULTS, STUDY, SUMMARY
from seed_grpo.runs.records import read_lines


@dataclass(frozen=True)
class Run:
    """A training run: its name here, its folder, its summary (empty until it has ended), its steps and its prompts."""

    name: str
    folder: Path
    summary: dict[str, Any]
    metrics: list[dict[str, Any]]
    prompts: list[dict[str, Any]]


@dataclass(frozen=True)
class Evaluation:
    """An evaluation: its name here, its folder, its results, and a record per problem."""

    name: str
    folder: Path
    results: dict[str, Any]
    problems: list[dict[str, Any]]


def load(paths: Sequence[str | Path]) -> tuple[list[Run], list[Evaluation]]:
    """Read folders of runs and of evaluations. A file stands for its folder, and a folder of folders for all of them.

    Raises:
        UsageError: a path is neither a run nor an evaluation.
        SeedGrpoError: a file is damaged.
    """
    folders: list[Path] = []
    for path in (Path(each).expanduser() for each in paths):
        if not path.exists():
            raise UsageError(f"{path} does not exist.", "give the folder of a run or of an evaluation.")
        folder = path if path.is_dir() else path.parent
        if _kind(folder):
            folders.append(folder)
            continue
        inside = sorted({file.parent for name in (RESULTS, METRICS) for file in folder.glob(f"*/**/{name}")})
        if not inside or path.is_file():
            raise UsageError(
                f"{path} is neither a run nor an evaluation: it has no {METRICS} and no {RESULTS}.",
                "give the folder that `seed-grpo train` or `seed-grpo eval` wrote.",
            )
        folders += inside
    folders = list({folder.resolve(): folder for folder in folders}.values())
    names = _short_names(folders)
    runs = [_run(folder, name) for folder, name in zip(folders, names, strict=True) if _kind(folder) == "run"]
    evaluations = [
        _evaluation(folder, name) for folder, name in zip(folders, names, strict=True) if _kind(folder) == "evaluation"
    ]
    return runs, evaluations


def _kind(folder: Path) -> str | None:
    if (folder / STUDY).is_file():
        return None  # the results of a study are no evaluation; its runs lie further inside
    if (folder / RESULTS).is_file():
        return "evaluation"
    return "run" if (folder / METRICS).is_file() else None


def _run(folder: Path, name: str) -> Run:
    summary = _read_json(folder / SUMMARY) if (folder / SUMMARY).is_file() else {}
    metrics = checked_metrics(folder / METRICS, read_lines(folder / METRICS))
    if not metrics:
        raise SeedGrpoError(
            f"{folder} has no step on record yet.", "wait for the run's first step, or see its train.log."
        )
    return Run(name, folder, summary, metrics, checked_prompts(folder / PROMPTS, read_lines(folder / PROMPTS)))


def _evaluation(folder: Path, name: str) -> Evaluation:
    results = _read_json(folder / RESULTS)
    if not isinstance(results.get("benchmarks"), dict) or not results["benchmarks"]:
        raise SeedGrpoError(f"{folder / RESULTS} has no benchmarks.", "evaluate again with `seed-grpo eval`.")
    return Evaluation(name, folder, results, list(read_lines(folder / PROBLEMS)))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        what = "UTF-8" if isinstance(error, UnicodeDecodeError) else "JSON"
        raise SeedGrpoError(f"{path} is not {what}.", "restore it, or make it again.") from error
    if not isinstance(content, dict):
        raise SeedGrpoError(f"{path} is not an object.", "restore it, or make it again.")
    return content


def _short_names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart; bytes that are not text are spelled out."""
    spelled = [str(folder.resolve()).encode("utf-8", "backslashreplace").decode() for folder in folders]
    parts = [Path(each).parts for each in spelled]
    for length in range(1, max((len(each) for each in parts), default=1) + 1):
        names = ["/".join(each[-length:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    return spelled
