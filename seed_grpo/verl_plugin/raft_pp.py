"""The advantage estimator `raft_pp` of the baseline RAFT++: what verl's own estimators cannot express."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def compute_raft_pp_advantage(
    token_level_rewards: torch.Tensor, response_mask: torch.Tensor, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages and returns of RAFT++ (arXiv 2504.11343): 1 on a right answer's tokens, 0 on all others.

    There is no baseline and no division: wrong answers are left out, whatever their group.

    Args:
        token_level_rewards: shape (N, T); their sum over T is 0 or 1.
        response_mask: 1 on the tokens of the response, shape (N, T).
    """
    right_N = token_level_rewards.sum(dim=-1, keepdim=True) > 0
    advantages = right_N * response_mask.to(token_level_rewards.dtype)
    return advantages, advantages
