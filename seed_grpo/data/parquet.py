"""Problems as verl's data set reads them: one parquet file, with the same types for every data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.data.rows import Record
from seed_grpo.data.templates import Template
from seed_grpo.runs.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Layout:
    """What the rows of one file share.

    Attributes:
        dataset: the data set's name; verl's `data_source`.
        split: its split.
        template: how a prompt is written.
        prompt_format: whether it is stored as the final `text`, or as `messages` for the model's chat template.
    """

    dataset: str
    split: str
    template: Template
    prompt_format: str = "text"


def write_rows(path: Path, records: Sequence[Record], layout: Layout) -> None:
    """Write the problems to a parquet file, which is there as a whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [_row(index, record, layout) for index, record in enumerate(records)]
    with replacing(path) as unfinished:
        pq.write_table(pa.Table.from_pylist(rows, schema=_schema()), unfinished)


def _schema() -> pa.Schema:
    """verl joins several files, and so each column needs one type everywhere."""
    import pyarrow as pa

    text = pa.string()
    extra = {
        "index": pa.int64(),
        "id": text,
        "split": text,
        "level": pa.float64(),
        "subject": text,
        "problem": text,
        "template": text,
    }
    return pa.schema(
        {
            "data_source": text,
            "prompt": pa.list_(pa.struct({"role": text, "content": text})),
            "ability": text,
            "reward_model": pa.struct({"style": text, "ground_truth": pa.list_(text)}),
            "extra_info": pa.struct(extra),
        }
    )


def _row(index: int, record: Record, layout: Layout) -> dict[str, Any]:
    return {
        "data_source": layout.dataset,
        "prompt": layout.template.messages(record.problem, layout.prompt_format),
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": list(record.golds)},
        "extra_info": {
            "index": index,
            "id": record.id,
            "split": layout.split,
            "level": record.level,
            "subject": record.subject,
            "problem": record.problem,
            "template": layout.template.name,
        },
    }
