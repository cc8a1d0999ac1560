"""The advantage estimator `seed_grpo`: verl's own GRPO advantages times the weight of the prompt (paper, Eq. 6).

verl hands an estimator rewards, mask and group ids, but neither answers nor keys. The trainer measures the
uncertainty first and leaves the weights in a context variable for the length of verl's call. Without it the estimator
raises: there is no silent plain GRPO.

Since the advantages come from verl's `grpo` path itself (final output of each session, padding, standard deviation),
weight 1 gives bit-identical advantages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seed_grpo.errors import SeedGrpoError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class BatchWeights:
    """The weight of each row's prompt, in the order of the batch that verl hands to the estimator.

    Attributes:
        keys: TransferQueue keys `{uid}_{session}_{index}` of the rows, length N.
        weight_N: weight of each row's prompt, shape (N,); 1 for padding rows.
    """

    keys: Sequence[str]
    weight_N: np.ndarray


_weights: ContextVar[BatchWeights | None] = ContextVar("seed_grpo_weights", default=None)


@contextmanager
def batch_weights(weights: BatchWeights) -> Iterator[None]:
    """Make `weights` known to the estimator within the block."""
    token = _weights.set(weights)
    try:
        yield
    finally:
        _weights.reset(token)


def compute_seed_grpo_advantage(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    config: Any,
    index: np.ndarray,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages and returns, each of shape (N, T) as the mask (verl's estimator interface).

    Args:
        token_level_rewards: shape (N, T).
        response_mask: 1 on the tokens of the response, shape (N, T).
        config: verl's `algorithm` node; `norm_adv_by_std_in_grpo` is read.
        index: the uid of each row, shape (N,).

    Raises:
        SeedGrpoError: no weights are known, or they belong to another batch.
    """
    import torch
    from verl.protocol import DataProto
    from verl.trainer.ppo.core_algos import AdvantageEstimator
    from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

    weights = _weights.get()
    if weights is None:
        raise SeedGrpoError(
            "The advantage estimator seed_grpo got no answer clusters: the trainer that measures them is not in use.",
            "set trainer.v1.trainer_mode=seed_grpo_sync (or another seed_grpo_ mode), or algorithm.adv_estimator=grpo.",
        )
    if len(weights.keys) != len(index):
        raise SeedGrpoError(
            f"The estimator got {len(index)} rows, but the weights of {len(weights.keys)}.",
            "report this with your configuration: a batch was changed between measuring and weighting.",
        )
    data = DataProto.from_dict(
        tensors={"token_level_rewards": token_level_rewards, "response_mask": response_mask},
        non_tensors={"uid": index},
    )
    data = compute_advantage_for_multi_trajectories(
        data,
        batch_keys=list(weights.keys),
        adv_estimator=AdvantageEstimator.GRPO,
        norm_adv_by_std_in_grpo=config.get("norm_adv_by_std_in_grpo", True),
        config=config,
    )
    advantages = data.batch["advantages"]
    scaled = advantages * torch.as_tensor(weights.weight_N, dtype=advantages.dtype).unsqueeze(-1)
    return scaled, scaled
