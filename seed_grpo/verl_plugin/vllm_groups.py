"""verl's vLLM server, which also answers a share of a batch in one call.

verl's client asks for each response by itself: a call to the load balancer and one to the server, which with short
responses takes longer than vLLM does. The group rollout sends prompts by the dozen instead. Within the server a
response is one call of verl's own `generate`, so that parking, aborts, adapters and limits are verl's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import ray
from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer, vLLMReplica

from seed_grpo.verl_plugin.trajectories import Response


class GroupHttpServer(vLLMHttpServer):
    """`vLLMHttpServer` and `generate_batch`."""

    async def generate_batch(
        self,
        prompts: Sequence[list[int]],
        sampling_params: dict[str, Any],
        n: int,
        requests: Sequence[dict[str, Any]],
    ) -> list[Response | Exception]:
        """`n` responses to each prompt, prompt by prompt.

        Args:
            prompts: token ids.
            sampling_params: of all responses.
            n: responses to each prompt.
            requests: for each response what it has of its own: its `request_id`, and maybe `priority` and `seed`.

        Returns:
            A response, or the error in its place, for each of the len(prompts) × n.
        """

        async def one(prompt_ids: list[int], request: dict[str, Any]) -> Response | Exception:
            own = {"seed": request["seed"]} if "seed" in request else {}
            start = time.perf_counter()
            try:
                output = await self.generate(
                    prompt_ids=prompt_ids,
                    sampling_params={**sampling_params, **own},
                    request_id=request["request_id"],
                    priority=request.get("priority", 0),
                )
            except Exception as error:  # the others of the batch are none the worse for it
                return RuntimeError(f"{type(error).__name__}: {error}")  # vLLM's own may not survive pickling
            version = output.extra_fields.get("global_steps")
            return Response(
                list(output.token_ids),
                output.log_probs,
                {**output.extra_fields, "min_global_steps": version, "max_global_steps": version},
                seconds=time.perf_counter() - start,
                num_preempted=-1 if output.num_preempted is None else output.num_preempted,
            )

        rows = [prompt for prompt in prompts for _ in range(n)]
        return await asyncio.gather(*[one(*row) for row in zip(rows, requests, strict=True)])


class GroupReplica(vLLMReplica):
    """Starts `GroupHttpServer`s where verl starts its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.server_class = ray.remote(GroupHttpServer)
