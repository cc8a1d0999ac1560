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
ALGEBRA_VARIABLE = "SEED_GRPO_SYMPY"
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
        algebra: whether sympy reads what the reader of answers cannot (sums, integrals, limits, inequalities that are
            not linear), in a worker of its own that starts when it is first needed. By default it does, unless the
            environment variable `SEED_GRPO_SYMPY` is 0.
    """

    def __init__(
        self, *, workers: int = 2, budget_seconds: float = 0.5, memory_bytes: int = 1 << 29, algebra: bool | None = None
    ) -> None:
        equivalence = "seed_grpo.meaning.equivalence"
        self._sandbox, self._algebra = (
            Sandbox(f"{equivalence}.{function}", workers=count, soft_seconds=budget_seconds, memory_bytes=memory_bytes)
            for function, count in (("symbolic:first_key", workers), ("algebra:algebraic_key", 1))
        )
        self._uses_algebra = os.environ.get(ALGEBRA_VARIABLE, "1") != "0" if algebra is None else algebra
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
        self._algebra.close()

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
        outcomes = self._evaluated(wanted)
        for key in wanted:
            found, spelled, timed_out = outcomes[key]
            if timed_out:
                self._fall_back("timeouts")
            elif spelled:
                self._fall_back("guarded")
            keys[key] = self._remember("symbolic", key, found)
        return keys

    def _evaluated(self, wanted: list[str]) -> dict[str, tuple[str, bool, bool]]:
        """For each normalized key: the symbolic one, whether a part is its spelling, whether time ran out."""
        found: dict[str, tuple[str, bool, bool]] = {}
        more: list[str] = []
        for key, outcome in zip(wanted, self._sandbox.evaluate(wanted), strict=True):
            symbolic, spelled, algebra = outcome.value or (key, True, False)  # nothing after a time-out, or a fault
            found[key] = symbolic, spelled, outcome.timed_out
            if algebra and self._uses_algebra:
                more.append(key)
        for key, outcome in zip(more, self._algebra.evaluate(more), strict=True):
            if outcome.value is not None:
                found[key] = (*outcome.value[:2], False)
            else:
                found[key] = (*found[key][:2], outcome.timed_out)
        return found

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
