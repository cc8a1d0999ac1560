"""What stock verl needs to be measured on a CPU at its best; verl loads it as `trainer.v1.sampler.custom_sampler`.

Trainer, agent loop, reward loop and TransferQueue are verl's own. Two things are not:

* verl's replay buffer looks for finished rollouts every 2 s, and no setting changes that: its sampler is the one below;
* its worker asks torch for a process group `cpu:gloo,cpu:gloo`, which torch refuses: ours makes the group first.
"""

from __future__ import annotations

from typing import Any

import ray
from verl.trainer.ppo.utils import Role
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from seed_grpo.verl_plugin.cpu.worker import CPUActorRolloutRefWorker

POLL_SECONDS = 0.02


class QuickReplayBuffer(ReplayBuffer):
    """verl's replay buffer, which looks oftener."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, poll_interval=POLL_SECONDS)


_init_resource_pool_mgr = PPOTrainerSync._init_resource_pool_mgr


def _with_cpu_worker(self: PPOTrainerSync) -> None:
    _init_resource_pool_mgr(self)
    worker: Any = ray.remote(CPUActorRolloutRefWorker)
    self.role_worker_mapping |= {role: worker for role in self.role_worker_mapping if role != Role.Critic}


PPOTrainerSync._init_resource_pool_mgr = _with_cpu_worker
