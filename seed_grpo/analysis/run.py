"""An analysis, from files of rollouts to a table and a picture on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.runs.files import writable_folder

if TYPE_CHECKING:
    import pandas as pd

    from seed_grpo.settings import Settings

FORMATS = ("parquet", "csv")

Progress = Callable[[str, int, int], None]
"""Called with (what is going on, done, of how many)."""


@dataclass(frozen=True)
class Analysis:
    """What came out.

    Attributes:
        prompts: a row per prompt and step.
        table, plot: the files.
        also_graded: what another grader says, if one was asked (`seed_grpo.analysis.second_opinion`).
        counts: the answers that were compared by their spelling, by the reason.
    """

    prompts: pd.DataFrame
    table: Path
    plot: Path
    counts: dict[str, int]
    also_graded: dict[str, Any] | None = None


@dataclass(frozen=True)
class AnalysisOptions:
    """What an analysis is asked for.

    Attributes:
        settings: the method's, for clusters, entropies and weights.
        out: the folder for the table and the plot.
        format: of the table.
        grade: grade the answers again with this library's keys, if there is a gold answer.
        also_grade: another grader that is asked too (`seed_grpo.meaning.graders`).
    """

    settings: Settings
    out: Path
    format: str = "parquet"
    grade: bool = False
    also_grade: str | None = None

    def __post_init__(self) -> None:
        from seed_grpo.meaning.equivalence import LEVELS

        for name, value, choices in (("format", self.format, FORMATS), ("level", self.settings.meaning, LEVELS)):
            if value not in choices:
                raise UsageError(f"Unknown {name} {value!r}.", f"choose one of {', '.join(choices)}.")


def analyze_rollouts(paths: Sequence[Path], options: AnalysisOptions, progress: Progress) -> Analysis:
    """Read rollouts, measure each prompt, and write the table and the plot.

    Raises:
        SeedGrpoError, UsageError: nothing to read, a line that cannot be read, or a folder that takes no files.
    """
    from seed_grpo.analysis.measure import measure_groups
    from seed_grpo.analysis.rollouts import find_files, read_groups
    from seed_grpo.analysis.second_opinion import also_grade
    from seed_grpo.analysis.summary import plot_accuracy
    from seed_grpo.meaning.equivalence import shared_keyer
    from seed_grpo.meaning.graders import SecondOpinion

    other = SecondOpinion(options.also_grade) if options.also_grade is not None else None
    files = find_files(paths)
    out = writable_folder(options.out)
    groups = []
    for number, file in enumerate(files):
        progress("reading files", number, len(files))
        groups += read_groups(file, template=options.settings.answer_template)
    progress("reading files", len(files), len(files))
    if not groups:
        raise SeedGrpoError(f"There are no rollouts in {', '.join(map(str, files))}.", "name other files.")
    prompts = measure_groups(
        groups,
        options.settings,
        grade=options.grade,
        progress=lambda done: progress("measuring prompts", done, len(groups)),
    )
    table = write_table(prompts, out / f"analysis.{options.format}")
    plot = plot_accuracy(prompts, options.settings, out / "accuracy_vs_entropy.png")
    also_graded = None
    if other is not None:
        also_graded = also_grade(other, groups, prompts["rewards"].tolist(), out)
        other.close()
    return Analysis(prompts, table, plot, shared_keyer().take_counts(), also_graded)


def write_table(prompts: pd.DataFrame, path: Path) -> Path:
    """Write the table as the path's suffix says; in a CSV file, lists are JSON."""
    if path.suffix == ".csv":
        lists = prompts.columns[[isinstance(value, list) for value in prompts.iloc[0]]]
        prompts = prompts.assign(**{name: prompts[name].map(json.dumps) for name in lists})
        prompts.to_csv(path, index=False, errors="backslashreplace")
    else:
        prompts.to_parquet(path, index=False)
    return path
