"""One batch of prompts through both rollout paths, over the same real parts: Ray, TransferQueue, verl's client and load
balancer, the hf server. `python rollout_paths.py CONFIG.yaml FOLDER` writes FOLDER/rows.json for test_rollout_paths.py.

Rows are read back from TransferQueue as the trainer reads them, after its own advantage step. The paths:

* `verl`: verl's agent loop, a request a response;
* `group`: whole batches straight to the server;
* `client`: whole groups through verl's client, as they go to vLLM's servers.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

PROMPTS = 6
WAIT_SECONDS = 180
CASES = ("greedy", "sampled", "validation", "one without a gold answer")


def main(config_path: str, folder: Path) -> None:
    from omegaconf import OmegaConf, open_dict

    config: Any = OmegaConf.load(config_path)
    os.environ.update({name: str(value) for name, value in config.ray_kwargs.ray_init.runtime_env.env_vars.items()})
    import ray
    import transfer_queue as tq
    import verl  # noqa: F401
    from verl.trainer.ppo.v1 import AgentLoopManagerTQ
    from verl.utils.config import validate_config

    from seed_grpo.verl_plugin.group_rollout import GroupRolloutManager

    with open_dict(config):
        config.transfer_queue.enable = True
    OmegaConf.resolve(config)
    validate_config(config=config, use_reference_policy=False, use_critic=False)
    ray.init(num_cpus=16, include_dashboard=False, _temp_dir=str(folder / "r"), log_to_driver=False,
             runtime_env={"env_vars": dict(config.ray_kwargs.ray_init.runtime_env.env_vars)})  # fmt: skip
    try:
        tq.init(config.transfer_queue)
        # With these the manager goes through the client, and the client sends what only vLLM understands.
        by_client = config.copy()
        by_client.actor_rollout_ref.rollout.name = "vllm"
        by_client.trainer.v1.trainer_mode = "seed_grpo_colocate_async"
        lab = Lab(config, by_client, folder)
        workers = lab.reward_workers()
        managers = {
            "verl": AgentLoopManagerTQ.create(
                config=config, llm_client=lab.client("verl"), reward_loop_worker_handles=workers
            ),
            "group": GroupRolloutManager.create(config, lab.client("group"), None, workers),
            "client": GroupRolloutManager.create(by_client, lab.client("client"), None, workers),
        }
        batch = lab.prompts(PROMPTS)
        results: dict[str, Any] = {}
        for case in CASES:
            results[case] = {path: lab.run(case, manager, batch) for path, manager in managers.items()}
        results["calls"] = {path: lab.calls(path) for path in managers}
        (folder / "rows.json").write_text(json.dumps(results), encoding="utf-8")
    finally:
        tq.close()
        ray.shutdown()


class Lab:
    """The parts of a run that a rollout touches, without the training workers."""

    def __init__(self, config: Any, client_config: Any, folder: Path) -> None:
        import ray
        from verl.workers.rollout.router import get_router_handle

        from seed_grpo.runs.records import RunRecords
        from seed_grpo.verl_plugin.cpu.hf_server import server_name
        from seed_grpo.verl_plugin.trainer import SeedGrpoTrainerSync

        self.config, self.client_config, self.folder = config, client_config, folder
        rollout, model = config.actor_rollout_ref.rollout, config.actor_rollout_ref.model
        name = server_name(0)
        self.server = ray.remote(_server_class()).options(name=name, max_concurrency=1000).remote(rollout, model, 0)
        self.balancer = get_router_handle({name: self.server}, full_determinism=rollout.full_determinism)
        self.trainer = SeedGrpoTrainerSync(config)
        self.trainer._init_tokenizer()
        self.trainer._init_dataloader()
        self.trainer.records = RunRecords(config.trainer.default_local_dir)

    def client(self, path: str) -> Any:
        log = str(self.folder / path)
        return _client_class()(config=self.client_config, load_balancer_handle=self.balancer, log=log)

    def calls(self, path: str) -> list[dict[str, Any]]:
        log = self.folder / path
        return [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []

    def reward_workers(self) -> Any:
        from verl.experimental.reward_loop import RewardLoopManager

        self.reward_manager = RewardLoopManager(self.config)
        return self.reward_manager.reward_loop_worker_handles

    def prompts(self, n: int) -> Any:
        from tensordict import NonTensorData, NonTensorStack

        self.trainer.global_steps = 1
        batch = self.trainer._next_train_batch()[:n]
        batch["priority"] = NonTensorStack(*[NonTensorData(7 + i) for i in range(n)])
        return batch

    def run(self, case: str, manager: Any, batch: Any) -> list[dict[str, Any]]:
        """The rows that a path leaves in TransferQueue for the batch."""
        import ray
        from tensordict import NonTensorData, NonTensorStack
        from verl.utils import tensordict_utils as tu

        # The server's random state depends on the step and on what was asked in it, not on earlier steps.
        ray.get(self.server.set_global_steps.remote(1))
        self.trainer.agent_loop_manager = manager
        partition = "val" if case == "validation" else "train"
        batch = batch.clone()
        if case == "greedy":
            tu.assign_non_tensor_data(batch, "__do_sample__", False)
        if case == "validation":
            tu.assign_non_tensor_data(batch, "validate", True)
            tu.assign_non_tensor_data(batch, "__rollout_n__", 2)
        if case == "one without a gold answer":
            golds = [plain(value) for value in batch["reward_model"]]
            batch["reward_model"] = NonTensorStack(*[NonTensorData(gold if i else {}) for i, gold in enumerate(golds)])
        if case != "sampled":
            self._submit(batch, partition)
            return self._take(batch, partition)
        rows = []
        for i in range(len(batch)):
            # The server seeds a batch by its content. On verl's path responses come one by one, and what shares a batch
            # is chance, unless the server starts when all requests are there.
            part = batch[i : i + 1].clone()
            gated = not getattr(manager, "_servers", [])
            if gated:
                ray.get(self.server.abort_all_requests.remote())
            self._submit(part, partition)
            if gated:
                self._open_gate(self.config.actor_rollout_ref.rollout.n)
            rows += self._take(part, partition)
        return rows

    def _submit(self, batch: Any, partition: str) -> None:
        import transfer_queue as tq

        tag = {"is_prompt": True, "status": "pending", "global_steps": 1}
        tq.kv_batch_put(keys=list(batch["uid"]), partition_id=partition, tags=[tag] * len(batch))
        self.trainer.agent_loop_manager.generate_sequences(batch)

    def _open_gate(self, requests: int) -> None:
        import ray

        deadline = time.monotonic() + WAIT_SECONDS
        while ray.get(self.server.waiting.remote()) < requests:
            if time.monotonic() > deadline:
                raise TimeoutError("the requests do not arrive at the server")
            time.sleep(0.05)
        ray.get(self.server.resume_generation.remote())

    def _take(self, batch: Any, partition: str) -> list[dict[str, Any]]:
        import transfer_queue as tq

        sampled, _ = self.trainer.replay_buffer.sample(global_steps=1, partition_id=partition, batch_size=len(batch))
        if partition == "train":
            self.trainer._compute_old_log_prob(sampled, {})
            self.trainer._compute_advantage(sampled, {})
        data = tq.kv_batch_get(keys=sampled.keys, partition_id=partition)
        rows = [
            {"key": key, "tag": tag, "fields": {name: plain(data[name][i]) for name in data.keys()}}  # noqa: SIM118
            for i, (key, tag) in enumerate(zip(sampled.keys, sampled.tags, strict=True))
        ]
        tq.kv_clear(keys=sampled.keys, partition_id=partition)
        return rows


def _server_class() -> type:
    from seed_grpo.verl_plugin.cpu.hf_server import HFServer

    class Server(HFServer):
        """Reports of vLLM's that the hf server has no use for, and how many requests wait at its gate."""

        async def generate(self, *args: Any, **kwargs: Any) -> Any:
            output = await super().generate(*args, **kwargs)
            output.num_preempted = 2
            output.extra_fields["num_cached_tokens"] = len(kwargs["prompt_ids"])
            return output

        async def waiting(self) -> int:
            return len(self._open._waiters)  # type: ignore[attr-defined]

    return Server


