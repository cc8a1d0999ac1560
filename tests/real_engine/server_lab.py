"""verl's vLLM server and our adapter for it, without training: `python server_lab.py CONFIG.yaml FOLDER` writes
FOLDER/found.json for test_vllm_server.py. One start of the engine for all of it; the last experiments end the engine.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

PROMPTS = ["1+1=", "2+3=", "14+5=", "27+38=", "9+9=", "40+2="]
SESSIONS = 8
LONG = {"temperature": 1.0, "top_p": 1.0, "logprobs": True, "ignore_eos": True, "max_tokens": 1000}


def main(config_path: str, folder: Path) -> None:
    from omegaconf import OmegaConf

    config: Any = OmegaConf.load(config_path)
    env_vars = dict(config.ray_kwargs.ray_init.runtime_env.env_vars)
    os.environ.update({name: str(value) for name, value in env_vars.items()})
    os.environ.update(RANK="0", RAY_LOCAL_WORLD_SIZE="1")
    import ray
    import verl  # noqa: F401

    ray.init(num_cpus=8, include_dashboard=False, _temp_dir=str(folder / "r"), log_to_driver=False)
    try:
        found = asyncio.run(Lab(config.actor_rollout_ref, folder).run())
        (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")
    finally:
        ray.shutdown()


class Lab:
    def __init__(self, config: Any, folder: Path) -> None:
        import ray
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from verl.utils.config import omega_conf_to_dataclass
        from verl.workers.rollout.replica import RolloutMode
        from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer

        from seed_grpo.verl_plugin.weight_sync import VLLMServerAdapter

        self.folder = folder
        self.path = config.model.path
        self.limit = config.rollout.max_model_len
        self.tokenizer = AutoTokenizer.from_pretrained(self.path)
        self.model = AutoModelForCausalLM.from_pretrained(self.path, dtype="float32")
        server: Any = ray.remote(vLLMHttpServer).options(name="vllm_server_0_0", max_concurrency=100)
        self.server = server.remote(
            config=config.rollout, model_config=config.model, rollout_mode=RolloutMode.HYBRID, workers=[],
            replica_rank=0, node_rank=0, gpus_per_node=1, nnodes=1, cuda_visible_devices="",
        )  # fmt: skip
        ray.get(self.server.launch_server.remote())
        self.address = ":".join(map(str, ray.get(self.server.get_server_address.remote())))
        self.adapter = VLLMServerAdapter(
            omega_conf_to_dataclass(config.rollout), omega_conf_to_dataclass(config.model), None, replica_rank=0
        )
        self.requests = 0

    async def run(self) -> dict[str, Any]:
        found = {}
        for experiment in (self.greedy, self.seeds, self.too_long, self.aborted, self.updated, self.refused,
                           self.stalled, self.killed):  # fmt: skip
            found[experiment.__name__] = await experiment()
            print(experiment.__name__, "done", flush=True)
        return found

    async def ask(self, prompt: str | list[int], **sampling: Any) -> Any:
        self.requests += 1
        prompt_ids = self.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
        return await self.server.generate.remote(
            prompt_ids=prompt_ids, sampling_params=sampling, request_id=f"r{self.requests}"
        )

    async def greedy(self) -> dict[str, Any]:
        """Greedy responses of vLLM and of the hf rollout's engine."""
        from seed_grpo.engines.generation_config import end_token_ids
        from seed_grpo.engines.hf import HFEngine
        from seed_grpo.engines.sampling import Sampling

        ends = end_token_ids(self.path, self.tokenizer)
        engine = HFEngine(self.model, ends, self.tokenizer.pad_token_id, 64)
        prompts = [self.tokenizer.encode(prompt) for prompt in PROMPTS]
        theirs = await asyncio.gather(*[self.ask(p, temperature=0.0, logprobs=True, max_tokens=16) for p in prompts])
        ours = engine.generate(prompts, Sampling(16, 0.0), seed=0)
        return {
            "vllm": [[list(each.token_ids), each.log_probs] for each in theirs],
            "hf": [[each.token_ids, each.log_probs] for each in ours],
        }

    async def seeds(self) -> dict[str, Any]:
        """A group with one seed for all, and twice with the seeds that the group rollout sends."""
        from seed_grpo.verl_plugin.request_seeds import request_seed

        prompt = self.tokenizer.encode("27+38=")

        async def group(seeds: list[int]) -> list[list[int]]:
            asked = [self.ask(prompt, temperature=1.0, max_tokens=16, seed=seed) for seed in seeds]
            return [list(each.token_ids) for each in await asyncio.gather(*asked)]

        own = [request_seed(1, 1, prompt, session) for session in range(SESSIONS)]
        return {"one": await group([7] * SESSIONS), "own": await group(own), "again": await group(own)}

    async def too_long(self) -> str:
        return await self._error(lambda: self.ask([5] * self.limit, temperature=1.0))

    async def aborted(self) -> dict[str, Any]:
        """Requests under way when the server is told to stop, one that comes then, and what it does afterwards."""
        running = [asyncio.ensure_future(self.ask(prompt, **LONG)) for prompt in PROMPTS]
        await asyncio.sleep(1.0)
        report = await self.server.abort_all_requests.remote()
        stopped = await asyncio.gather(*running)
        late = asyncio.ensure_future(self.ask("1+1=", temperature=0.0, max_tokens=4))
        await asyncio.sleep(0.5)
        waited = not late.done()
        await self.server.resume_generation.remote()
        return {
            "report": report["aborted_count"],
            "stopped": [[each.stop_reason, len(each.token_ids), len(each.log_probs or [])] for each in stopped],
            "waited": waited,
            "late": len((await late).token_ids),
        }

    async def updated(self) -> dict[str, Any]:
        """New weights, in more than one part: what both engines say greedily with the old and the new ones."""
        import torch

        before = (await self.greedy())["vllm"]
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        await self.adapter.update_weights(iter(list(self._weights())), global_steps=3)
        after = await self.greedy()
        reply = await self.ask("1+1=", temperature=0.0)
        return {**after, "before": before, "step": reply.extra_fields["global_steps"]}

    async def refused(self) -> dict[str, Any]:
        """An update with a weight that the model does not have; then a good one."""
        bad = [("model.layers.0.no_such_layer.weight", next(iter(self._weights()))[1])]
        result = await self._timed(lambda: self.adapter.update_weights(iter(bad), global_steps=4))
        await self.adapter.update_weights(iter(list(self._weights())), global_steps=4)
        return {**result, "step_afterwards": (await self.ask("1+1=", temperature=0.0)).extra_fields["global_steps"]}

    async def stalled(self) -> dict[str, Any]:
        """A worker of vLLM that takes no weights, and does not end either."""
        os.environ["SEED_GRPO_WEIGHT_SYNC_SECONDS"] = "3"
        worker = self._process("VLLM::Worker")
        os.kill(worker, signal.SIGSTOP)
        try:
            return await self._timed(lambda: self.adapter.update_weights(iter(list(self._weights())), global_steps=5))
        finally:
            os.kill(worker, signal.SIGCONT)
            os.environ["SEED_GRPO_WEIGHT_SYNC_SECONDS"] = "100"

    async def killed(self) -> dict[str, Any]:
        """The engine killed with a request under way: what request, update and look at its health say."""
        from seed_grpo.verl_plugin.engine_health import dead_engine

        before = dead_engine(self.address)
        running = asyncio.ensure_future(self.ask("1+1=", **LONG))
        await asyncio.sleep(0.5)
        os.kill(self._process("VLLM::EngineCore"), signal.SIGKILL)
        request = await self._error(lambda: running)
        update = await self._timed(lambda: self.adapter.update_weights(iter(list(self._weights())), global_steps=6))
        return {"before": before, "request": request, "update": update, "health": dead_engine(self.address)}

    def _weights(self) -> Any:
        return ((name, value.detach().clone()) for name, value in self.model.state_dict().items())

    def _process(self, title: str) -> int:
        import psutil

        found = []
        for process in psutil.process_iter():
            try:
                # By its log in Ray's folder: the title has overwritten command line and environment.
                if title in " ".join(process.cmdline()) and any(
                    file.path.startswith(str(self.folder)) for file in process.open_files()
                ):
                    found.append(process.pid)
            except psutil.Error:
                continue
        [pid] = found
        return pid

    async def _error(self, work: Callable[[], Awaitable[Any]]) -> str:
        try:
            await work()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "no error"

    async def _timed(self, work: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
        start = time.monotonic()
        return {"error": await self._error(work), "seconds": time.monotonic() - start}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
