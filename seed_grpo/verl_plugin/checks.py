"""What the plugin demands of a configuration; needs neither verl nor torch, so that a launcher can ask first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seed_grpo.errors import UsageError
from seed_grpo.verl_plugin.names import ESTIMATOR

if TYPE_CHECKING:
    from omegaconf import DictConfig


def check_group_size(config: DictConfig) -> None:
    """Check that SEED-GRPO has responses to compare.

    Raises:
        UsageError: the estimator is `seed_grpo`, and a prompt gets fewer than two responses.
    """
    n = config.actor_rollout_ref.rollout.n
    if config.algorithm.adv_estimator == ESTIMATOR and n < 2:
        raise UsageError(
            f"SEED-GRPO compares the responses to a prompt, and actor_rollout_ref.rollout.n is {n}.",
            "set actor_rollout_ref.rollout.n to 2 or more; the paper uses 8 and 16.",
        )
