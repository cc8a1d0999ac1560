"""transformers in this process, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from seed_grpo.engines.prompts import cannot_load
from seed_grpo.engines.sampling import Sampling
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.evaluation.backends import BackendOptions, Completion, Request, cut_at_stop
from seed_grpo.evaluation.fingerprint import model_fingerprint

DTYPES = ("auto", "float32", "bfloat16", "float16")
BATCH_SIZE = 64


def load(options: BackendOptions, tokenizer: Any) -> HFBackend:
    """Load the model."""
    return HFBackend(options, tokenizer)


class HFBackend:
    """Decodes with transformers' `generate`. Each response has a random state of its own.

    Args:
        options: model, revision, batch size; a dtype of `auto` is float32 on a CPU, and on a GPU what the model was
            saved in.
        tokenizer: the model's.
    """

    whole_batches = True

    def __init__(self, options: BackendOptions, tokenizer: Any) -> None:
        if options.dtype not in DTYPES:
            raise UsageError(f"Unknown dtype {options.dtype!r}.", f"choose one of {', '.join(DTYPES)}.")
        try:
            import torch

            from seed_grpo.engines.hf import HFEngine
        except ImportError as error:
            raise SeedGrpoError(f"The backend hf needs {error.name}.", "pip install 'seed-grpo[eval]'") from error
        device = options.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.batch_size = options.batch_size or BATCH_SIZE
        try:
            self._engine = HFEngine.from_folder(
                options.model,
                tokenizer=tokenizer,
                dtype="float32" if options.dtype == "auto" and device == "cpu" else options.dtype,
                device=device,
                max_batch=self.batch_size,
                revision=options.revision or "main",
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise cannot_load("The model", options.model, error) from error
        self._tokenizer = tokenizer
        self._ends = set(self._engine.eos_token_ids)
        config = self._engine.model.config
        self._context = getattr(config, "max_position_embeddings", None)
        self._about = {
            "model": options.model,
            "revision": options.revision or getattr(config, "_commit_hash", None),
            "fingerprint": model_fingerprint(options.model),
            "dtype": str(self._engine.model.dtype).removeprefix("torch."),
            "device": device,
            "context": self._context,
        }

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        prompts = [list(request.prompt.token_ids or ()) for request in requests]
        room = [self._room(prompt, sampling.max_tokens) for prompt in prompts]
        open_rows = [row for row, tokens in enumerate(room) if tokens > 0]
        for row, tokens in enumerate(room):
            if tokens <= 0:  # the prompt alone fills the model's context
                yield row, Completion("", truncated=True, tokens=0, log_prob=0.0)
        if not open_rows:
            return
        generated = self._engine.generate(
            [prompts[row] for row in open_rows],
            replace(sampling, max_tokens=max(room[row] for row in open_rows)),
            row_seeds=[requests[row].seed for row in open_rows],
        )
        for row, response in zip(open_rows, generated, strict=True):
            token_ids = response.token_ids[: room[row]]
            completion = Completion(
                text=str(self._tokenizer.decode(token_ids, skip_special_tokens=True)),
                truncated=token_ids[-1] not in self._ends,
                tokens=len(token_ids),
                log_prob=sum(response.log_probs[: room[row]]),
            )
            yield row, cut_at_stop(completion, sampling.stop)

    def describe(self) -> dict[str, Any]:
        return self._about

    def close(self) -> None:
        del self._engine

    def _room(self, prompt: Sequence[int], max_tokens: int) -> int:
        """Tokens that the response may have."""
        return max_tokens if self._context is None else min(max_tokens, self._context - len(prompt))
