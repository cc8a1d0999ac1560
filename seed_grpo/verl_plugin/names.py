"""The names under which the plugin registers its parts, as a configuration writes them. Imports nothing."""

from __future__ import annotations

ESTIMATOR = "seed_grpo"
RAFT_PP = "raft_pp"
TRAINER_MODES = {
    "seed_grpo_sync": "sync",
    "seed_grpo_colocate_async": "colocate_async",
    "seed_grpo_separate_async": "separate_async",
}
"""Our trainer modes, and the verl mode that each extends."""
REWARD_MANAGER = "seed_grpo"
CPU_PLATFORM = "cpu"
HF_ROLLOUT = "hf"
VLLM_ROLLOUT = "vllm"
"""verl's own rollout, whose replicas and adapters the plugin extends."""
GROUP_ROLLOUT = "seed_grpo.verl_plugin.group_rollout.GroupRolloutManager"
"""Our `rollout.agent.agent_loop_manager_class`."""
STOCK = (
    "algorithm.adv_estimator=grpo",
    "trainer.v1.trainer_mode=sync",
    "trainer.logger=[file]",
    "actor_rollout_ref.rollout.agent.agent_loop_manager_class=null",
    "transfer_queue.backend.storage_backend=SimpleStorage",
)
"""Overrides that leave nothing of the plugin in a run: for `python -m verl.trainer.main_ppo`, to compare with."""
COLUMN_STORAGE = "SeedGrpoColumns"
"""Our storage backend of TransferQueue, in `transfer_queue.backend.storage_backend`."""
