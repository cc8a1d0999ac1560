"""verl's batches: what their keys, tags and columns say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seed_grpo.errors import SeedGrpoError
from seed_grpo.method.batch import MeasuredBatch


def uid_of(key: str) -> str:
    """The prompt of a TransferQueue key `{uid}_{session}_{index}`."""
    return key.rsplit("_", 2)[0]


def real_final_rows(keys: Sequence[str], tags: Sequence[Mapping[str, Any]]) -> list[int]:
    """The rows that verl's GRPO compares: the last output of each session; no padding. In order of the batch."""
    final: dict[str, tuple[int, int]] = {}
    for row, (key, tag) in enumerate(zip(keys, tags, strict=True)):
        if tag.get("is_padding", False):
            continue
        session, index = key.rsplit("_", 1)
        if session not in final or int(index) > final[session][0]:
            final[session] = (int(index), row)
    if not final:
        raise SeedGrpoError("The batch holds no response.", "look for the rollout's errors further up in the log.")
    return sorted(row for _, row in final.values())


def weight_of_rows(keys: Sequence[str], measured: MeasuredBatch) -> np.ndarray:
    """The weight of each row's prompt, shape (N,); 1 for a row of no measured prompt, that is for padding."""
    weight_of = dict(zip(measured.groups.ids, measured.weights.weight_P, strict=True))
    return np.array([weight_of.get(uid_of(key), 1.0) for key in keys])


def problem_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of verl's data set as `Sample.row` describes a problem: its question, its gold answer, its extra info."""
    return {
        **(row.get("extra_info") or {}),
        "question": _question(row.get("raw_prompt")),
        "gold": (row.get("reward_model") or {}).get("ground_truth"),
    }


def _question(messages: Any) -> str | None:
    """The text of the last user message of a prompt."""
    texts = [message.get("content") for message in messages or [] if message.get("role") == "user"]
    return texts[-1] if texts and isinstance(texts[-1], str) else None
