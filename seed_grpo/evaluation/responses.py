"""The responses of an evaluation on disk, one line each, written as they arrive."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from seed_grpo.errors import SeedGrpoError
from seed_grpo.evaluation.backends import Completion
from seed_grpo.runs.files import replacing

GREEDY = -1
"""The number of the greedy response among a problem's samples."""


class Key(NamedTuple):
    """Which response it is: its problem, its seed, and its number among the samples (`GREEDY`: it is none)."""

    benchmark: str
    problem: str
    seed: int
    sample: int


@dataclass(frozen=True)
class Line:
    """One line of the file."""

    key: Key
    completion: Completion

    def as_record(self) -> dict[str, Any]:
        return {
            "benchmark": self.key.benchmark,
            "id": self.key.problem,
            "seed": None if self.key.sample == GREEDY else self.key.seed,
            "sample": "greedy" if self.key.sample == GREEDY else self.key.sample,
            "response": self.completion.text,
            "truncated": self.completion.truncated,
            "tokens": self.completion.tokens,
            "log_prob": self.completion.log_prob,
        }


class ResponseFile:
    """The file, and the responses in it so far.

    A last line that a killed process left unfinished is dropped when the file is opened.

    Raises:
        SeedGrpoError: another line is not one of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.have: dict[Key, Completion] = {}
        self._file: TextIO | None = None
        if path.is_file():
            self._read()

    def append(self, key: Key, completion: Completion) -> None:
        """Keep a response, in memory and on disk."""
        if key in self.have:
            return
        if self._file is None:
            self._file = open(self._path, "a", encoding="ascii")  # noqa: SIM115
        self._file.write(_dump(Line(key, completion).as_record()))
        self._file.flush()
        self.have[key] = completion

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def rewrite(self, order: Iterable[Key], extra: dict[Key, dict[str, Any]]) -> None:
        """Put the file in a fixed order and add fields, so that interruptions leave no trace in it."""
        self.close()
        wanted = list(dict.fromkeys(order))
        rest = sorted(set(self.have) - set(wanted))
        with replacing(self._path) as unfinished, open(unfinished, "w", encoding="ascii") as file:
            for key in [*wanted, *rest]:
                file.write(_dump({**Line(key, self.have[key]).as_record(), **extra.get(key, {})}))

    def _read(self) -> None:
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                self._keep(json.loads(line))
            except (ValueError, KeyError, TypeError, RecursionError):
                raise SeedGrpoError(
                    f"{self._path}, line {number} is not a response.",
                    "remove the line: its response is made again.",
                ) from None
        if len(whole) < len(content):
            with open(self._path, "r+b") as file:
                file.truncate(len(whole))

    def _keep(self, record: dict[str, Any]) -> None:
        greedy = record["sample"] == "greedy"
        key = Key(
            str(record["benchmark"]),
            str(record["id"]),
            0 if greedy else int(record["seed"]),
            GREEDY if greedy else int(record["sample"]),
        )
        text, truncated = record["response"], record["truncated"]
        if not isinstance(text, str) or not isinstance(truncated, bool):
            raise TypeError
        self.have[key] = Completion(text, truncated, record.get("tokens"), record.get("log_prob"))


def _dump(record: dict[str, Any]) -> str:
    # ASCII: whatever a model writes, lone surrogates too, stays one valid line.
    return json.dumps(record) + "\n"
