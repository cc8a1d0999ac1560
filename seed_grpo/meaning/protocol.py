"""The socket for meanings: from the responses to each prompt of a batch to cluster ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Sample:
    """One response.

    Attributes:
        text: the whole response; None if the caller has the answer only, as meanings with `needs_text` False allow.
        answer: the final answer as written; None if there is none.
        row: the problem: `question` and `gold` as far as the caller knows them, and in training and evaluation what
            else the data holds of it.
    """

    text: str | None
    answer: str | None
    row: Mapping[str, Any] = field(default_factory=dict)


Groups: TypeAlias = Sequence[Sequence[Sample]]
"""For each prompt of a batch, its responses."""


class Options(Protocol):
    """What the factory of a meaning may read of the settings; `seed_grpo.meaning.settings.MeaningSettings` has it."""

    @property
    def meaning(self) -> str: ...
    @property
    def no_answer(self) -> str: ...
    @property
    def grade_level(self) -> str: ...
    @property
    def answer_template(self) -> str: ...


class Meaning(Protocol):
    """Tells which responses to a prompt mean the same.

    It must be an equivalence that does not depend on the order of the responses. A meaning that has keys is one by
    construction; one that compares pairs takes the connected components of its symmetric closure.

    Attributes:
        needs_text: whether `Sample.text` is read; callers that would have to decode it ask first.
    """

    needs_text: bool

    def clusters(self, groups: Groups) -> list[list[int]]:
        """Cluster ids of each prompt's responses: 0..K−1 in order of first appearance, −1 for no part in the entropy.

        It is called once for a whole batch, so that work can be shared, batched and cached across prompts.
        """
        ...

    def take_counts(self) -> dict[str, int]:
        """Fall-backs, time-outs, calls … since the last call, for the metrics `seed_grpo/clusterer/…`."""
        ...
