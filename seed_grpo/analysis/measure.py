"""Each prompt measured: clusters at each level, entropy under each estimator, weight under each form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from seed_grpo.analysis.rollouts import Group, gold_of
from seed_grpo.meaning.equivalence import LEVELS, grade_answer
from seed_grpo.meaning.protocol import Sample
from seed_grpo.meaning.registry import cluster_groups, make_meaning
from seed_grpo.method import DROPPED
from seed_grpo.method.entropy import ESTIMATORS, group_entropy
from seed_grpo.method.weighting import FORMS, uncertainty_weight
from seed_grpo.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 256
"""Prompts that are clustered together, between two reports of progress."""


def measure_groups(
    groups: Sequence[Group],
    method: Settings,
    *,
    grade: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> pd.DataFrame:
    """Measure every group: a table with a row per prompt and step.

    Columns: source, step, uid, prompt, gold, G, accuracy, mixed, no_answer; for each level clusters_LEVEL,
    half_rewarded_LEVEL and cluster_ids_LEVEL; for each estimator and level entropy_ESTIMATOR_LEVEL (nats, masses by
    count); max_entropy; for each form weight_FORM, from the method's level and estimator; answers, rewards.

    Args:
        groups: at least one.
        method: alpha, gamma, estimator, meaning, no_answer and grade_level are used.
        grade: grade the answers again with this library's keys, if there is a gold answer.
        progress: called with the number of prompts done so far.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for start in range(0, len(groups), CHUNK):
        chunk = groups[start : start + CHUNK]
        rewards = [_graded(group, method) if grade else group.rewards for group in chunk]
        columns = [_describe(group, graded) for group, graded in zip(chunk, rewards, strict=True)]
        for level in LEVELS:
            for row, group, graded, clusters in zip(
                columns, chunk, rewards, _clusters(chunk, level, method), strict=True
            ):
                row |= _at_level(level, clusters, graded, group)
        for row in columns:
            entropy = row[f"entropy_{method.estimator}_{method.meaning}"]
            row |= {
                f"weight_{form}": uncertainty_weight(
                    entropy, row["max_entropy"], alpha=method.alpha, form=form, gamma=method.gamma
                )
                for form in FORMS
            }
        rows += columns
        progress(len(rows))
    return pd.DataFrame(rows)


def _graded(group: Group, method: Settings) -> list[float]:
    gold = gold_of(group)
    if gold is None:
        return group.rewards
    return [float(grade_answer(answer, gold, level=method.grade_level)) for answer in group.answers]


def _describe(group: Group, rewards: Sequence[float]) -> dict[str, Any]:
    return {
        "source": _valid(group.source),
        "step": group.step,
        "uid": _valid(group.uid),
        "prompt": _valid(group.prompt),
        "gold": None if group.gold is None else _valid(str(group.gold)),
        "G": len(group.answers),
        "accuracy": float(np.mean(rewards)),
        "mixed": min(rewards) < max(rewards),
        "no_answer": sum(answer is None for answer in group.answers),
        "answers": [_valid(answer) for answer in group.answers],
        "rewards": list(rewards),
    }


def _valid(text: str | None) -> str | None:
    """Text as tables take it: a lone surrogate, which JSON can hold and UTF-8 cannot, as its escape."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _clusters(groups: Sequence[Group], level: str, method: Settings) -> list[list[int]]:
    """The cluster ids of each group; all groups are clustered together."""
    meaning = make_meaning(replace(method, meaning=level, grade_level="symbolic"))
    return cluster_groups(meaning, [[Sample(None, answer) for answer in group.answers] for group in groups])


def _at_level(level: str, clusters: list[int], rewards: Sequence[float], group: Group) -> dict[str, Any]:
    seen: dict[int, set[float]] = {}
    for cluster, reward in zip(clusters, rewards, strict=True):
        if cluster != DROPPED:
            seen.setdefault(cluster, set()).add(reward)
    entropies = {
        estimator: group_entropy([0] * len(clusters), clusters, estimator=estimator) for estimator in ESTIMATORS
    }
    return {
        f"clusters_{level}": len(seen),
        f"half_rewarded_{level}": sum(len(found) > 1 for found in seen.values()),
        f"cluster_ids_{level}": clusters,
        **{f"entropy_{name}_{level}": float(found.entropy_P[0]) for name, found in entropies.items()},
        "max_entropy": float(entropies["monte_carlo"].max_entropy_P[0]),
    }
