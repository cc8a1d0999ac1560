"""How to decode, and what a decoded response is. Loads nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sampling:
    """How to decode.

    Attributes:
        max_tokens: tokens per response at most.
        temperature: 0 is greedy.
        top_p: the smallest set of tokens with this probability is sampled from; 1 keeps every token.
        top_k: so many tokens are sampled from; 0 and −1 keep every token.
        stop: strings that end a response and belong to it. The caller of an engine that returns token ids looks for
            them in the text.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    stop: tuple[str, ...] = ()

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0


@dataclass(frozen=True)
class Generated:
    """One response.

    Attributes:
        token_ids: its tokens, with the end-of-sequence token if it ended.
        log_probs: the log-probability of each token.
        aborted: whether decoding was stopped before the response was complete.
    """

    token_ids: list[int]
    log_probs: list[float]
    aborted: bool
