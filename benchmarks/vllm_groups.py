"""How groups reach vLLM: a Ray call per response, shares of a batch in one call, or one request per group (n = G).

`python benchmarks/vllm_groups.py --model MODEL` runs in the environment with vLLM (make_vllm_environment), on a CPU. It
starts verl's server once and times each way at each size, after a warm-up of its own. Without --model it makes one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

SIZES = {"32x8 short": (32, 8, 6, 12), "128x8, prompts of 200, responses of 256": (128, 8, 200, 256)}
"""Prompts, responses to each, tokens of a prompt, tokens of a response."""
SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "repetition_penalty": 1.0, "logprobs": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", default="0,1", help="which of the two sizes")
    parser.add_argument("--max-num-seqs", type=int, default=128)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sg-", dir="/tmp") as scratch:
        model = options.model or Path(scratch) / "model"
        if options.model is None:
            from seed_grpo.quickstart.model import build_model

            build_model(model)
        results = run(model, Path(scratch), options)
    for size, ways in results.items():
        print(size)
        for way, seconds in ways.items():
            shown = ", ".join(f"{each:.2f}" for each in seconds)
            print(f"  {way:32} median {statistics.median(seconds):6.2f} s   ({shown})")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def run(model: Path, scratch: Path, options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    from omegaconf import OmegaConf

    from seed_grpo.training.compose import compose_config

    config: Any = compose_config(
        ["experiment=quickstart", "platform=cpu_vllm", f"actor_rollout_ref.model.path={model}",
         f"actor_rollout_ref.rollout.max_num_seqs={options.max_num_seqs}", "data.max_prompt_length=200",
         "data.max_response_length=256"]
    )  # fmt: skip
    config = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    os.environ.update({name: str(value) for name, value in config.ray_kwargs.ray_init.runtime_env.env_vars.items()})
    import ray
    import verl  # noqa: F401

    ray.init(num_cpus=8, include_dashboard=False, _temp_dir=str(scratch / "r"), log_to_driver=False)
    try:
        server = start_server(config.actor_rollout_ref)
        chosen = [list(SIZES)[int(number)] for number in options.sizes.split(",")]
        return {size: asyncio.run(time_ways(server, *SIZES[size], rounds=options.rounds)) for size in chosen}
    finally:
        ray.shutdown()


def start_server(config: Any) -> Any:
    import ray
    from verl.workers.rollout.replica import RolloutMode

    server: Any = ray.remote(server_class()).options(max_concurrency=2000)
    server = server.remote(
        config=config.rollout, model_config=config.model, rollout_mode=RolloutMode.HYBRID, workers=[], replica_rank=0,
        node_rank=0, gpus_per_node=1, nnodes=1, cuda_visible_devices="",
    )  # fmt: skip
    ray.get(server.launch_server.remote())
    return server


def server_class() -> type:
    from seed_grpo.verl_plugin.vllm_groups import GroupHttpServer

    class Server(GroupHttpServer):
        """Also takes a group as one request of vLLM's."""

        async def generate_groups(self, prompts: list[list[int]], n: int, max_tokens: int) -> list[list[int]]:
            from vllm import SamplingParams
            from vllm.inputs import TokensPrompt
            from vllm.sampling_params import RequestOutputKind

            async def one(prompt_ids: list[int]) -> list[list[int]]:
                final: Any = None
                params = SamplingParams(
                    n=n, temperature=1.0, max_tokens=max_tokens, ignore_eos=True, logprobs=0,
                    output_kind=RequestOutputKind.FINAL_ONLY,  # otherwise each output holds only some of the n
                )  # fmt: skip
                async for output in self.engine.generate(
                    TokensPrompt(prompt_token_ids=prompt_ids), params, uuid4().hex
                ):
                    final = output
                return [list(each.token_ids) for each in final.outputs]

            return [ids for group in await asyncio.gather(*map(one, prompts)) for ids in group]

    return Server


async def time_ways(
    server: Any, prompts: int, n: int, prompt_tokens: int, response_tokens: int, *, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each way to have n responses to each prompt, in turn, round by round."""
    sampling = {**SAMPLING, "max_tokens": response_tokens, "ignore_eos": True}

    def batch(number: int) -> list[list[int]]:
        return [[33 + (number + 7 * i + 11 * j) % 90 for j in range(prompt_tokens)] for i in range(prompts)]

    async def by_response(rows: list[list[int]]) -> int:
        asked = [
            server.generate.remote(prompt_ids=row, sampling_params=dict(sampling), request_id=uuid4().hex)
            for row in rows
            for _ in range(n)
        ]
        return sum(len(each.token_ids) for each in await asyncio.gather(*asked))

    def in_shares(shares: int) -> Callable[[list[list[int]]], Awaitable[int]]:
        async def work(rows: list[list[int]]) -> int:
            size = -(-len(rows) // shares)
            asked = []
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                names = [{"request_id": uuid4().hex} for _ in range(len(part) * n)]
                asked.append(server.generate_batch.remote(part, sampling, n, names))
            return sum(len(each.token_ids) for share in await asyncio.gather(*asked) for each in share)

        return work

    async def as_groups(rows: list[list[int]]) -> int:
        size = -(-len(rows) // 8)
        asked = [
            server.generate_groups.remote(rows[start : start + size], n, response_tokens)
            for start in range(0, len(rows), size)
        ]
        return sum(len(ids) for share in await asyncio.gather(*asked) for ids in share)

    ways = {
        "a Ray call for each response": by_response,
        "8 shares": in_shares(8),
        "1 share": in_shares(1),
        "8 shares, groups with n = G": as_groups,
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for index, (way, work) in enumerate(ways.items()):
            rows = batch(10 * number + index)
            start = time.perf_counter()
            tokens = await work(rows)
            assert tokens == prompts * n * response_tokens, (way, tokens)
            if number:  # the first round warms up
                seconds[way].append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
