"""SEED-GRPO advantages from clusters and rewards, as one function."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seed_grpo.method.advantage import prompt_weights, weighted_advantages
from seed_grpo.method.groups import Floats, Groups
from seed_grpo.settings import Settings


def seed_grpo_advantages(
    rewards: ArrayLike,
    group_ids: Sequence[Hashable] | NDArray[np.generic],
    cluster_ids: ArrayLike,
    *,
    log_probs: ArrayLike | None = None,
    **settings: Any,
) -> Floats:
    """(r_i − mean of its group's rewards) · w(q), one advantage per response (paper, Eq. 1 and Eq. 6).

    Args:
        rewards: shape (N,), finite.
        group_ids: the prompt of each response, any hashable, shape (N,); groups may differ in size.
        cluster_ids: the cluster of each response within its prompt, shape (N,).
        log_probs: one log-probability per response, shape (N,); only for `mass="likelihood"`.
        **settings: fields of `seed_grpo.settings.Settings` (weights, alpha, form, estimator, mass, …). Those that act
            before this function (meaning, no_answer, length_normalize, grade_level) are checked, no more.

    Returns:
        Advantages, shape (N,), to be broadcast over each response's tokens.

    Raises:
        UsageError: an unknown setting or a value out of range. SeedGrpoError: rewards that are not finite.
    """
    chosen = Settings.from_config(settings)
    groups = Groups.of(group_ids)
    return weighted_advantages(prompt_weights(rewards, groups, cluster_ids, chosen, log_probs=log_probs))
