"""The paper's own results, as printed, with the table and row each comes from and the known misprints flagged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class PaperRow:
    """One row of a table of the paper.

    Attributes:
        table: the table's number.
        label, size: the row's label and the size of its model.
        values: percent by benchmark, None where the table has a dash.
        average: as printed; None where the table has a dash.
        std: printed standard deviations, by benchmark and for the average; empty for most rows.
        flags: what contradicts itself, by cell; the printed value stands.
        ours: whether it is a row of SEED-GRPO, not of a baseline.
        note: what the table says about the row, in addition to its numbers.
    """

    table: str
    label: str
    size: str
    values: dict[str, float | None]
    average: float | None
    std: dict[str, float]
    flags: dict[str, str]
    ours: bool
    note: str


@cache
def paper_data() -> dict[str, Any]:
    """The data file as it is."""
    return json.loads(files("seed_grpo.report").joinpath("paper_results.json").read_text(encoding="utf-8"))


def paper_rows(table: str = "2") -> list[PaperRow]:
    """The rows of one table, in its order."""
    [found] = [each for each in paper_data()["tables"] if each["table"] == table]
    return [
        PaperRow(
            table=table,
            label=row["label"],
            size=row["size"],
            values=row["values"],
            average=row["average"],
            std=row.get("std", {}),
            flags={flag["cell"]: flag["why"] for flag in row.get("flags", [])},
            ours=row["by"] == "SEED-GRPO",
            note=row.get("note", ""),
        )
        for row in found["rows"]
    ]


def heading(benchmark: str) -> str:
    """The paper's name for a benchmark in Table 2; our own name if the paper has no such column."""
    return paper_data()["headings"].get(benchmark, benchmark)
