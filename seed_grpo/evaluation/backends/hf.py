"""transformers in this process, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from seed_grpo.engines.sampling import Sampling
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.evaluation.backends import Completion, Request, cut_at_stop
from seed_grpo.evaluation.fingerprint import model_fingerprint


class HFBackend:
    """Decodes with transformers' `generate`. Each response has a random state of its own.

    Args:
        model: a folder, or owner/name on the hub.
        revision: its commit on the hub.
        dtype: `float32`, `bfloat16`, `float16`, or `auto`: float32 on a CPU, what the model was saved in on a GPU.
        device: `cpu`, `cuda`, `cuda:1`, or `auto`.
        batch_size: responses decoded at once.
    """

    whole_batches = True

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        dtype: str = "auto",
        device: str = "auto",
        batch_size: int = 64,
    ) -> None:
        try:
            import torch
            from transformers import AutoTokenizer

            from seed_grpo.engines.hf import HFEngine
        except ImportError as error:
            raise SeedGrpoError(f"The backend hf needs {error.name}.", "pip install 'seed-grpo[eval]'") from error
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if dtype == "auto" and device == "cpu":
            dtype = "float32"
        if dtype not in ("auto", "float32", "bfloat16", "float16"):
            raise UsageError(f"Unknown dtype {dtype!r}.", "choose one of auto, float32, bfloat16, float16.")
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(model, revision=revision)
            self._engine = HFEngine.from_folder(
                model, tokenizer=self._tokenizer, dtype=dtype, device=device, max_batch=batch_size, revision=revision
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).strip().split("\n")[0][:200]
            raise SeedGrpoError(
                f"The model {model} cannot be loaded ({reason}).", "check --model and --revision."
            ) from error
        loaded = self._engine.model
        self._ends = set(self._engine.eos_token_ids)
        self._context = getattr(loaded.config, "max_position_embeddings", None)
        self.batch_size = batch_size
        self._about = {
            "model": model,
            "revision": revision or getattr(loaded.config, "_commit_hash", None),
            "fingerprint": model_fingerprint(model),
            "dtype": str(loaded.dtype).removeprefix("torch."),
            "device": device,
            "context": self._context,
        }

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        prompts = [self._tokenizer.encode(request.prompt) for request in requests]
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
        if not prompt:
            raise SeedGrpoError("A prompt has no tokens.", "check the data and the template.")
        return max_tokens if self._context is None else min(max_tokens, self._context - len(prompt))
