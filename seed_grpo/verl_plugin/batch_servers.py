"""The rollout servers that take whole shares of a batch, and how a batch is shared among them."""

from __future__ import annotations

from typing import Any, TypeVar

import ray
from omegaconf import DictConfig

from seed_grpo.verl_plugin.names import HF_ROLLOUT, VLLM_ROLLOUT

Row = TypeVar("Row")
SHARES = 8
"""For each vLLM server. It decodes all of them at once, and each is graded and stored while others are decoded."""


def find_servers(config: DictConfig) -> list[Any]:
    """The servers with `generate_batch`; empty if rollouts go through verl's client, response by response.

    Only the client resumes responses that a weight update interrupted, as they are in asynchronous training.
    """
    rollout = config.actor_rollout_ref.rollout
    if config.trainer.v1.trainer_mode != "seed_grpo_sync":
        return []
    ranks = config.trainer.nnodes * config.trainer.n_gpus_per_node
    if rollout.name == HF_ROLLOUT:
        from seed_grpo.verl_plugin.cpu.hf_server import server_name

        return [ray.get_actor(server_name(rank)) for rank in range(ranks)]
    if rollout.name == VLLM_ROLLOUT and not rollout.disaggregation.enabled:
        size = rollout.tensor_model_parallel_size * rollout.data_parallel_size * rollout.pipeline_model_parallel_size
        # The names that verl's replica gives; a replica on several nodes is asked at its first.
        return [ray.get_actor(f"vllm_server_{replica}_0") for replica in range(ranks // size)]
    return []


def shares_of(rows: list[Row], n: int, servers: int, rollout: DictConfig) -> list[list[Row]]:
    """A batch of prompts in shares, to be sent to the servers in turn.

    Args:
        rows: the prompts.
        n: responses to each.
        servers: how many servers there are.
        rollout: verl's `rollout` node.
    """
    if rollout.name == HF_ROLLOUT:
        # No more at once than a server decodes at once: while it decodes the next ones, the last ones are stored.
        size = min(-(-len(rows) // servers), max(rollout.max_num_seqs // n, 1))
    else:
        size = -(-len(rows) // (servers * SHARES))
    return [rows[start : start + size] for start in range(0, len(rows), size)]
