"""vLLM's offline engine, written against the API that vLLM 0.24 documents. It needs a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from seed_grpo.engines.sampling import Sampling
from seed_grpo.errors import SeedGrpoError
from seed_grpo.evaluation.backends import Completion, Request
from seed_grpo.evaluation.fingerprint import model_fingerprint


class VLLMBackend:
    """Decodes with `vllm.LLM.generate`, a seed a request.

    Args:
        model: a folder, or owner/name on the hub.
        revision: its commit on the hub.
        dtype: vLLM's `dtype`.
        max_model_len: longest prompt and response together; None for the model's own.
        tensor_parallel: GPUs that share the model.
        batch_size: responses asked for at once; after each batch they are on disk.
    """

    whole_batches = False

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        dtype: str = "auto",
        max_model_len: int | None = None,
        tensor_parallel: int = 1,
        batch_size: int = 512,
    ) -> None:
        try:
            from vllm import LLM
        except ImportError as error:
            raise SeedGrpoError(
                "The backend vllm needs the package vllm, which is not installed.",
                "install vllm on a machine with a GPU, or choose --backend hf, or --backend openai with a server.",
            ) from error
        self._llm = LLM(
            model=model,
            revision=revision,
            dtype=dtype,
            max_model_len=max_model_len,
            tensor_parallel_size=tensor_parallel,
            enable_prefix_caching=True,
            generation_config="vllm",  # no sampling defaults out of the model folder
            seed=0,
        )
        self.batch_size = batch_size
        self._about = {
            "model": model,
            "revision": revision,
            "fingerprint": model_fingerprint(model),
            "dtype": dtype,
            "tensor_parallel": tensor_parallel,
        }

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        from vllm import SamplingParams

        parameters = [
            SamplingParams(
                n=1,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=sampling.top_k,
                max_tokens=sampling.max_tokens,
                seed=request.seed,
                stop=list(sampling.stop) or None,
                include_stop_str_in_output=True,
                logprobs=0,
            )
            for request in requests
        ]
        outputs = self._llm.generate([request.prompt for request in requests], parameters, use_tqdm=False)
        for index, output in enumerate(outputs):
            [response] = output.outputs
            yield (
                index,
                Completion(
                    text=response.text,
                    truncated=response.finish_reason == "length",
                    tokens=len(response.token_ids),
                    log_prob=response.cumulative_logprob,
                ),
            )

    def describe(self) -> dict[str, Any]:
        return self._about

    def close(self) -> None:
        del self._llm
