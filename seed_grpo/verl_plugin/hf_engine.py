"""Batched decoding with transformers' own `generate`, on CPU or GPU, with the log-probabilities of what was sampled."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from seed_grpo.errors import SeedGrpoError


@dataclass(frozen=True)
class Sampling:
    """How to decode; a temperature of 0 is greedy. `top_k` of 0 or −1 keeps every token."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0


@dataclass(frozen=True)
class Generated:
    """One response.

    Attributes:
        token_ids: its tokens, with the end-of-sequence token where it ended.
        log_probs: the log-probability of each token.
        aborted: whether decoding was stopped before the response was complete.
        extra_fields: what verl's servers report beside, such as the version of the weights.
    """

    token_ids: list[int]
    log_probs: list[float]
    aborted: bool
    extra_fields: dict[str, Any] = field(default_factory=dict)


class _LogProbRecorder(LogitsProcessor):
    """Keeps the log-probability of every sampled token, at the sampling temperature and over the whole vocabulary.

    That is what the trainer computes, so both agree. It sees the logits of a step before the token is drawn, and the
    token one step later; nothing of the size (steps × vocabulary) is stored.
    """

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature or 1.0
        self._pending: torch.Tensor | None = None
        self.columns: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.settle(input_ids)
        self._pending = torch.log_softmax(scores.float() / self._temperature, dim=-1)
        return scores

    def settle(self, sequences: torch.Tensor) -> None:
        if self._pending is not None:
            self.columns.append(self._pending.gather(1, sequences[:, -1:].to(self._pending.device)))
            self._pending = None


class _RowSampler(LogitsProcessor):
    """Draws each row's token from a random state of its own, so that a row does not depend on its neighbours.

    argmax(p / E) with E from Exp(1) is a draw from p; so greedy decoding behind this processor samples.
    """

    def __init__(self, seeds: Sequence[int], sampling: Sampling, device: torch.device) -> None:
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self._temperature = sampling.temperature
        self._warpers: list[LogitsProcessor] = []
        if sampling.top_k > 0:
            self._warpers.append(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p < 1.0:
            self._warpers.append(TopPLogitsWarper(sampling.top_p))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.float() / self._temperature
        for warper in self._warpers:
            scores = warper(input_ids, scores)
        noise = torch.empty_like(scores)
        for row, generator in enumerate(self._generators):
            noise[row].exponential_(generator=generator)
        return scores - noise.clamp_min_(torch.finfo(noise.dtype).tiny).log_()


class _Abort(StoppingCriteria):
    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._event.is_set(), device=input_ids.device)


