"""From raw rows to problems: what each column is, and what the gold answer is."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seed_grpo.data.registry import Dataset
from seed_grpo.data.sources import BadRow, RawRow
from seed_grpo.errors import UsageError
from seed_grpo.meaning.answers import extract_answer

ROLES: dict[str, tuple[str, ...]] = {
    "problem": ("problem", "question", "Problem", "Question"),
    "answer": ("answer", "final_answer", "gt_answer", "ground_truth_answer", "expected_answer", "gold", "Answer"),
    "solution": ("solution", "Solution"),
    "level": ("level", "difficulty"),
    "subject": ("subject", "type", "subfield"),
    "id": ("unique_id", "id", "problem_id", "ID"),
}
"""The parts of a problem, and the columns that hold each in the data sets that we know, best first."""

_LEVEL = re.compile(r"(?:level\s*)?(\d+(?:\.\d+)?)", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(r"[-+]?\$?\s?[-+]?\d[\d,]*(?:\.\d+)?")
_ZEROS = re.compile(r"([-+]?)0*(\d+)(?:\.0+)?")


@dataclass(frozen=True)
class Record:
    """A problem.

    Attributes:
        id: unique in its data set.
        problem: the problem as text.
        golds: the gold answers, any of which counts.
        level: its difficulty, if the source names one.
        subject: its subject, if the source names one.
    """

    id: str
    problem: str
    golds: tuple[str, ...]
    level: float | None = None
    subject: str | None = None


class _RowError(ValueError):
    """Why a row cannot be used."""


def choose_columns(columns: Sequence[str], named: Mapping[str, str | None], where: str) -> dict[str, str]:
    """The column of each role: the one that the user named, else the first known one that the source has.

    Raises:
        UsageError: a named column is missing, or there is none for the problem or for the answer.
    """
    chosen: dict[str, str] = {}
    for role, known in ROLES.items():
        wish = named.get(role)
        if wish is not None:
            if wish not in columns:
                raise UsageError(f"{where} has no column {wish!r}; it has {', '.join(columns)}.", "name one of these.")
            chosen[role] = wish
            continue
        found = next((name for name in known if name in columns), None)
        # The solution is a fallback for a missing answer column.
        if found is not None and not (role == "solution" and "answer" in chosen):
            chosen[role] = found
    have = ", ".join(columns) or "none"
    if "problem" not in chosen:
        raise UsageError(f"{where} has no column with the problem; it has {have}.", "name it with --problem-column.")
    if "answer" not in chosen and "solution" not in chosen:
        raise UsageError(f"{where} has no column with the answer; it has {have}.", "name it with --answer-column.")
    return chosen


def to_records(
    rows: Sequence[RawRow], columns: Mapping[str, str], dataset: Dataset, split: str
) -> tuple[list[Record], list[BadRow], int]:
    """The problems of the rows, the rows without one, and the number left out for their level.

    Raises:
        UsageError: the data set is filtered by level and has no column for it.
    """
    if dataset.levels is not None and "level" not in columns:
        raise UsageError(f"{dataset.name} keeps levels {_span(dataset.levels)}, and no column has the level.",
                         "name it with --level-column.")  # fmt: skip
    records: list[Record] = []
    bad: list[BadRow] = []
    places: dict[str, str] = {}
    other_levels = 0
    for number, row in enumerate(rows):
        try:
            record = _to_record(row.values, columns, dataset, f"{dataset.name}/{split}/{number}")
        except _RowError as error:
            bad.append(BadRow(row.place, str(error)))
            continue
        if dataset.levels is not None and record.level not in dataset.levels:
            other_levels += 1
        elif record.id in places:
            bad.append(BadRow(row.place, f"the id {record.id!r} is already that of {places[record.id]}"))
        else:
            places[record.id] = row.place
            records.append(record)
    return records, bad, other_levels


def normalize_gold(text: str, plain_number: bool = False) -> str:
    """A gold answer without what data sets put around it: spaces, one pair of `$`, leading zeros, `.0`."""
    gold = text.strip()
    if len(gold) > 2 and gold[0] == gold[-1] == "$" and "$" not in gold[1:-1]:
        gold = gold[1:-1].strip()
    if plain_number and _PLAIN_NUMBER.fullmatch(gold):
        gold = re.sub(r"[,$\s]", "", gold)
    zeros = _ZEROS.fullmatch(gold)
    return zeros[1] + zeros[2] if zeros else gold


def _to_record(values: Mapping[str, Any], columns: Mapping[str, str], dataset: Dataset, default_id: str) -> Record:
    problem = values.get(columns["problem"])
    if not isinstance(problem, str) or not problem.strip():
        raise _RowError(f"no problem in column {columns['problem']!r}")
    row_id = values.get(columns["id"]) if "id" in columns else None
    subject = values.get(columns["subject"]) if "subject" in columns else None
    record = Record(
        id=default_id if row_id is None or str(row_id).strip() == "" else str(row_id),
        problem=problem,
        golds=tuple(_golds(values, columns, dataset)),
        level=_level(values.get(columns["level"])) if "level" in columns else None,
        subject=None if subject is None else str(subject),
    )
    for text in (record.id, record.problem, record.subject or "", *record.golds):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise _RowError("text that is not valid Unicode") from None
    return record


def _golds(values: Mapping[str, Any], columns: Mapping[str, str], dataset: Dataset) -> list[str]:
    role = "answer" if "answer" in columns else "solution"
    value = values.get(columns[role])
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    golds = [normalize_gold(_gold_text(item, role), dataset.plain_numbers) for item in items]
    if not golds or not all(golds):
        raise _RowError(f"an empty gold answer in column {columns[role]!r}")
    return list(dict.fromkeys(golds))


def _gold_text(value: Any, role: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _RowError(f"a gold answer of the type {type(value).__name__}")
    if not isinstance(value, str):
        if isinstance(value, float) and not math.isfinite(value):
            raise _RowError("an infinite gold answer")
        return str(int(value)) if value == int(value) else repr(value)
    marked = extract_answer(value, template="gsm8k") if "####" in value else extract_answer(value)
    if marked is None and "####" in value:
        return ""  # the mark is there, with nothing behind it
    if marked is None and role == "solution":
        raise _RowError("a solution without \\boxed{} or ####")
    return value if marked is None else marked


def _level(value: Any) -> float | None:
    """3 for 3, 3.0, "3" and "Level 3"; None for anything else ("Level ?")."""
    if value is None or isinstance(value, bool):
        return None
    match = _LEVEL.fullmatch(str(value).strip())
    return float(match[1]) if match else None


def _span(levels: range) -> str:
    return f"{levels.start} to {levels.stop - 1}"
