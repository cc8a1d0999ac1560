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
from seed_grpo.method.weighting import exceeds_maximum, uncertainty_weight


@dataclass(frozen=True)
class PromptWeights:
    """The uncertainty of each prompt of a batch, and the weight that follows from it.

    Attributes:
        entropy: clusters and entropy of each prompt.
        weight_P: f of each prompt; all 1 at alpha 0.
        clipped_P: whether the entropy exceeded log G and was taken as log G.
    """

    entropy: GroupEntropy
    weight_P: Floats
    clipped_P: Bools


def prompt_weights(
    groups: Groups, cluster_ids: ArrayLike, settings: MethodSettings, *, log_probs: ArrayLike | None = None
) -> PromptWeights:
    """Entropy and weight of every prompt of a batch of N responses; arguments as `group_entropy`."""
    entropy = group_entropy(groups, cluster_ids, log_probs=log_probs, estimator=settings.estimator, mass=settings.mass)
    weight_P = uncertainty_weight(
        entropy.entropy_P, entropy.max_entropy_P, alpha=settings.alpha, form=settings.form, gamma=settings.gamma
    )
    return PromptWeights(entropy, weight_P, exceeds_maximum(entropy.entropy_P, entropy.max_entropy_P))


def weighted_advantages(rewards: ArrayLike, groups: Groups, weight_P: Floats) -> Floats:
    """(r_i − mean of its group's rewards) · w(q), one advantage per response (paper, Eq. 1 and Eq. 6).

    Args:
        rewards: shape (N,), finite.
        groups: the prompts of the N responses; groups may differ in size.
        weight_P: the weight of each prompt.

    Returns:
        Advantages, shape (N,), to be broadcast over each response's tokens.

    Raises:
        UsageError: rewards of another shape. SeedGrpoError: rewards that are not finite.
    """
    rewards_N = np.asarray(rewards, dtype=np.float64)
    prompt_N = groups.prompt_N
    if rewards_N.shape != prompt_N.shape:
        raise UsageError(
            f"rewards has shape {rewards_N.shape}.", f"give one reward per response, shape {prompt_N.shape}."
        )
    if not np.isfinite(rewards_N).all():
        row = int(np.flatnonzero(~np.isfinite(rewards_N))[0])
        raise SeedGrpoError(f"rewards[{row}] is {rewards_N[row]}.", "every reward must be a finite number.")
    return (rewards_N - groups.mean(rewards_N)[prompt_N]) * weight_P[prompt_N]
