"""Whether the records of a run hold what its programs write. Files come from elsewhere, and may be damaged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from reprlib import repr as brief
from typing import Any

from seed_grpo.errors import SeedGrpoError

LARGEST = 1e300
"""The largest number that a sum or a picture of such numbers can still hold."""
LAST_STEP = 2**53
ONE_PER_RESPONSE = ("answers", "rewards", "cluster_ids")


def checked_metrics(path: Path, records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The records of `metrics.jsonl`: a step, and finite numbers only.

    Raises:
        SeedGrpoError: naming file, record and key.
    """
    checked = []
    for number, record in enumerate(records, start=1):
        where = f"{path}, record {number}"
        _check_step(record.get("step"), where)
        for name, value in record.items():
            _check_number(value, name, where)
        checked.append({**record, "step": int(record["step"])})
    return checked


def checked_prompts(path: Path, records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The records of `prompts.jsonl`: the prompt's numbers, and an answer, a reward and a cluster for each response.

    Raises:
        SeedGrpoError: naming file, record and key.
    """
    checked = []
    for number, record in enumerate(records, start=1):
        where = f"{path}, record {number}"
        _check_step(record.get("step"), where)
        for name in ("entropy", "max_entropy", "weight", "accuracy"):
            _check_number(record.get(name), name, where)
        responses = [record.get(name) for name in ONE_PER_RESPONSE]
        if not all(isinstance(each, list) and each and len(each) == len(responses[0] or ()) for each in responses):
            raise SeedGrpoError(f"{where}: {', '.join(ONE_PER_RESPONSE)} are not lists of one length.", REMEDY)
        for name in ("rewards", "cluster_ids"):
            for value in record[name]:
                _check_number(value, name, where)
        for answer in record["answers"]:
            if answer is not None and not isinstance(answer, str):
                raise SeedGrpoError(f"{where}: an answer is {brief(answer)}, neither a text nor null.", REMEDY)
        checked.append({**record, "step": int(record["step"])})
    return checked


REMEDY = "restore the file, or remove that line."


def _check_number(value: Any, name: str, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -LARGEST <= value <= LARGEST:
        raise SeedGrpoError(f"{where}: {brief(name)} is {brief(value)}, not a finite number.", REMEDY)


def _check_step(value: Any, where: str) -> None:
    _check_number(value, "step", where)
    if value != int(value) or not 0 <= value <= LAST_STEP:
        raise SeedGrpoError(f"{where}: step is {brief(value)}, not the number of a step.", REMEDY)
