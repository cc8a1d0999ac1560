"""The estimator of the baseline RAFT++."""

from __future__ import annotations

import torch

from seed_grpo.verl_plugin.raft_pp import compute_raft_pp_advantage


def test_right_answers_alone_are_learned_from() -> None:
    rewards = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 0]])
    advantages, returns = compute_raft_pp_advantage(token_level_rewards=rewards, response_mask=mask, index=None)
    assert advantages.tolist() == [[1, 1, 1], [0, 0, 0], [1, 1, 0]]
    assert advantages.dtype == rewards.dtype
    assert returns is advantages


def test_a_group_that_is_all_right_still_counts() -> None:
    """Unlike every group-relative estimator."""
    advantages, _ = compute_raft_pp_advantage(torch.ones(4, 1), torch.ones(4, 1))
    assert advantages.tolist() == [[1.0]] * 4
