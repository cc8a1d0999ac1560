"""The progress that a person sees during a run, read from the files that the run writes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seed_grpo.errors import SeedGrpoError
from seed_grpo.runs.names import METRICS, TRAIN_LOG
from seed_grpo.runs.records import read_lines
from seed_grpo.terminal import make_console
from seed_grpo.training.output import last_step

POLL_SECONDS = 0.2
WIDE = 110
"""Columns of a terminal that has room for a bar beside the numbers."""


class LogReader:
    """The part of a log that belongs to one start of a run; earlier starts are before it in the same file."""

    def __init__(self, path: Path, start: int) -> None:
        self._path = path
        self._position = start

    def grew(self, copy: bool) -> bool:
        """Whether the log has grown since the last call; with `copy`, print what was added."""
        with open(self._path, "rb") as log:
            log.seek(self._position)
            new = log.read()
        self._position += len(new)
        if copy and new:
            sys.stdout.flush()
            sys.stdout.buffer.write(new)
            sys.stdout.flush()
        return bool(new)


def follow(
    folder: Path,
    total: int,
    ended: Callable[[], bool],
    log_start: int,
    *,
    silent_seconds: float,
    verbose: bool = False,
) -> None:
    """Show the steps as they are recorded, until the run has ended.

    Args:
        folder: the run's output folder.
        total: how many steps it will take.
        ended: whether it has ended; may raise to end the wait.
        log_start: the position in its log file, in bytes, at which this start begins.
        silent_seconds: how long it may neither record nor log anything.
        verbose: copy the log to the terminal.

    Raises:
        SeedGrpoError: the run was silent for too long.
    """
    from rich import progress as rich_progress

    console = make_console(stderr=True)
    wide = console.width >= WIDE
    columns = (
        rich_progress.TextColumn("{task.description}", markup=False),
        *([rich_progress.BarColumn()] if wide else []),
        rich_progress.MofNCompleteColumn(),
        *([rich_progress.TimeElapsedColumn()] if wide else []),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn("{task.fields[numbers]}", markup=False),
    )
    done = last_step(folder)
    shown = len(list(read_lines(folder / METRICS)))
    log, heard = LogReader(folder / TRAIN_LOG, log_start), time.monotonic()
    with rich_progress.Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=total, completed=done, numbers="")
        while True:
            over = ended()
            records = list(read_lines(folder / METRICS))
            for record in records[shown:]:
                done = max(done, record["step"])
                progress.update(task, description="training", completed=done, numbers=_numbers(record))
                if line := _line(record, console.is_terminal):
                    progress.console.print(line, highlight=False)
            if log.grew(copy=verbose) or len(records) != shown:
                heard = time.monotonic()
            # A resumed run first removes the records that its checkpoint does not hold.
            shown = len(records)
            if over:
                return
            if time.monotonic() - heard > silent_seconds:
                raise SeedGrpoError(
                    f"The run recorded and logged nothing for {silent_seconds:.0f} s, after step {done}.",
                    f"see the end of {folder / TRAIN_LOG}; if a step really takes that long, raise "
                    "seed_grpo_runtime.silent_seconds (with + in front if it is not set).",
                )
            time.sleep(POLL_SECONDS)


def _line(record: dict[str, Any], is_terminal: bool) -> str:
    """The line that stays on the screen for a record: for validations, and without a terminal for every tenth step."""
    if "val/accuracy" in record:
        return f"step {record['step']:>4}  validation accuracy {record['val/accuracy']:.1%}"
    return f"step {record['step']:>4}  {_numbers(record)}" if not is_terminal and record["step"] % 10 == 0 else ""


def _numbers(record: dict[str, Any]) -> str:
    if "train/accuracy" not in record:
        return ""
    return (
        f"reward {record['train/accuracy']:.2f}  entropy {record['seed_grpo/entropy']:.2f}  "
        f"weight {record['seed_grpo/weight']:.3f}  {record['timing_s/step']:.1f} s/step"
    )
