"""What a validation with several samples per prompt shows beside the accuracy: whether training narrows the answers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from seed_grpo.meaning.protocol import Meaning, Sample
from seed_grpo.meaning.registry import cluster_groups
from seed_grpo.method.entropy import semantic_entropy
from seed_grpo.method.groups import Groups


def validation_metrics(
    uids_N: Sequence[Hashable], right_N: ArrayLike, answers_N: Sequence[str | None], meaning: Meaning
) -> dict[str, float]:
    """Pass@1 and pass@k, and how many right answers the model knows.

    A model can gain in pass@1 and lose in pass@k: it has become surer of what it could do before. On problems with many
    right answers it also shows in their number, and in their entropy.

    Args:
        uids_N: the prompt of each response.
        right_N: whether each is right.
        answers_N: their final answers.
        meaning: which right answers are one; it must need no text.

    Returns:
        `val/pass@1`, `val/pass@k` for k samples per prompt (the most, if prompts differ: the share of prompts with a
        right one), `val/distinct_right` (right clusters per prompt) and `val/entropy_right` (nats, Eq. 4 over counts,
        the mean over the prompts with a right response; absent if there is none). Empty for one sample per prompt.
    """
    groups = Groups.of(uids_N)
    k = max(len(rows) for rows in groups.rows_P)
    if k == 1:
        return {}
    right = np.asarray(right_N, dtype=bool)
    right_rows_P = [[row for row in rows if right[row]] for rows in groups.rows_P]
    samples_P = [[Sample(None, answers_N[row]) for row in rows] for rows in right_rows_P]
    clusters_P = cluster_groups(meaning, samples_P)
    found = {
        "val/pass@1": float(np.mean([right[rows].mean() for rows in groups.rows_P])),
        f"val/pass@{k}": float(np.mean([len(rows) > 0 for rows in right_rows_P])),
        "val/distinct_right": float(np.mean([len(set(ids)) for ids in clusters_P])),
    }
    if entropies := [semantic_entropy(ids, estimator="rao_blackwell") for ids in clusters_P if ids]:
        found["val/entropy_right"] = float(np.mean(entropies))
    return found
