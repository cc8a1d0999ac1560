"""Answers to keys: equality of keys is the equivalence, by construction, at each of three levels.

`exact` is the answer as written; `normalized` its canonical spelling or exact rational; `symbolic` a function of the
normalized key alone. So answers that are equal at one level are equal at the next.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence

from seed_grpo.equivalence.guards import is_guarded
from seed_grpo.equivalence.normalize import normalized_key, parse_rational
from seed_grpo.equivalence.sandbox import Sandbox
from seed_grpo.equivalence.structure import Shape, read_shape
from seed_grpo.errors import UsageError

LEVELS = ("exact", "normalized", "symbolic")
CACHE_SIZE = 100_000


class AnswerKeyer:
    """Turns answers into keys, with a cache and, for `symbolic`, a sandbox of its own.

    The cache also holds fall-backs: within one keyer an answer always has the same key, even if a worker once ran out
    of time on it.

    Args:
        workers: sandbox processes at most.
        budget_seconds: time for one expression; past it the expression is compared by its spelling.
        memory_bytes: memory of each worker.
    """

    def __init__(self, *, workers: int = 2, budget_seconds: float = 0.5, memory_bytes: int = 1 << 30) -> None:
        self._sandbox = Sandbox(workers, budget_seconds, memory_bytes)
        self._cache: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = threading.Lock()
        self.timeouts = 0
        """Expressions that ran out of time or memory, so far."""
        self.guarded = 0
        """Expressions that were kept away from evaluation, so far."""

    def keys(self, answers: Sequence[str | None], level: str) -> list[str | None]:
        """The key of each answer; None for None.

        Raises:
            UsageError: an unknown level, or an answer that is no string.
        """
        if level not in LEVELS:
            raise UsageError(f"Unknown level {level!r}.", f"choose one of {', '.join(LEVELS)}.")
        distinct = dict.fromkeys(answer for answer in answers if answer is not None)
        for answer in distinct:
            if not isinstance(answer, str):
                raise UsageError(f"An answer is {answer!r}.", "give strings, or None for no answer.")
        keys: dict[str | None, str | None] = {None: None}
        if level == "exact":
            keys.update((answer, answer.strip()) for answer in distinct)
        else:
            normalized = {answer: self._cached("normalized", answer) for answer in distinct}
            keys.update(normalized if level == "normalized" else self._symbolic(normalized))
        return [keys[answer] for answer in answers]

    def close(self) -> None:
        """End the sandbox's processes."""
        self._sandbox.close()

    def _cached(self, level: str, answer: str) -> str:
        with self._lock:
            key = self._cache.get((level, answer))
        if key is None:
            key = normalized_key(answer)
            self._remember(level, answer, key)
        return key

    def _remember(self, level: str, text: str, key: str) -> None:
        with self._lock:
            # The first result stands: another thread may have met a time-out where this one did not.
            self._cache.setdefault((level, text), key)
            while len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)

    def _symbolic(self, normalized: dict[str, str]) -> dict[str, str]:
        """Symbolic keys from normalized ones; every leaf of the batch is evaluated in one go."""
        shapes: dict[str, Shape] = {}
        for key in dict.fromkeys(normalized.values()):
            shape = read_shape(key[2:]) if key.startswith("m:") and len(key) < MAX_SHAPE_CHARACTERS else None
            if shape is not None:
                shapes[key] = shape
        self._evaluate(dict.fromkeys(leaf for shape in shapes.values() for leaf in shape.leaves()))
        symbolic = {key: shape.key(self._leaf_key) for key, shape in shapes.items()}
        return {answer: symbolic.get(key, key) for answer, key in normalized.items()}

    def _evaluate(self, leaves: dict[str, None]) -> None:
        wanted = []
        for leaf in leaves:
            with self._lock:
                if ("leaf", leaf) in self._cache:
                    continue
            simple = _simple_key(leaf)
            if simple is None and is_guarded(leaf):
                self.guarded += 1
                simple = "m:" + leaf
            if simple is not None:
                self._remember("leaf", leaf, simple)
            else:
                wanted.append(leaf)
        for leaf, outcome in zip(wanted, self._sandbox.evaluate(wanted) if wanted else [], strict=True):
            self.timeouts += outcome.timed_out
            self._remember("leaf", leaf, outcome.key if outcome.key is not None else "m:" + leaf)

    def _leaf_key(self, leaf: str) -> str:
        with self._lock:
            key = self._cache.get(("leaf", leaf))
        return key if key is not None else _simple_key(leaf) or "m:" + leaf


MAX_SHAPE_CHARACTERS = 600
_BASED = re.compile(r"-?[0-9A-F]+_(?:\{\d+\}|\d)")
"""204_5: the digits of a number, and the base they are written in."""
_NEEDS_NO_PARSER = re.compile(r"[A-Za-z]|\d+:\d+(?::\d+)?|\\(?:emptyset|mathbb\{[A-Z]\})")


def _simple_key(leaf: str) -> str | None:
    """The key of a leaf that needs no evaluation: a number, a based number, words, nothing."""
    number = parse_rational(leaf)
    if number is not None:
        return number
    normalized = normalized_key(leaf)
    if not normalized.startswith("m:"):
        return normalized
    if _BASED.fullmatch(leaf) or not leaf.strip() or _NEEDS_NO_PARSER.fullmatch(leaf):
        return "m:" + leaf
    return None
