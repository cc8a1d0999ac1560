"""A batch of answered prompts, measured: clusters, weights, and what is worth recording of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from seed_grpo.meaning.equivalence import cluster_answers
from seed_grpo.method.advantage import PromptWeights, prompt_weights
from seed_grpo.method.entropy import DROPPED, Floats, Ints, index_groups
from seed_grpo.method.settings import MethodSettings


@dataclass(frozen=True)
class MeasuredBatch:
    """N responses to P prompts, measured.

    Attributes:
        uids: the prompts' ids, in order of first appearance, length P.
        rows_P: for each prompt, the indices of its responses.
        answers_N: the final answers.
        rewards_N: the rewards, shape (N,).
        cluster_ids_N: the cluster of each response within its prompt, shape (N,).
        weights: entropy and weight of each prompt.
    """

    uids: list[str]
    rows_P: list[Ints]
    answers_N: Sequence[str | None]
    rewards_N: Floats
    cluster_ids_N: Ints
    weights: PromptWeights

    def metrics(self) -> dict[str, float]:
        """Means over the batch's prompts. A mixed prompt has right and wrong responses: only there do weights act."""
        groups = self.weights.groups
        accuracy_P = np.array([self.rewards_N[rows].mean() for rows in self.rows_P])
        best_P = np.array([self.rewards_N[rows].max() for rows in self.rows_P])
        worst_P = np.array([self.rewards_N[rows].min() for rows in self.rows_P])
        mixed_P = best_P > worst_P
        metrics = {
            "train/accuracy": float(self.rewards_N.mean()),
            "seed_grpo/entropy": float(groups.entropy_P.mean()),
            "seed_grpo/weight": float(self.weights.weight_P.mean()),
            "seed_grpo/clusters": float(groups.clusters_P.mean()),
            "seed_grpo/mixed_share": float(mixed_P.mean()),
            "seed_grpo/no_answer_share": float(np.mean([answer is None for answer in self.answers_N])),
            "seed_grpo/half_rewarded_share": self._half_rewarded_share(),
            "seed_grpo/entropy_clipped": float(self.weights.clipped_P.sum()),
        }
        if mixed_P.any():
            metrics |= {
                "seed_grpo/entropy_mixed": float(groups.entropy_P[mixed_P].mean()),
                "seed_grpo/weight_mixed": float(self.weights.weight_P[mixed_P].mean()),
                "seed_grpo/weight_mixed_spread": float(np.ptp(self.weights.weight_P[mixed_P])),
            }
        if len(accuracy_P) > 2 and np.ptp(groups.entropy_P) > 0 and np.ptp(accuracy_P) > 0:
            metrics["seed_grpo/entropy_accuracy_correlation"] = float(np.corrcoef(groups.entropy_P, accuracy_P)[0, 1])
        return metrics

    def records(self) -> list[dict[str, Any]]:
        """One record a prompt, for `prompts.jsonl`."""
        groups = self.weights.groups
        return [
            {
                "uid": uid,
                "G": int(groups.group_size_P[p]),
                "K": int(groups.clusters_P[p]),
                "entropy": float(groups.entropy_P[p]),
                "max_entropy": float(groups.max_entropy_P[p]),
                "weight": float(self.weights.weight_P[p]),
                "accuracy": float(self.rewards_N[rows].mean()),
                "answers": [self.answers_N[row] for row in rows],
                "cluster_ids": self.cluster_ids_N[rows].tolist(),
                "rewards": self.rewards_N[rows].tolist(),
            }
            for p, (uid, rows) in enumerate(zip(self.uids, self.rows_P, strict=True))
        ]

    def _half_rewarded_share(self) -> float:
        """Share of clusters whose responses were not all rewarded alike; 0 when rewards use the same keys."""
        seen: dict[tuple[int, int], set[float]] = {}
        for p, rows in enumerate(self.rows_P):
            for row in rows:
                if self.cluster_ids_N[row] != DROPPED:
                    seen.setdefault((p, int(self.cluster_ids_N[row])), set()).add(float(self.rewards_N[row]))
        return sum(len(rewards) > 1 for rewards in seen.values()) / max(len(seen), 1)


def measure_batch(
    uids_N: Sequence[str],
    answers_N: Sequence[str | None],
    rewards_N: ArrayLike,
    settings: MethodSettings,
    *,
    log_probs_N: ArrayLike | None = None,
) -> MeasuredBatch:
    """Cluster the answers of each prompt and weigh the prompt.

    Args:
        uids_N: the prompt of each response; the responses of a prompt need not be neighbours.
        answers_N: the final answer of each response, None where there is none.
        rewards_N: the reward of each response.
        settings: the method's settings.
        log_probs_N: one log-probability a response; only for the mass `likelihood`.
    """
    prompt_N, prompts = index_groups(uids_N)
    order_N = np.argsort(prompt_N, kind="stable")
    rows_P = np.split(order_N, np.cumsum(np.bincount(prompt_N, minlength=prompts))[:-1])
    cluster_ids_N = np.empty(len(prompt_N), dtype=np.int64)
    for rows in rows_P:
        cluster_ids_N[rows] = cluster_answers(
            [answers_N[row] for row in rows], level=settings.cluster_level, no_answer=settings.no_answer
        )
    return MeasuredBatch(
        uids=list(dict.fromkeys(uids_N)),
        rows_P=rows_P,
        answers_N=answers_N,
        rewards_N=np.asarray(rewards_N, dtype=np.float64),
        cluster_ids_N=cluster_ids_N,
        weights=prompt_weights(prompt_N, cluster_ids_N, settings, log_probs=log_probs_N),
    )
