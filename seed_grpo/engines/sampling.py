"""How to decode, and what a decoded response is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sampling:
    """How to decode; a temperature of 0 is greedy. `top_k` of 0 or −1 keeps every token."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0


@dataclass(frozen=True)
class Generated:
    """One response.

    Attributes:
        token_ids: its tokens, with the end-of-sequence token where it ended.
        log_probs: the log-probability of each token.
        aborted: whether decoding was stopped before the response was complete.
        extra_fields: what verl's servers report beside, such as the version of the weights.
    """

    token_ids: list[int]
    log_probs: list[float]
    aborted: bool
    extra_fields: dict[str, Any] = field(default_factory=dict)
