"""The server of the rollout `hf`: a Ray actor around transformers' `generate`.

Every process that holds the actor's handle imports this module, including verl's load balancer, so heavy imports stay
inside the functions that need them.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seed_grpo.engines.sampling import Generated, Sampling
from seed_grpo.errors import SeedGrpoError
from seed_grpo.verl_plugin.names import HF_ROLLOUT

if TYPE_CHECKING:
    import numpy as np
    from verl.workers.config import HFModelConfig, RolloutConfig
    from verl.workers.rollout.replica import TokenOutput

_GATHER_SECONDS = 0.005
"""How long the server waits, after a first request, for others to share its batch."""


def server_name(replica_rank: int) -> str:
    """The Ray actor name of a replica's server; the training ranks find it by this name."""
    return f"{HF_ROLLOUT}_server_{replica_rank}"


@dataclass(frozen=True)
class Served(Generated):
    """A response with what verl's servers report about it, such as the version of the weights."""

    extra_fields: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Request:
    prompt_ids: list[int]
    sampling: Sampling
    request_id: str
    answer: asyncio.Future


class HFServer:
    """Takes token ids and returns token ids with log-probabilities. Runs as an asynchronous Ray actor.

    Requests that arrive while a batch is being decoded form the next one. `generate_batch` takes a whole batch at once.
    """

    def __init__(self, config: Any, model_config: Any, replica_rank: int) -> None:
        from verl.utils.config import omega_conf_to_dataclass

        from seed_grpo.verl_plugin.cpu.engine import TrainedEngine
        from seed_grpo.verl_plugin.cpu.worker import set_torch_threads

        set_torch_threads(share=2)  # the trainer stores responses while the next ones are decoded
        self.config: RolloutConfig = omega_conf_to_dataclass(config)
        self.model_config: HFModelConfig = omega_conf_to_dataclass(model_config)
        self.replica_rank = replica_rank
        self.global_steps: int | None = None
        self._engine = TrainedEngine.from_folder(
            self.model_config.local_path,
            dtype=self.config.dtype,
            max_batch=self.config.max_num_seqs,
            trust_remote_code=self.model_config.trust_remote_code,
        )
        self._loaded: set[str] = set()
        self._requests: asyncio.Queue[_Request] = asyncio.Queue()
        self._decoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode")
        self._abort = threading.Event()
        self._open = asyncio.Event()
        self._open.set()
        self._rejecting = False
        self._in_flight = 0
        self._calls: Counter[int] = Counter()
        self._batcher: asyncio.Task | None = None

    # ---- generation -------------------------------------------------------------------------------------------------

    async def generate(
        self,
        prompt_ids: list[int],
        sampling_params: dict[str, Any],
        request_id: str,
        image_data: list[Any] | None = None,
        video_data: list[Any] | None = None,
        audio_data: list[Any] | None = None,
        mm_processor_kwargs: dict[str, Any] | None = None,
        **_: Any,
    ) -> TokenOutput:
        """One response to one prompt (the interface of verl's rollout servers)."""
        if image_data or video_data or audio_data:
            raise SeedGrpoError(
                "The hf rollout accepts text only.", "use rollout.name=vllm for images, video or audio."
            )
        if self._batcher is None:
            self._batcher = asyncio.create_task(self._serve())
        sampling = self._sampling(prompt_ids, sampling_params)
        if not await self._admitted():
            return self._output(Generated([], [], aborted=True))
        request = _Request(list(prompt_ids), sampling, request_id, asyncio.get_running_loop().create_future())
        self._in_flight += 1
        try:
            self._requests.put_nowait(request)
            return self._output(await request.answer)
        finally:
            self._in_flight -= 1

    async def generate_batch(
        self, prompts: list[list[int]], sampling_params: dict[str, Any], n: int = 1
    ) -> list[Served]:
        """`n` responses per prompt, prompt by prompt: len(prompts) × n responses in all."""
        sampling = self._sampling(max(prompts, key=len), sampling_params)
        rows = [prompt for prompt in prompts for _ in range(n)]
        if not await self._admitted():
            return [Served([], [], aborted=True) for _ in rows]
        self._in_flight += 1
        try:
            responses = await self._decode(rows, sampling)
        finally:
            self._in_flight -= 1
        version = dict.fromkeys(("global_steps", "min_global_steps", "max_global_steps"), self.global_steps)
        return [Served(r.token_ids, r.log_probs, r.aborted, version) for r in responses]

    async def _admitted(self) -> bool:
        """Wait until the server accepts requests; False if it rejects them instead."""
        while not self._open.is_set():
            if self._rejecting:
                return False
            await self._open.wait()
        return True

    async def _serve(self) -> None:
        while True:
            batch = [await self._requests.get()]
            await asyncio.sleep(_GATHER_SECONDS)
            while not self._requests.empty() and len(batch) < self.config.max_num_seqs:
                batch.append(self._requests.get_nowait())
            for sampling in dict.fromkeys(request.sampling for request in batch):
                requests = [request for request in batch if request.sampling == sampling and not request.answer.done()]
                if requests:
                    await self._answer(requests, sampling)

    async def _answer(self, requests: list[_Request], sampling: Sampling) -> None:
        try:
            responses = await self._decode([request.prompt_ids for request in requests], sampling)
        except Exception as error:  # every waiting caller must learn of it
            for request in requests:
                if not request.answer.done():
                    request.answer.set_exception(error)
            return
        for request, response in zip(requests, responses, strict=True):
            if not request.answer.done():
                request.answer.set_result(response)

    async def _decode(self, prompts: list[list[int]], sampling: Sampling) -> list[Generated]:
        # The same prompts at the same step get the same seed, so a resumed run repeats an uninterrupted one, whatever
        # else (a validation) was decoded before. Prompts that come again within a step get another seed.
        content = hash(tuple(map(tuple, prompts)))
        seed = hash((self.config.seed, self.replica_rank, self.global_steps or 0, content, self._calls[content]))
        self._calls[content] += 1
        return await asyncio.get_running_loop().run_in_executor(
            self._decoder, lambda: self._engine.generate(prompts, sampling, seed=seed % (1 << 63), abort=self._abort)
        )

    def _sampling(self, prompt_ids: list[int], params: dict[str, Any]) -> Sampling:
        limit = self.config.max_model_len or self.config.prompt_length + self.config.response_length
        room = limit - len(prompt_ids)
        if not prompt_ids or room < 1:
            raise SeedGrpoError(
                f"A prompt of {len(prompt_ids)} tokens leaves no room for a response within {limit} tokens.",
                "shorten the prompt, or raise data.max_prompt_length or rollout.max_model_len.",
            )
        wanted = params.get("max_tokens") or params.get("max_new_tokens") or self.config.response_length
        return Sampling(
            max_tokens=max(1, min(int(wanted), room)),
            temperature=float(params.get("temperature", 1.0)),
            top_p=float(params.get("top_p", 1.0)),
            top_k=int(params.get("top_k", -1)),
        )

    def _output(self, response: Generated) -> TokenOutput:
        from verl.workers.rollout.replica import TokenOutput

        return TokenOutput(
            token_ids=response.token_ids,
            log_probs=response.log_probs,
            stop_reason="aborted" if response.aborted else "completed",
            num_preempted=0,
            extra_fields={"global_steps": self.global_steps},
        )

    # ---- control ----------------------------------------------------------------------------------------------------

    async def wait_for_requests_to_drain(self) -> None:
        while self._in_flight:
            await asyncio.sleep(0.005)

    async def abort_all_requests(self, reset_prefix_cache: bool = True, reject_request: bool = False) -> dict[str, Any]:
        """Stop decoding; callers get partial responses, marked aborted. Later requests wait for `resume_generation`."""
        self._open.clear()
        self._rejecting = reject_request
        aborted = self._in_flight
        self._abort.set()
        while not self._requests.empty():
            self._requests.get_nowait().answer.set_result(Generated([], [], aborted=True))
        await self.wait_for_requests_to_drain()
        self._abort.clear()
        return {"aborted_count": aborted, "request_ids": []}

    async def abort_request(self, request_id: str, reset_prefix_cache: bool = True) -> dict[str, Any]:
        """Withdraw a request that has not started; a batch that is being decoded continues for the others in it."""
        for request in list(self._requests._queue):  # type: ignore[attr-defined]
            if request.request_id == request_id and not request.answer.done():
                request.answer.set_result(Generated([], [], aborted=True))
                return {"aborted": True, "request_id": request_id}
        return {"aborted": False, "request_id": request_id, "error": "The request is not waiting."}

    async def resume_generation(self) -> None:
        self._rejecting = False
        self._open.set()

    async def load_weights(self, weights: dict[str, np.ndarray], last: bool) -> None:
        """Load a part of the new weights; with the last part, check that no parameter is missing."""
        import torch

        await self.wait_for_requests_to_drain()
        self._engine.load_weights({name: torch.from_numpy(array) for name, array in weights.items()})
        self._loaded |= weights.keys()
        if last:
            missing = self._engine.parameter_names() - self._loaded
            self._loaded = set()
            if missing:
                raise SeedGrpoError(
                    f"The weight update left out {len(missing)} parameters, among them {min(missing)!r}.",
                    "use the same model for training and for rollouts.",
                )

    async def set_global_steps(self, global_steps: int) -> None:
        self.global_steps = global_steps
        self._calls.clear()

    async def sleep(self) -> None:
        await self.wait_for_requests_to_drain()

    async def _nothing(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: on a CPU, weights and caches share the trainer's memory, so there is none to release."""

    wake_up = clear_kv_cache = release_kv_cache = resume_kv_cache = start_profile = stop_profile = _nothing
