"""A training step's responses, measured: entropies, weights, metrics and records."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from seed_grpo.method import DROPPED
from seed_grpo.method.advantage import PromptWeights, prompt_weights
from seed_grpo.method.groups import Floats, Groups, Ints
from seed_grpo.method.settings import MethodSettings


@dataclass(frozen=True)
class MeasuredBatch:
    """N responses to P prompts, measured.

    Attributes:
        groups: which responses belong to which prompt.
        answers_N: the final answers; None for a response without one.
        rewards_N: the rewards, shape (N,).
        cluster_ids_N: the cluster of each response within its prompt, shape (N,).
        weights: entropy and weight of each prompt.
    """

    groups: Groups
    answers_N: Sequence[str | None]
    rewards_N: Floats
    cluster_ids_N: Ints
    weights: PromptWeights

    def metrics(self) -> dict[str, float]:
        """Means over the batch's prompts. A mixed prompt has right and wrong responses: only there do weights act."""
        entropy, weight_P = self.weights.entropy, self.weights.weight_P
        accuracy_P, mixed_P = self.weights.statistics.mean_P, self.weights.statistics.mixed_P
        metrics = {
            "train/accuracy": float(self.rewards_N.mean()),
            "seed_grpo/entropy": float(entropy.entropy_P.mean()),
            "seed_grpo/weight": float(weight_P.mean()),
            "seed_grpo/clusters": float(entropy.clusters_P.mean()),
            "seed_grpo/clusters_expected": float(entropy.expected_clusters_P.mean()),
            "seed_grpo/mixed_share": float(mixed_P.mean()),
            "seed_grpo/no_answer_share": float(np.mean([answer is None for answer in self.answers_N])),
            "seed_grpo/half_rewarded_share": self._half_rewarded_share(),
            "seed_grpo/entropy_clipped": float(self.weights.clipped_P.sum()),
        }
        if mixed_P.any():
            metrics |= {
                "seed_grpo/entropy_mixed": float(entropy.entropy_P[mixed_P].mean()),
                "seed_grpo/weight_mixed": float(weight_P[mixed_P].mean()),
                "seed_grpo/weight_mixed_spread": float(np.ptp(weight_P[mixed_P])),
            }
            if (weight_P > 1.0).any():
                metrics["seed_grpo/weight_above_one_share"] = float((weight_P[mixed_P] > 1.0).mean())
            if len(self.weights.weight_by_name) > 1:
                metrics |= {
                    f"seed_grpo/weight/{name}": float(each_P[mixed_P].mean())
                    for name, each_P in self.weights.weight_by_name.items()
                }
        if len(accuracy_P) > 2 and np.ptp(entropy.entropy_P) > 0 and np.ptp(accuracy_P) > 0:
            metrics["seed_grpo/entropy_accuracy_correlation"] = float(np.corrcoef(entropy.entropy_P, accuracy_P)[0, 1])
        return metrics

    def label_metrics(self, true_rewards_N: Sequence[float | None]) -> dict[str, float]:
        """How good the labels are that the groups gave themselves, where the rewards are those labels.

        Args:
            true_rewards_N: the rewards by the gold answers; None for a response to a problem without one.

        Returns:
            The mean self-made reward; the share of the group in its largest cluster; where all problems have gold
            answers, the accuracy of the responses (also as `train/accuracy`) and that of the labels: the share of
            prompts whose best rewarded responses are right.
        """
        entropy = self.weights.entropy
        found = {
            "seed_grpo/labels/reward": float(self.rewards_N.mean()),
            "seed_grpo/labels/largest_cluster_share": float(entropy.largest_share_P.mean()),
        }
        if None in true_rewards_N:
            return found
        true_N = np.asarray(true_rewards_N, dtype=np.float64)
        best_P = np.full(len(self.groups.ids), -np.inf)
        np.maximum.at(best_P, self.groups.prompt_N, self.rewards_N)
        labelled_N = (self.rewards_N == best_P[self.groups.prompt_N]) & (self.rewards_N > 0)
        right_P = np.bincount(self.groups.prompt_N[labelled_N], true_N[labelled_N], minlength=len(best_P))
        count_P = np.bincount(self.groups.prompt_N[labelled_N], minlength=len(best_P))
        found["train/accuracy"] = found["seed_grpo/labels/true_accuracy"] = float(true_N.mean())
        found["seed_grpo/labels/label_accuracy"] = float((right_P / np.maximum(count_P, 1)).mean())
        return found

    def records(self) -> list[dict[str, Any]]:
        """One record per prompt, for `prompts.jsonl`."""
        entropy = self.weights.entropy
        return [
            {
                "uid": uid,
                "G": len(rows),
                "K": int(entropy.clusters_P[p]),
                "entropy": float(entropy.entropy_P[p]),
                "max_entropy": float(entropy.max_entropy_P[p]),
                "weight": float(self.weights.weight_P[p]),
                "accuracy": float(self.rewards_N[rows].mean()),
                "answers": [self.answers_N[row] for row in rows],
                "cluster_ids": self.cluster_ids_N[rows].tolist(),
                "rewards": self.rewards_N[rows].tolist(),
            }
            for p, (uid, rows) in enumerate(zip(self.groups.ids, self.groups.rows_P, strict=True))
        ]

    def _half_rewarded_share(self) -> float:
        """Share of clusters whose responses were not all rewarded alike; 0 if rewards use the same keys."""
        seen: dict[tuple[int, int], set[float]] = {}
        for prompt, cluster, reward in zip(
            self.groups.prompt_N.tolist(), self.cluster_ids_N.tolist(), self.rewards_N.tolist(), strict=True
        ):
            if cluster != DROPPED:
                seen.setdefault((prompt, cluster), set()).add(reward)
        return sum(len(rewards) > 1 for rewards in seen.values()) / max(len(seen), 1)


def measure_batch(
    groups: Groups | Sequence[Hashable],
    answers_N: Sequence[str | None],
    cluster_ids_N: ArrayLike,
    rewards_N: ArrayLike,
    settings: MethodSettings,
    *,
    log_probs_N: ArrayLike | None = None,
) -> MeasuredBatch:
    """Weigh the prompts of a batch whose responses are clustered.

    Args:
        groups: the batch's groups, or the prompt of each response; a prompt's responses need not be neighbours.
        answers_N: the final answer of each response, None if there is none; for the records.
        cluster_ids_N: the cluster of each response within its prompt.
        rewards_N: the reward of each response.
        settings: the method's settings.
        log_probs_N: one log-probability per response; only for the mass `likelihood`.
    """
    groups = groups if isinstance(groups, Groups) else Groups.of(groups)
    ids_N = np.asarray(cluster_ids_N, dtype=np.int64)
    weights = prompt_weights(rewards_N, groups, ids_N, settings, log_probs=log_probs_N)
    return MeasuredBatch(groups, answers_N, weights.statistics.rewards_N, ids_N, weights)
