"""The quickstart's sums as files."""

from __future__ import annotations

from pathlib import Path


def write_sums(path: Path, split: str) -> None:
    """Write a split as rows of verl's data set, without a manifest (`seed-grpo data prepare` writes one as well)."""
    from seed_grpo.data.parquet import Layout, write_rows
    from seed_grpo.data.prepare import made_here
    from seed_grpo.data.registry import DATASETS
    from seed_grpo.data.templates import get_template

    path.parent.mkdir(parents=True, exist_ok=True)
    write_rows(path, made_here(split), Layout(DATASETS["arithmetic"].name, split, get_template("none")))
