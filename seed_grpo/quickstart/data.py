"""A task's problems as files."""

from __future__ import annotations

from pathlib import Path

from seed_grpo.quickstart.tasks import SUMS, get_task


def write_data(folder: Path, task: str = SUMS) -> None:
    """Write a task's files as rows of verl's data set, without manifests (`seed-grpo data prepare` writes them)."""
    from seed_grpo.data.parquet import Layout, write_rows
    from seed_grpo.data.templates import get_template

    folder.mkdir(parents=True, exist_ok=True)
    for name, records in get_task(task).files().items():
        dataset, split = name.split("_")[:2]
        write_rows(folder / f"{name}.parquet", records, Layout(dataset, split, get_template("none")))
