"""A model folder's `generation_config.json`: which tokens end a response, and what else it may say."""

from __future__ import annotations

from typing import Any


def end_token_ids(path: str, tokenizer: Any, revision: str | None = None) -> list[int]:
    """The token ids that end a response of this model: the tokenizer's, and those of its generation config."""
    from transformers import GenerationConfig

    ends = {tokenizer.eos_token_id}
    try:
        configured = GenerationConfig.from_pretrained(path, revision=revision or "main").eos_token_id
    except OSError:
        configured = None
    ends.update(configured if isinstance(configured, list) else [configured])
    return sorted(token for token in ends if token is not None)
