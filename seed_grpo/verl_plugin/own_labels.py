"""Rewards that a group gives itself, in place of those by the gold answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seed_grpo.errors import SeedGrpoError
from seed_grpo.meaning.protocol import Sample
from seed_grpo.meaning.registry import cluster_groups, make_meaning
from seed_grpo.method.labels import GOLD, LABELS
from seed_grpo.settings import Settings
from seed_grpo.verl_plugin.reward import gold_answer


class OwnLabels:
    """Labels of the responses to a prompt, from the clusters of their meanings.

    Args:
        settings: the method's; `labels` is not `gold`.
    """

    def __init__(self, settings: Settings) -> None:
        self._label = LABELS[settings.labels]
        self._meaning = make_meaning(settings)
        self.votes = settings.votes or 0

    @classmethod
    def of(cls, settings: Settings) -> OwnLabels | None:
        """The labels that the settings name; None for rewards by the gold answers."""
        return None if settings.labels == GOLD else cls(settings)

    def rewards(self, groups: Sequence[Sequence[Sample]]) -> list[list[float]]:
        """The reward of each response of each group."""
        ids_PG = cluster_groups(self._meaning, groups)
        return [
            self._label(np.asarray(ids_G), np.array([sample.answer is not None for sample in group])).tolist()
            for ids_G, group in zip(ids_PG, groups, strict=True)
        ]


def gold_or_none(row: dict[str, Any]) -> str | Sequence[str] | None:
    """The gold answer of a row, if it has one."""
    try:
        return gold_answer(row)
    except SeedGrpoError:
        return None
