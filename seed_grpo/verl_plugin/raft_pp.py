"""The advantage estimator `raft_pp` for the baseline RAFT++, which verl's own estimators cannot express."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def compute_raft_pp_advantage(
    token_level_rewards: torch.Tensor, response_mask: torch.Tensor, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages and returns of RAFT++ (arXiv 2504.11343): 1 on the tokens of a right answer, 0 elsewhere.

    There is no baseline and no normalisation: wrong answers are left out, whatever group they belong to.

    Args:
        token_level_rewards: shape (N, T); their sum over T is 0 or 1.
        response_mask: 1 on the tokens of the response, shape (N, T).
    """
    right_N = token_level_rewards.sum(dim=-1, keepdim=True) > 0
    advantages = right_N * response_mask.to(token_level_rewards.dtype)
    return advantages, advantages
