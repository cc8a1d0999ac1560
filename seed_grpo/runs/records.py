"""A run's records in its folder: `metrics.jsonl` (a line per step), `prompts.jsonl` (a line per prompt and step).

Lines are appended during the run. A resumed run first removes the lines of steps that its checkpoint does not hold,
so no step is there twice.
"""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from seed_grpo.errors import SeedGrpoError
from seed_grpo.runs.files import replacing
from seed_grpo.runs.names import METRICS, PROMPTS


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file: JSON objects in UTF-8, with or without a byte order mark.

    A last line that a killed run left unfinished is skipped.

    Raises:
        SeedGrpoError: naming the first other line that is not a record.
    """
    if not path.is_file():
        return
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                return
            what = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "not JSON"
            raise SeedGrpoError(f"{path}, line {number} is {what}.", "restore the file, or delete it.") from None
        if not isinstance(record, dict):
            raise SeedGrpoError(f"{path}, line {number} is not a JSON object.", "restore the file, or delete it.")
        yield record


class RunRecords:
    """Writes the records of one run.

    Args:
        folder: the run's output folder; made if absent.
        last_step: the step that the run continues after; 0 for a new run.
    """

    def __init__(self, folder: str | Path, last_step: int = 0) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._recorded: set[int] = set()
        self._validated: set[int] = set()
        self._seconds_before = 0.0
        for name in (METRICS, PROMPTS):
            self._drop_after(self._folder / name, last_step)
        for record in read_lines(self._folder / METRICS):
            if "val/accuracy" in record:
                self._validated.add(record["step"])
            if "train/accuracy" in record or "val/accuracy" not in record:
                self._recorded.add(record["step"])
            self._seconds_before = record["wall_seconds"]
        self._start = time.monotonic()

    def write_step(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Append the metrics of a step; one that is already recorded is left as it is."""
        if step in self._recorded:
            return
        self._recorded.add(step)
        self._write(step, metrics)

    def write_validation(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Append the metrics of a validation that belongs to no step of this start of the run: the one before it.

        A step whose validation is on record keeps that one.
        """
        if step not in self._validated:
            self._validated.add(step)
            self._write(step, metrics)

    def _write(self, step: int, metrics: Mapping[str, Any]) -> None:
        seconds = self._seconds_before + time.monotonic() - self._start
        numbers = {name: float(value) for name, value in metrics.items() if _is_number(value)}
        self._append(METRICS, [{"step": step, "wall_seconds": round(seconds, 3), **numbers}])

    def write_prompts(self, step: int, prompts: Iterable[Mapping[str, Any]]) -> None:
        """Append the records of a step's prompts."""
        self._append(PROMPTS, [{"step": step, **prompt} for prompt in prompts])

    def _append(self, name: str, records: list[dict[str, Any]]) -> None:
        # ASCII: a killed run cannot leave half a character, and a lone surrogate in an answer is not an error.
        text = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
        with open(self._folder / name, "a", encoding="utf-8") as file:
            file.write(text)

    @staticmethod
    def _drop_after(path: Path, last_step: int) -> None:
        if not path.is_file():
            return
        kept = [record for record in read_lines(path) if record["step"] <= last_step]
        with replacing(path) as unfinished, open(unfinished, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(record) + "\n" for record in kept)


def _is_number(value: Any) -> bool:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, (str, bool)) and number == number and abs(number) != float("inf")
