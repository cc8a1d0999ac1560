"""Do two final answers mean the same? Answers have keys; equal keys are one cluster, and the gold's key is correct.

Keys, not pairwise checks: an equality test that is neither symmetric nor transitive makes clusters that depend on the
order of the rollouts. docs/answer_keys.md has the rules.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from seed_grpo.errors import UsageError
from seed_grpo.meaning.equivalence.grading import gold_strings, is_correct
from seed_grpo.meaning.equivalence.keys import LEVELS, NO_ANSWER_RULES, AnswerKeyer
from seed_grpo.method import DROPPED

__all__ = ["LEVELS", "AnswerKeyer", "cluster_answers", "cluster_keys", "grade_answer", "shared_keyer"]

_shared: AnswerKeyer | None = None
_lock = threading.Lock()


def shared_keyer() -> AnswerKeyer:
    """The keyer of this process: one cache and one sandbox for clusters and rewards alike."""
    global _shared
    with _lock:
        if _shared is None:
            _shared = AnswerKeyer()
        return _shared


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_after_fork)


def cluster_answers(answers: Sequence[str | None], *, level: str = "exact", no_answer: str = "singleton") -> list[int]:
    """Clusters of the answers to one prompt.

    Args:
        answers: the final answer of each response, None where there is none.
        level: `exact` (the paper's: identical strings), `normalized`, or `symbolic`; each is coarser than the one
            before.
        no_answer: a response without an answer is a cluster of its own (`singleton`), shares one with the others
            (`shared`), or gets the id −1, which takes no part in the entropy (`drop`).

    Returns:
        Cluster ids 0..K−1 in order of first appearance.

    Raises:
        UsageError: an unknown level or rule.
    """
    return cluster_keys(shared_keyer().keys(answers, level), no_answer=no_answer)


def cluster_keys(keys: Sequence[str | None], *, no_answer: str = "singleton") -> list[int]:
    """As `cluster_answers`, for answers whose keys are known."""
    if no_answer not in NO_ANSWER_RULES:
        raise UsageError(f"Unknown no_answer {no_answer!r}.", f"choose one of {', '.join(NO_ANSWER_RULES)}.")
    ids: dict[object, int] = {}
    clusters = []
    for row, key in enumerate(keys):
        if key is None and no_answer == "drop":
            clusters.append(DROPPED)
        else:
            # A tuple is no key, so answers and missing answers never meet.
            name = key if key is not None else ("no answer", row if no_answer == "singleton" else None)
            clusters.append(ids.setdefault(name, len(ids)))
    return clusters


def grade_answer(answer: str | None, gold: str | float | Sequence[str | float], *, level: str = "symbolic") -> bool:
    """Whether an answer is correct. The outcome depends on the answer's key alone, so a cluster is never half right.

    Args:
        answer: the final answer; None is never correct.
        gold: the gold answer as the data sets write it (a string, a number such as 142.0, with `$` or a trailing
            newline), or a list of which any counts.
        level: as for `cluster_answers`; never finer than the clusters' level.

    Raises:
        UsageError: an unknown level. SeedGrpoError: an empty gold answer.
    """
    golds = gold_strings(gold)
    answer_key, *gold_keys = shared_keyer().keys([answer, *golds], level)
    return answer_key is not None and is_correct(answer_key, [key for key in gold_keys if key is not None], level)
