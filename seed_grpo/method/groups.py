"""Which responses of a batch answer the same prompt."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from seed_grpo.errors import SeedGrpoError

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Groups:
    """The groups of a batch of N responses to P prompts; prompts in order of first appearance.

    Attributes:
        ids: the id of each prompt, length P.
        prompt_N: for each response, the index of its prompt, 0..P-1.
    """

    ids: list[Hashable]
    prompt_N: Ints

    @classmethod
    def of(cls, group_ids: Sequence[Hashable] | NDArray[np.generic]) -> Groups:
        """Index a batch once.

        Args:
            group_ids: the prompt of each response, any hashable, shape (N,); rows of a prompt need not be neighbours.

        Raises:
            SeedGrpoError: an empty batch.
        """
        rows = group_ids.tolist() if isinstance(group_ids, np.ndarray) else list(group_ids)
        if not rows:
            raise SeedGrpoError("The group of responses is empty.", "give at least one response.")
        numbers: dict[Hashable, int] = {}
        prompt_N = np.fromiter((numbers.setdefault(row, len(numbers)) for row in rows), np.int64, count=len(rows))
        return cls(list(numbers), prompt_N)

    @cached_property
    def size_P(self) -> Ints:
        """Responses of each prompt (G)."""
        return np.bincount(self.prompt_N, minlength=len(self.ids))

    @cached_property
    def rows_P(self) -> list[Ints]:
        """For each prompt, the indices of its responses, in order of the batch."""
        order_N = np.argsort(self.prompt_N, kind="stable")
        return np.split(order_N, np.cumsum(self.size_P)[:-1])

    def mean(self, values_N: Floats) -> Floats:
        """The mean of each prompt's values, shape (P,)."""
        return np.bincount(self.prompt_N, weights=values_N, minlength=len(self.ids)) / self.size_P