def _client_class() -> type:
    from verl.workers.rollout.llm_server import LLMServerClient

    class Client(LLMServerClient):
        """verl's client, which also writes down what it was asked, and what the server was."""

        def __init__(self, *args: Any, log: str, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._log = log

        async def _acquire_server(self, request_id: str, **extra: Any) -> Any:
            name, server = await super()._acquire_server(request_id, **extra)
            return name, _Recorder(server, self._log, request_id, extra)

    return Client


class _Recorder:
    """A server's handle that records the calls of `generate`."""

    def __init__(self, server: Any, log: str, request_id: str, routing: dict[str, Any]) -> None:
        self._server, self._log = server, log
        self._asked = {"request_id": request_id, "routing": routing}

    @property
    def generate(self) -> Any:
        return self

    def remote(self, **arguments: Any) -> Any:
        with open(self._log, "a") as log:
            log.write(json.dumps(plain({**self._asked, "arguments": arguments})) + "\n")
        return self._server.generate.remote(**arguments)


def plain(value: Any) -> Any:
    """As JSON holds it; tensors with their type and shape."""
    value = getattr(value, "data", value) if type(value).__name__ == "NonTensorData" else value
    if isinstance(value, torch.Tensor):
        return {"dtype": str(value.dtype), "shape": list(value.shape), "values": value.tolist()}
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
