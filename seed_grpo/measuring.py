"""Responses to weighted prompts: where what responses mean meets the method."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from seed_grpo.meaning.protocol import Meaning, Sample
from seed_grpo.meaning.registry import cluster_groups
from seed_grpo.method.batch import MeasuredBatch, measure_batch
from seed_grpo.method.groups import Groups
from seed_grpo.method.settings import MethodSettings


def measure_responses(
    uids_N: Sequence[Hashable],
    samples_N: Sequence[Sample],
    rewards_N: ArrayLike,
    meaning: Meaning,
    settings: MethodSettings,
    *,
    log_probs_N: ArrayLike | None = None,
) -> MeasuredBatch:
    """Cluster the responses to each prompt and weigh the prompts.

    Args:
        uids_N: the prompt of each response; a prompt's responses need not be neighbours.
        samples_N: the responses.
        rewards_N: the reward of each response.
        meaning: tells which responses mean the same; it is asked once for the whole batch.
        settings: the method's settings.
        log_probs_N: one log-probability per response; only for the mass `likelihood`.
    """
    groups = Groups.of(uids_N)
    clusters_PG = cluster_groups(meaning, [[samples_N[row] for row in rows] for rows in groups.rows_P])
    cluster_ids_N = np.empty(len(groups.prompt_N), dtype=np.int64)
    cluster_ids_N[np.concatenate(groups.rows_P)] = np.concatenate(clusters_PG)
    answers_N = [sample.answer for sample in samples_N]
    return measure_batch(groups, answers_N, cluster_ids_N, rewards_N, settings, log_probs_N=log_probs_N)
