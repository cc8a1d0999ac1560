"""SEED-GRPO advantages: Eq. 1 and Eq. 6 of the paper together.

Deviations and choices, all of them selectable (docs/paper_to_code.md has the reasons):

1. Eq. 5 over counts (`monte_carlo` + `count`) is the default, since it alone of the readings has the three properties
   that the paper claims of its entropy.
2. No division by the standard deviation and none by the length (Dr.GRPO), as in Eq. 1.
3. A response without an answer is a cluster of its own; the paper does not say.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.method.entropy import Floats, GroupEntropy, group_entropy
from seed_grpo.method.settings import MethodSettings
from seed_grpo.method.weighting import exceeds_maximum, uncertainty_weight


@dataclass(frozen=True)
class PromptWeights:
    """The uncertainty of each prompt of a batch, and the weight that follows from it.

    Attributes:
        groups: sizes, clusters and entropies per prompt.
        weight_P: f of each prompt; all 1 when the method is switched off.
        clipped_P: where the entropy exceeded log G and was taken as log G.
    """

    groups: GroupEntropy
    weight_P: Floats
    clipped_P: NDArray[np.bool_]

    @property
    def weight_N(self) -> Floats:
        """The weight of each response's prompt, shape (N,)."""
        return self.weight_P[self.groups.prompt_N]


def prompt_weights(
    group_ids: Sequence[Hashable] | NDArray[np.generic],
    cluster_ids: ArrayLike,
    settings: MethodSettings,
    *,
    log_probs: ArrayLike | None = None,
) -> PromptWeights:
    """Entropy and weight of every prompt of a batch of N responses; arguments as `group_entropy`."""
    groups = group_entropy(
        group_ids, cluster_ids, log_probs=log_probs, estimator=settings.estimator, mass=settings.mass
    )
    weight_P = uncertainty_weight(
        groups.entropy_P,
        groups.max_entropy_P,
        alpha=settings.alpha if settings.enabled else 0.0,
        form=settings.form,
        gamma=settings.gamma,
    )
    return PromptWeights(groups, weight_P, exceeds_maximum(groups.entropy_P, groups.max_entropy_P))


def seed_grpo_advantages(
    rewards: ArrayLike,
    group_ids: Sequence[Hashable] | NDArray[np.generic],
    cluster_ids: ArrayLike,
    *,
    log_probs: ArrayLike | None = None,
    **settings: Any,
) -> Floats:
    """(r_i − mean of its group's rewards) · f(q), one advantage a response (paper, Eq. 1 and Eq. 6).

    Args:
        rewards: shape (N,), finite.
        group_ids: the prompt of each response, any hashable, shape (N,); groups may differ in size.
        cluster_ids: the cluster of each response within its prompt, shape (N,).
        log_probs: one log-probability a response, shape (N,); only for `mass="likelihood"`.
        **settings: fields of `MethodSettings` (alpha, form, gamma, estimator, mass, …). Those that act before this
            function (cluster_level, no_answer, length_normalize, grade_level) are checked and change nothing here.

    Returns:
        Advantages, shape (N,), to be broadcast over each response's tokens.

    Raises:
        UsageError: an unknown setting or a value out of range. SeedGrpoError: rewards that are not finite.
    """
    method = MethodSettings.from_config(settings)
    rewards_N = np.asarray(rewards, dtype=np.float64)
    weights = prompt_weights(group_ids, cluster_ids, method, log_probs=log_probs)
    prompt_N = weights.groups.prompt_N
    if rewards_N.shape != prompt_N.shape:
        raise UsageError(
            f"rewards has shape {rewards_N.shape}.", f"give one reward a response, shape {prompt_N.shape}."
        )
    if not np.isfinite(rewards_N).all():
        row = int(np.flatnonzero(~np.isfinite(rewards_N))[0])
        raise SeedGrpoError(f"rewards[{row}] is {rewards_N[row]}.", "every reward must be a finite number.")
    mean_P = np.bincount(prompt_N, weights=rewards_N) / weights.groups.group_size_P
    return (rewards_N - mean_P[prompt_N]) * weights.weight_N
