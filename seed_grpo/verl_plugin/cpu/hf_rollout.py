"""The rollout `hf` for verl: a server actor around transformers' `generate`, for machines without vLLM.

It has the three parts that verl expects of a rollout: the server (`hf_server.HFServer`, a Ray actor), the replica that
starts it (`HFReplica`), and the adapter inside each training rank that sends it new weights (`HFServerAdapter`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import ray
import torch
from torch.distributed.device_mesh import DeviceMesh
from verl.workers.config import HFModelConfig, RolloutConfig
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutMode, RolloutReplica
from verl.workers.rollout.utils import ensure_async_iterator

from seed_grpo.errors import SeedGrpoError
from seed_grpo.verl_plugin.cpu.hf_server import HFServer, server_name
from seed_grpo.verl_plugin.names import HF_ROLLOUT


class HFReplica(RolloutReplica):
    """Starts one `HFServer` on the node of the training rank whose weights it serves."""

    async def launch_servers(self) -> None:
        if self.world_size != 1:
            raise SeedGrpoError(
                f"A server of the hf rollout runs on one rank, and this configuration asks for {self.world_size}.",
                "set rollout.tensor_model_parallel_size, data_parallel_size and pipeline_model_parallel_size to 1.",
            )
        if self.rollout_mode != RolloutMode.HYBRID:
            raise SeedGrpoError(
                "The hf rollout shares the processors of the training ranks, and this trainer mode separates them.",
                "use trainer mode seed_grpo_sync or seed_grpo_colocate_async, or rollout.name=vllm.",
            )
        node_id = await self.workers[0].__ray_call__.remote(lambda worker: ray.get_runtime_context().get_node_id())
        server = start_server(self, node_id)
        await server.__ray_ready__.remote()
        self.servers = [server]
        self._server_handle = server
        self._server_address = server_name(self.replica_rank)


def start_server(replica: HFReplica, node_id: str) -> Any:
    """The server of a replica: a new one, or the one that `start_servers_early` started."""
    return (
        ray.remote(HFServer)
        .options(
            name=server_name(replica.replica_rank),
            get_if_exists=True,
            max_concurrency=replica.max_concurrency,
            scheduling_strategy=ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id, soft=False),
        )
        .remote(replica.config, replica.model_config, replica.replica_rank)
    )


def start_servers_early(config: Any) -> list[Any]:
    """Start the servers while the training ranks start, if both are on this machine; verl would start them afterwards.

    Returns the servers, which live as long as the caller holds them.
    """
    if config.actor_rollout_ref.rollout.name != HF_ROLLOUT or config.trainer.nnodes != 1:
        return []
    node_id = ray.get_runtime_context().get_node_id()
    actor = config.actor_rollout_ref
    return [
        start_server(HFReplica(rank, actor.rollout, actor.model, gpus_per_node=config.trainer.n_gpus_per_node), node_id)
        for rank in range(config.trainer.n_gpus_per_node)
    ]


class HFServerAdapter(BaseRollout):
    """A training rank's view of the rollout: a place to send new weights to."""

    def __init__(
        self, config: RolloutConfig, model_config: HFModelConfig, device_mesh: DeviceMesh, replica_rank: int = -1
    ) -> None:
        super().__init__(config, model_config, device_mesh)
        self._replica_rank = replica_rank if replica_rank >= 0 else int(os.environ["RANK"])
        self._server: Any = None

    @property
    def server_handle(self) -> Any:
        # The server starts after the training ranks, so it is looked up when first needed.
        if self._server is None:
            self._server = ray.get_actor(server_name(self._replica_rank))
        return self._server

    async def resume(self, tags: list[str]) -> None:
        await self.server_handle.wake_up.remote(tags=tags)

    async def release(self) -> None:
        await self.server_handle.sleep.remote()

    async def update_weights(
        self,
        weights: Iterator[tuple[str, torch.Tensor]] | AsyncIterator[tuple[str, torch.Tensor]],
        wire_format: str = "named_tensors",
        global_steps: int | None = None,
        **_: Any,
    ) -> None:
        """Send the weights through Ray's shared memory, in parts of `update_weights_bucket_megabytes`."""
        if wire_format != "named_tensors":
            raise SeedGrpoError(
                f"The hf rollout cannot take weights as {wire_format!r}.",
                "use rollout.checkpoint_engine.backend=naive.",
            )
        limit = self.config.checkpoint_engine.update_weights_bucket_megabytes << 20
        dtype = getattr(torch, self.config.dtype)
        bucket: dict[str, np.ndarray] = {}
        size = 0
        async for name, tensor in ensure_async_iterator(weights):
            # numpy has no bfloat16; float32 holds each of its values.
            array = tensor.detach().to(torch.float32 if dtype == torch.bfloat16 else dtype).cpu().numpy()
            if bucket and size + array.nbytes > limit:
                await self.server_handle.load_weights.remote(bucket, last=False)
                bucket, size = {}, 0
            bucket[name] = array
            size += array.nbytes
        await self.server_handle.load_weights.remote(bucket, last=True)
        if global_steps is not None:
            await self.server_handle.set_global_steps.remote(global_steps)
