"""`evaluation.json`: what the responses of a folder depend on, so that no others are mixed in."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.evaluation.task import Task
from seed_grpo.runs.files import replace_file
from seed_grpo.runs.names import RESPONSES

STATE = "evaluation.json"
_OF_SAMPLES = ("temperature", "top_p", "top_k")


class State:
    """What a folder knows of its evaluation. Each change is on disk at once.

    Args:
        folder: the evaluation's.
        task: what is asked for now.

    Raises:
        UsageError: the folder holds another evaluation. SeedGrpoError: its state cannot be read.
    """

    def __init__(self, folder: Path, task: Task) -> None:
        self._path = folder / STATE
        identity = {
            **task.settings.identity,
            "max_tokens": task.settings.max_tokens,
            "temperature": task.settings.sample_temperature,
            "top_p": task.settings.top_p,
            "top_k": task.settings.top_k,
        }
        data = {each.name: [each.origin["sha256"], each.form.name] for each in task.benchmarks}
        self._content: dict[str, Any] = {"identity": identity, "data": data, "backend": None, "wall_seconds": 0.0}
        if self._path.is_file():
            self._continue()
        elif (folder / RESPONSES).is_file():
            raise UsageError(f"{folder} holds responses of unknown origin.", "choose another --out.")
        self._save()

    @property
    def seconds(self) -> float:
        """How long the evaluation has taken so far, over all its starts."""
        return float(self._content["wall_seconds"])

    @property
    def backend(self) -> dict[str, Any] | None:
        """What made the responses; None if none was made."""
        return self._content["backend"]

    @property
    def first_prompts(self) -> dict[str, Any]:
        """The first prompt of each benchmark, as text and token ids."""
        return self._content.get("first_prompts", {})

    def set_seconds(self, seconds: float) -> None:
        self._content["wall_seconds"] = round(seconds, 3)
        self._save()

    def set_backend(self, backend: Mapping[str, Any]) -> None:
        self._content["backend"] = dict(backend)
        self._save()

    def set_first_prompts(self, prompts: Mapping[str, dict[str, Any]]) -> None:
        """Keep the first prompt of each benchmark.

        Raises:
            UsageError: the folder's responses answer other prompts.
        """
        for name, prompt in prompts.items():
            before = self.first_prompts.get(name)
            if before is not None and not _same_prompt(before, prompt):
                raise self._other_prompts(name)
        self._content["first_prompts"] = {**self.first_prompts, **prompts}
        self._save()

    def _continue(self) -> None:
        """Take over what the folder holds, if it is of the same evaluation."""
        try:
            earlier = json.loads(self._path.read_text(encoding="utf-8"))
            before, data_before = dict(earlier["identity"]), dict(earlier["data"])
            float(earlier["wall_seconds"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SeedGrpoError(
                f"{self._path} is not what an evaluation left there.", "choose another --out."
            ) from error
        asked = self._content["identity"]
        if before.get("temperature") is None or asked["temperature"] is None:
            # Nothing has been sampled yet, or nothing is to be: the samples' settings are still open.
            asked |= {name: before.get(name) for name in _OF_SAMPLES if asked["temperature"] is None}
            before |= {name: asked[name] for name in _OF_SAMPLES}
        if asked.get("fingerprint") and asked["fingerprint"] == before.get("fingerprint"):
            before["model"] = asked["model"]  # m, ./m, m/, or moved: the content is the same
        for name in {**before, **asked}:
            if before.get(name) != asked.get(name):
                raise UsageError(
                    f"{self._path.parent} holds another evaluation: {name} was {before.get(name)} and is "
                    f"{asked.get(name)}.",
                    "choose another --out, or remove the folder.",
                )
        data = self._content["data"]
        for name in data.keys() & data_before.keys():
            if data[name] != data_before[name]:
                raise self._other_prompts(name)
        self._content = {**earlier, "identity": asked, "data": {**data_before, **data}}

    def _other_prompts(self, name: str) -> UsageError:
        return UsageError(
            f"{self._path.parent} holds responses to other prompts of {name}: data or template have changed.",
            "choose another --out, or remove the folder.",
        )

    def _save(self) -> None:
        replace_file(self._path, json.dumps(self._content, indent=2) + "\n")


def _same_prompt(before: Any, now: Mapping[str, Any]) -> bool:
    """Equal as text, and as token ids if both are known."""
    if not isinstance(before, dict) or before.get("text") != now["text"]:
        return False
    ids = (before.get("token_ids"), now["token_ids"])
    return None in ids or ids[0] == ids[1]


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep a second evaluation out of the folder; the lock goes with the process."""
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SeedGrpoError(
                f"Another evaluation is writing to {folder}.", "wait for it, or choose another --out."
            ) from None
        yield
