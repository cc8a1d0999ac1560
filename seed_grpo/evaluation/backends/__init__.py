"""What answers prompts: a backend. Three of them behind one small interface.

A backend takes a batch of requests and yields a completion for each, in any order. It is handed requests in the order
of the whole evaluation, `batch_size` at a time; one with `whole_batches` gets a batch that was cut short by an
interruption again as a whole, because what shares its batch may change a response's last bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from seed_grpo.engines.sampling import Sampling


@dataclass(frozen=True)
class Request:
    """A prompt, and the seed of its response."""

    prompt: str
    seed: int


@dataclass(frozen=True)
class Completion:
    """A response.

    Attributes:
        text: as text, with the stop string where one ended it.
        truncated: whether it was cut off at the token limit.
        tokens: its number of tokens, where known.
        log_prob: the sum of its tokens' log-probabilities, where known.
    """

    text: str
    truncated: bool
    tokens: int | None = None
    log_prob: float | None = None


class Backend(Protocol):
    """A source of responses."""

    batch_size: int
    whole_batches: bool

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """Yield (index of the request, its completion) as they finish.

        Raises:
            SeedGrpoError: no response can be had.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """What went into the responses beside prompts and sampling: model, revision, precision, device."""
        ...

    def close(self) -> None:
        """Let go of model or connections."""
        ...


def cut_at_stop(completion: Completion, stop: Sequence[str]) -> Completion:
    """End the text behind the first stop string; a response that reached one was not cut off."""
    ends = [at + len(mark) for mark in stop if (at := completion.text.find(mark)) >= 0]
    if not ends:
        return completion
    return Completion(completion.text[: min(ends)], False, completion.tokens, completion.log_prob)
