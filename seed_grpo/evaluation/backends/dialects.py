"""The parameters of a request to `/v1/completions`, in the words of each kind of server.

A server applies the `generation_config` of the model's folder to whatever a request leaves out: greedy decoding to
samples, Qwen's repetition penalty to everything. So every parameter is sent, those that do nothing as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from seed_grpo.engines.sampling import Sampling
from seed_grpo.evaluation.backends import Request

Body = dict[str, Any]


def openai(request: Request, sampling: Sampling) -> Body:
    """OpenAI's own API. It has no words for `top_k`, `min_p` and `repetition_penalty`: the server's defaults hold."""
    token_ids = request.prompt.token_ids
    body: Body = {
        "prompt": request.prompt.text if token_ids is None else list(token_ids),
        "n": 1,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": request.seed,
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    return body


def vllm(request: Request, sampling: Sampling) -> Body:
    """vLLM's and SGLang's additions to it."""
    body = openai(request, sampling)
    body |= {"top_k": sampling.top_k if sampling.top_k > 0 else -1, "min_p": 0.0, "repetition_penalty": 1.0}
    if request.prompt.token_ids is None:
        body["add_special_tokens"] = False  # as in training: the template decides about BOS
    return body


def transformers(request: Request, sampling: Sampling) -> Body:
    """`transformers serve`: text only; it refuses fields that it does not know, and takes a generation config."""
    body: Body = {
        "prompt": request.prompt.text,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "frequency_penalty": 0.0,
        "seed": request.seed,
        "generation_config": json.dumps(
            {
                "do_sample": not sampling.greedy,
                "temperature": sampling.temperature or 1.0,
                "top_p": sampling.top_p,
                "top_k": max(sampling.top_k, 0),
                "min_p": 0.0,
                "typical_p": 1.0,
                "epsilon_cutoff": 0.0,
                "eta_cutoff": 0.0,
                "repetition_penalty": 1.0,
                "no_repeat_ngram_size": 0,
                "num_beams": 1,
                "max_new_tokens": sampling.max_tokens,
            }
        ),
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    return body


DIALECTS: dict[str, Callable[[Request, Sampling], Body]] = {
    "vllm": vllm,
    "transformers": transformers,
    "openai": openai,
}
AUTO = "auto"
"""vllm, and transformers if the server's first refusal shows that it is that."""
TEXT_ONLY = "transformers"
"""The dialect of a server that tokenizes by itself, special tokens included."""
