"""Answers to keys: equality of keys is the equivalence, by construction, at each of three levels.

`exact` is the answer as written; `normalized` its canonical spelling or exact rational; `symbolic` a function of the
normalized key alone. So answers that are equal at one level are equal at the next.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence

from seed_grpo.errors import UsageError
from seed_grpo.meaning.equivalence.normalize import normalized_key
from seed_grpo.sandbox import Sandbox

LEVELS = ("exact", "normalized", "symbolic")
NO_ANSWER_RULES = ("singleton", "shared", "drop")
CACHE_SIZE = 100_000
MAX_CACHED_CHARACTERS = 2000
MAX_SYMBOLIC_CHARACTERS = 600
"""A longer answer is not handed to a worker: it is compared by its spelling."""


class AnswerKeyer:
    """Turns answers into keys, with a cache and, for `symbolic`, a sandbox of its own.

    The cache also holds fall-backs: within one keyer an answer keeps its key, even if a worker once ran out of time on
    it. Usable from several threads at once.

    Args:
        workers: sandbox processes at most.
        budget_seconds: time for one answer; past it the answer is compared by its spelling.
        memory_bytes: memory of each worker.
    """

    def __init__(self, *, workers: int = 2, budget_seconds: float = 0.5, memory_bytes: int = 1 << 29) -> None:
        self._sandbox = Sandbox(
            "seed_grpo.meaning.equivalence.symbolic:symbolic_key",
            workers=workers, soft_seconds=budget_seconds, memory_bytes=memory_bytes,
        )  # fmt: skip
        self._cache: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = threading.Lock()
        self._counts = {"timeouts": 0, "guarded": 0}
        _keyers.add(self)

    def keys(self, answers: Sequence[str | None], level: str) -> list[str | None]:
        """The key of each answer; None for None.

        Raises:
            UsageError: an unknown level, or an answer that is no string.
        """
        if level not in LEVELS:
            raise UsageError(f"Unknown level {level!r}.", f"choose one of {', '.join(LEVELS)}.")
        keys: dict[str | None, str | None] = {None: None}
        for answer in answers:
            if answer not in keys:
                if not isinstance(answer, str):
                    raise UsageError(f"An answer is {answer!r}.", "give strings, or None for no answer.")
                keys[answer] = answer.strip() if level == "exact" else self._normalized(answer)
        if level == "symbolic":
            symbolic = self._symbolic([key for key in keys.values() if key is not None])
            keys = {answer: None if key is None else symbolic[key] for answer, key in keys.items()}
        return [keys[answer] for answer in answers]

    def take_counts(self) -> dict[str, int]:
        """Fall-backs since the last call, for the metrics `seed_grpo/clusterer/…`.

        `timeouts`: answers on which time or memory ran out. `guarded`: answers that were kept from evaluation, or could
        not be read, and so are compared by their spelling. Each distinct answer counts once.
        """
        with self._lock:
            counts, self._counts = self._counts, dict.fromkeys(self._counts, 0)
        return counts

    def warm_up(self) -> None:
        """Start a worker now, so that the first caller does not wait for it."""
        self._sandbox.evaluate(["m:1"])

    def close(self) -> None:
        """End the sandbox's processes. The keyer is of no further use at the level `symbolic`."""
        self._sandbox.close()

    def _normalized(self, answer: str) -> str:
        key = self._cached("normalized", answer)
        if key is None:
            key = normalized_key(answer)
            self._remember("normalized", answer, key)
        return key

    def _symbolic(self, normalized: list[str]) -> dict[str, str]:
        """Symbolic keys from normalized ones, evaluated in one go."""
        keys: dict[str, str] = {}
        wanted: list[str] = []
        for key in dict.fromkeys(normalized):
            cached = self._cached("symbolic", key)
            if cached is not None:
                keys[key] = cached
            elif not _needs_evaluation(key):
                keys[key] = key
            elif len(key) > MAX_SYMBOLIC_CHARACTERS:
                self._fall_back("guarded")
                keys[key] = self._remember("symbolic", key, key)
            else:
                wanted.append(key)
        for key, outcome in zip(wanted, self._sandbox.evaluate(wanted), strict=True):
            found, spelled = outcome.value or (key, True)  # nothing after a time-out, or a fault of ours
            if outcome.timed_out:
                self._fall_back("timeouts")
            elif spelled:
                self._fall_back("guarded")
            keys[key] = self._remember("symbolic", key, found)
        return keys

    def _cached(self, level: str, text: str) -> str | None:
        with self._lock:
            key = self._cache.get((level, text))
            if key is not None:
                self._cache.move_to_end((level, text))
        return key

    def _fall_back(self, reason: str) -> None:
        with self._lock:
            self._counts[reason] += 1

    def _remember(self, level: str, text: str, key: str) -> str:
        """Cache a key. The first result stands: another thread may have met a time-out where this one did not."""
        if len(text) > MAX_CACHED_CHARACTERS:
            return key
        with self._lock:
            key = self._cache.setdefault((level, text), key)
            while len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        return key


def _needs_evaluation(normalized: str) -> bool:
    """Whether the symbolic key can differ from the normalized one."""
    return normalized.startswith("m:") or (normalized.startswith(("u:", "w:", "c:")) and "|m:" in normalized)


_keyers: weakref.WeakSet[AnswerKeyer] = weakref.WeakSet()


def _after_fork() -> None:
    for keyer in list(_keyers):
        keyer._lock = threading.Lock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_after_fork)
