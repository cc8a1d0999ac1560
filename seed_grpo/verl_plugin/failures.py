"""Rollouts that fail: one group costs itself, but a run none of whose groups succeed has to end with the reason."""

from __future__ import annotations

import threading

from seed_grpo.errors import SeedGrpoError, last_line


class RolloutFailures:
    """Counts training groups that failed in a row, and remembers why the first of them did.

    verl itself says at most that it found no trajectories, and in its asynchronous modes asks for new ones for ever.

    Args:
        engine: the rollout's name, for the message.
    """

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._first: BaseException | None = None

    def note(self, groups: int, failed: int, error: BaseException | None) -> None:
        """What became of some groups; `error` is the first failure among them."""
        with self._lock:
            if failed < groups:
                self._in_a_row, self._first = 0, None
            else:
                self._in_a_row += failed
                self._first = self._first or error

    def raise_after(self, groups: int) -> None:
        """Raise a `SeedGrpoError` with the first cause if the last `groups` groups all failed."""
        with self._lock:
            in_a_row, first = self._in_a_row, self._first
        if first is None or in_a_row < groups:
            return
        if isinstance(first, SeedGrpoError):
            raise SeedGrpoError(first.cause, first.remedy) from first
        raise SeedGrpoError(
            f"The rollout engine {self._engine} failed on {in_a_row} prompts in a row: {last_line(first)}.",
            "look for the engine's first error in train.log.",
        ) from first
