"""Training rows that a test benchmark also has. They are removed, and counted by how they were found."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from seed_grpo.data.rows import Record

_LAYOUT = re.compile(r"\s+|\\[,;:! ]|\\q?quad(?![a-z])|\\(?:left|right|displaystyle)(?![a-z])|\$|~")
_FRACTION = re.compile(r"\\[dt]frac(?![a-z])")


@dataclass(frozen=True)
class Overlap:
    """A training row that a benchmark also has; `how` it was found is `exact` or `normalized`."""

    id: str
    benchmark: str
    how: str


def normalize_problem(text: str) -> str:
    """A problem without what does not matter: case, white space, LaTeX layout, Unicode form, the last full stop."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return _FRACTION.sub(r"\\frac", _LAYOUT.sub("", text)).rstrip(".")


def drop_overlap(
    records: Sequence[Record], benchmarks: Mapping[str, Iterable[str]]
) -> tuple[list[Record], list[Overlap]]:
    """The records that are in no benchmark, and those that are.

    Args:
        records: training problems.
        benchmarks: the problems of each benchmark.
    """
    exact: dict[str, str] = {}
    normalized: dict[str, str] = {}
    for name, problems in benchmarks.items():
        for problem in problems:
            exact.setdefault(problem, name)
            normalized.setdefault(normalize_problem(problem), name)
    kept, found = [], []
    for record in records:
        key = normalize_problem(record.problem)
        if record.problem in exact:
            found.append(Overlap(record.id, exact[record.problem], "exact"))
        elif key in normalized:
            found.append(Overlap(record.id, normalized[key], "normalized"))
        else:
            kept.append(record)
    return kept, found
