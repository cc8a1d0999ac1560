"""Weights of prompts, and SEED-GRPO advantages: Eq. 1 and Eq. 6 of the paper together.

Deviations and choices, all of them selectable (docs/paper_to_code.md has the reasons):

1. Eq. 5 over counts (`monte_carlo` + `count`) is the default, since it alone of the readings has the three properties
   that the paper claims of its entropy.
2. No division by the standard deviation and none by the length (Dr.GRPO), as in Eq. 1.
3. A response without an answer is a cluster of its own; the paper does not say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.method.entropy import GroupEntropy, group_entropy
from seed_grpo.method.groups import Bools, Floats, Groups
from seed_grpo.method.settings import MethodSettings
from seed_grpo.method.statistics import PromptStatistics
from seed_grpo.method.weighting import exceeds_maximum
from seed_grpo.method.weights import WEIGHTS, product


@dataclass(frozen=True)
class PromptWeights:
    """The uncertainty of each prompt of a batch, and the weight that follows from it.

    Attributes:
        statistics: what is known of each prompt, its clusters and entropy among it.
        weight_by_name: each of the weights that the settings name, shape (P,).
        weight_P: their product; all 1 at alpha 0 with the weight `uncertainty` alone.
        clipped_P: whether the entropy exceeded log G and was taken as log G.
    """

    statistics: PromptStatistics
    weight_by_name: dict[str, Floats]
    weight_P: Floats
    clipped_P: Bools

    @property
    def entropy(self) -> GroupEntropy:
        """Clusters and entropy of each prompt."""
        return self.statistics.entropy


def prompt_weights(
    rewards: ArrayLike,
    groups: Groups,
    cluster_ids: ArrayLike,
    settings: MethodSettings,
    *,
    log_probs: ArrayLike | None = None,
) -> PromptWeights:
    """Entropy and weight of every prompt of a batch of N responses.

    Args:
        rewards: shape (N,), finite.
        groups, cluster_ids, log_probs: as `group_entropy`.
        settings: the method's settings.

    Raises:
        UsageError: rewards of another shape. SeedGrpoError: rewards that are not finite, or that a weight cannot take.
    """
    rewards_N = _as_rewards(rewards, groups)
    entropy = group_entropy(groups, cluster_ids, log_probs=log_probs, estimator=settings.estimator, mass=settings.mass)
    log_probs_N = None if log_probs is None else np.asarray(log_probs, dtype=np.float64)
    statistics = PromptStatistics(groups, rewards_N, entropy, log_probs_N)
    weight_by_name = {name: WEIGHTS[name].of(statistics, settings.parameters_of(name)) for name in settings.weights}
    clipped_P = exceeds_maximum(entropy.entropy_P, entropy.max_entropy_P)
    return PromptWeights(statistics, weight_by_name, product(weight_by_name), clipped_P)


def weighted_advantages(weights: PromptWeights) -> Floats:
    """(r_i − mean of its group's rewards) · w(q), one advantage per response (paper, Eq. 1 and Eq. 6).

    Returns:
        Advantages, shape (N,), to be broadcast over each response's tokens.
    """
    statistics = weights.statistics
    return statistics.deviation_N * weights.weight_P[statistics.groups.prompt_N]


def _as_rewards(rewards: ArrayLike, groups: Groups) -> Floats:
    rewards_N = np.asarray(rewards, dtype=np.float64)
    if rewards_N.shape != groups.prompt_N.shape:
        raise UsageError(
            f"rewards has shape {rewards_N.shape}.", f"give one reward per response, shape {groups.prompt_N.shape}."
        )
    if not np.isfinite(rewards_N).all():
        row = int(np.flatnonzero(~np.isfinite(rewards_N))[0])
        raise SeedGrpoError(f"rewards[{row}] is {rewards_N[row]}.", "every reward must be a finite number.")
    return rewards_N
