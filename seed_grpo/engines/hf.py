"""Batched decoding with transformers' own `generate`, on CPU or GPU, with the sampled tokens' log-probabilities."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Cache,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from seed_grpo.engines.generation_config import end_token_ids
from seed_grpo.engines.sampling import Generated, Sampling
from seed_grpo.errors import SeedGrpoError

if TYPE_CHECKING:
    from typing_extensions import Self


class _Sampler(LogitsProcessor):
    """Chooses each row's token and keeps its log-probability; generate() then takes the token that it marks.

    The log-probability is what the trainer computes: at the sampling temperature, over the whole vocabulary. A token is
    drawn with one random number per row, by the cumulated probabilities; torch.multinomial draws one per row and token.

    Args:
        sampling: how to choose.
        generators: one for all rows, or one per row, so that a row does not depend on its neighbours.
    """

    def __init__(self, sampling: Sampling, generators: Sequence[torch.Generator]) -> None:
        self._sampling = sampling
        self._generators = generators
        self._warpers: list[LogitsProcessor] = []
        if sampling.top_k > 0:
            self._warpers.append(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p < 1.0:
            self._warpers.append(TopPLogitsWarper(sampling.top_p))
        self.log_probs: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        log_probs_BV = torch.log_softmax(scores.float() / (self._sampling.temperature or 1.0), dim=-1)
        if torch.isnan(log_probs_BV[:, 0]).any():
            raise SeedGrpoError(
                "The model computes probabilities that are not numbers.",
                "in training, look for the step whose loss or gradient norm became nan, and lower the learning rate.",
            )
        token_B1 = scores.argmax(dim=-1, keepdim=True) if self._sampling.greedy else self._draw(input_ids, log_probs_BV)
        self.log_probs.append(log_probs_BV.gather(1, token_B1))
        return scores.scatter(1, token_B1, torch.inf)

    def _draw(self, input_ids: torch.Tensor, log_probs_BV: torch.Tensor) -> torch.Tensor:
        for warper in self._warpers:
            log_probs_BV = warper(input_ids, log_probs_BV)
        cumulated_BV = log_probs_BV.exp().cumsum(dim=-1, dtype=torch.float64)
        total_B1 = cumulated_BV[:, -1:]
        # Above 0 and up to the total, so that the first sum to reach it is never that of a token without probability.
        return torch.searchsorted(cumulated_BV, (1.0 - self._uniform(len(total_B1)).to(total_B1.device)) * total_B1)

    def _uniform(self, rows: int) -> torch.Tensor:
        """Random numbers from [0, 1), shape (B, 1)."""
        if len(self._generators) == 1:
            return torch.rand((rows, 1), generator=self._generators[0], dtype=torch.float64)
        return torch.stack([torch.rand(1, generator=one, dtype=torch.float64) for one in self._generators])


class _Abort(StoppingCriteria):
    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._event.is_set(), device=input_ids.device)


class HFEngine:
    """A causal language model that answers batches of token ids.

    `Sampling.stop` is left to the caller, who has the text.

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
        self.eos_token_ids = list(eos_token_ids)
        # A model folder may carry sampling defaults of its own (Qwen's repetition penalty): only ours count.
        self.model.generation_config = GenerationConfig(
            eos_token_id=self.eos_token_ids or None, pad_token_id=pad_token_id, bos_token_id=None
        )
        self._eos = torch.tensor(self.eos_token_ids, dtype=torch.long)
        self._pad = pad_token_id
        self._max_batch = max_batch
        # A cache can be handed on row by row for certain only if every layer attends to everything.
        layers = getattr(model.config.get_text_config(decoder=True), "layer_types", None) or ["full_attention"]
        self._shares_prompts = set(layers) == {"full_attention"}

    @classmethod
    def from_folder(
        cls,
        path: str,
        *,
        tokenizer: Any = None,
        dtype: str = "float32",
        device: str = "cpu",
        max_batch: int = 1024,
        **kwargs: Any,
    ) -> Self:
        """Load a model, and the ids that end its responses.

        Args:
            path: a folder, or owner/name on the hub.
            tokenizer: the model's; None: it is loaded here.
            dtype: a torch dtype by name; `auto`: what the model was saved in.
            device: the device that computes.
            max_batch: rows decoded at once.
            kwargs: passed to transformers for model and tokenizer alike (`revision`, `trust_remote_code`).
        """
        tokenizer = tokenizer or AutoTokenizer.from_pretrained(path, **kwargs)
        model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, **kwargs)
        ends = end_token_ids(path, tokenizer, kwargs.get("revision"))
        pad = next((token for token in (tokenizer.pad_token_id, *ends) if token is not None), 0)
        return cls(model.to(device), ends, pad, max_batch)

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
            seed: of this call's random numbers; None: torch's own are used.
            row_seeds: a seed per prompt instead, so that a response does not depend on what shares its batch.
            abort: when set from another thread, decoding stops after the current token.
        """
        abort = abort or threading.Event()
        common = torch.default_generator if seed is None else torch.Generator().manual_seed(seed)
        responses: list[Generated] = []
        for start in range(0, len(prompts), self._max_batch):
            rows = slice(start, start + self._max_batch)
            generators = (
                [torch.Generator().manual_seed(s) for s in row_seeds[rows]] if row_seeds is not None else [common]
            )
            responses.extend(self._generate_batch(prompts[rows], sampling, abort, generators))
        return responses

    @torch.inference_mode()
    def _generate_batch(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        abort: threading.Event,
        generators: Sequence[torch.Generator],
    ) -> list[Generated]:
        distinct, prompt_of_row = _distinct(prompts)
        input_ids_PT, mask_PT = (tensor.to(self.model.device) for tensor in self._left_padded(distinct))
        width = input_ids_PT.shape[1]
        cache = None
        if len(distinct) < len(prompts) and width > 1 and self._shares_prompts:
            cache = self._prompt_cache(input_ids_PT, mask_PT, prompt_of_row)
        sampler = _Sampler(sampling, generators)
        sequences = self.model.generate(
            input_ids=input_ids_PT[prompt_of_row],
            attention_mask=mask_PT[prompt_of_row],
            past_key_values=cache,
            max_new_tokens=sampling.max_tokens,
            do_sample=False,
            logits_processor=LogitsProcessorList([sampler]),
            stopping_criteria=StoppingCriteriaList([_Abort(abort)]),
        )
        return self._collect(sequences[:, width:].cpu(), torch.cat(sampler.log_probs, dim=1).cpu(), sampling)

    def _left_padded(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """The prompts as one tensor, and its attention mask."""
        width = max(len(prompt) for prompt in prompts)
        input_ids = torch.full((len(prompts), width), self._pad, dtype=torch.long)
        attention_mask = torch.zeros_like(input_ids)
        for row, prompt in enumerate(prompts):
            input_ids[row, width - len(prompt) :] = torch.tensor(prompt)
            attention_mask[row, width - len(prompt) :] = 1
        return input_ids, attention_mask

    def _prompt_cache(self, input_ids_PT: torch.Tensor, mask_PT: torch.Tensor, prompt_of_row: list[int]) -> Cache:
        """Keys and values of all prompts but their last token, computed once per prompt, laid out for the rows."""
        # generate() knows each model's positions and kind of cache; the token that it adds is not in the cache.
        output = self.model.generate(
            input_ids=input_ids_PT[:, :-1],
            attention_mask=mask_PT[:, :-1],
            max_new_tokens=1,
            do_sample=False,
            return_dict_in_generate=True,
        )
        cache: Cache = output.past_key_values
        cache.batch_select_indices(torch.tensor(prompt_of_row, device=input_ids_PT.device))
        return cache

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


def _distinct(prompts: Sequence[Sequence[int]]) -> tuple[list[Sequence[int]], list[int]]:
    """The different prompts, and which of them each row has."""
    place: dict[tuple[int, ...], int] = {}
    prompt_of_row = [place.setdefault(tuple(prompt), len(place)) for prompt in prompts]
    return list(place), prompt_of_row