class HFEngine:
    """A causal language model that answers batches of token ids.

    Args:
        model: the model, in evaluation mode.
        eos_token_ids: any of these ends a response.
        pad_token_id: fills the left of shorter prompts.
        max_batch: rows decoded at once; a larger call is split.
    """

    def __init__(
        self, model: PreTrainedModel, eos_token_ids: Sequence[int], pad_token_id: int, max_batch: int = 1024
    ) -> None:
        self.model = model.eval()
        # A model folder may carry sampling defaults of its own (Qwen's repetition penalty): only ours count.
        self.model.generation_config = GenerationConfig(
            eos_token_id=list(eos_token_ids), pad_token_id=pad_token_id, bos_token_id=None
        )
        self._eos = torch.tensor(list(eos_token_ids))
        self._pad = pad_token_id
        self._max_batch = max_batch
        self._parameters = dict(model.named_parameters(remove_duplicate=False))

    @classmethod
    def from_folder(cls, path: str, *, dtype: str = "float32", max_batch: int = 1024, **kwargs: Any) -> HFEngine:
        """Load a model folder and the ids that end its responses."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(path, **kwargs)
        model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype), **kwargs)
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        return cls(model, end_token_ids(path, tokenizer), pad, max_batch)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        *,
        seed: int | None = None,
        row_seeds: Sequence[int] | None = None,
        abort: threading.Event | None = None,
    ) -> list[Generated]:
        """One response for each prompt, in order.

        Args:
            prompts: token ids, none empty.
            sampling: shared by all rows.
            seed: sets torch's random state first, for this call; None leaves it alone.
            row_seeds: a seed a prompt instead, so that a response does not depend on what shares its batch.
            abort: when set from another thread, decoding stops after the current token.
        """
        if seed is not None:
            torch.manual_seed(seed)
        abort = abort or threading.Event()
        responses: list[Generated] = []
        for start in range(0, len(prompts), self._max_batch):
            rows = slice(start, start + self._max_batch)
            seeds = row_seeds[rows] if row_seeds is not None else None
            responses.extend(self._generate_batch(prompts[rows], sampling, abort, seeds))
        return responses

    @torch.inference_mode()
    def _generate_batch(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        abort: threading.Event,
        row_seeds: Sequence[int] | None,
    ) -> list[Generated]:
        width = max(len(prompt) for prompt in prompts)
        input_ids = torch.full((len(prompts), width), self._pad, dtype=torch.long)
        attention_mask = torch.zeros_like(input_ids)
        for row, prompt in enumerate(prompts):
            input_ids[row, width - len(prompt) :] = torch.tensor(prompt)
            attention_mask[row, width - len(prompt) :] = 1
        recorder = _LogProbRecorder(sampling.temperature)
        processors = LogitsProcessorList([recorder])
        arguments: dict[str, Any] = {"do_sample": False}
        if not sampling.greedy and row_seeds is not None:
            processors.append(_RowSampler(row_seeds, sampling, self.model.device))
        elif not sampling.greedy:
            arguments = {
                "do_sample": True,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": max(sampling.top_k, 0),
            }
        sequences = self.model.generate(
            input_ids=input_ids.to(self.model.device),
            attention_mask=attention_mask.to(self.model.device),
            max_new_tokens=sampling.max_tokens,
            logits_processor=processors,
            stopping_criteria=StoppingCriteriaList([_Abort(abort)]),
            **arguments,
        )
        recorder.settle(sequences)
        return self._collect(sequences[:, width:].cpu(), torch.cat(recorder.columns, dim=1).cpu(), sampling)

    def _collect(self, tokens_BT: torch.Tensor, log_probs_BT: torch.Tensor, sampling: Sampling) -> list[Generated]:
        is_end_BT = torch.isin(tokens_BT, self._eos)
        ended_B = is_end_BT.any(dim=1)
        length_B = torch.where(ended_B, is_end_BT.int().argmax(dim=1) + 1, tokens_BT.shape[1])
        responses = []
        for tokens, log_probs, ended, length in zip(
            tokens_BT.tolist(), log_probs_BT.tolist(), ended_B.tolist(), length_B.tolist(), strict=True
        ):
            aborted = not ended and length < sampling.max_tokens
            responses.append(Generated(tokens[:length], log_probs[:length], aborted))
        return responses

    @torch.no_grad()
    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Overwrite parameters by name, in place.

        Raises:
            SeedGrpoError: a name that the model does not have, or a tensor of another shape.
        """
        for name, tensor in weights.items():
            parameter = self._parameters.get(name)
            if parameter is None or parameter.shape != tensor.shape:
                raise SeedGrpoError(
                    f"The weight {name!r} of shape {tuple(tensor.shape)} does not fit the rollout's model.",
                    "train and roll out the same model.",
                )
            parameter.copy_(tensor)

    def parameter_names(self) -> set[str]:
        """The parameters that a complete update must hold, tied ones by each of their names."""
        return set(self._parameters)


def end_token_ids(path: str, tokenizer: Any) -> list[int]:
    """The token ids that end a response of this model: the tokenizer's, and those of its generation config."""
    ends = {tokenizer.eos_token_id}
    try:
        configured = GenerationConfig.from_pretrained(path).eos_token_id
    except OSError:
        configured = None
    ends.update(configured if isinstance(configured, list) else [configured])
    return sorted(token for token in ends if token is not None)
