"""A model folder's `generation_config.json`: which tokens end a response, and sampling that changes nothing."""

from __future__ import annotations

from pathlib import Path
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


def write_generation_config(folder: str | Path) -> None:
    """Make the folder's generation config one that leaves the model's own distribution as it is.

    Servers apply it to whatever a request leaves out. What transformers writes by itself decodes greedily, and a model
    that has been trained further inherits penalties and cuts that its rollouts did not have. The tokens that begin,
    pad and end stay. `top_k` is the size of the vocabulary because there is no number for "off" that transformers, vLLM
    and SGLang share; without it transformers takes 50.
    """
    from transformers import AutoConfig, GenerationConfig

    config = AutoConfig.from_pretrained(folder).get_text_config(decoder=True)
    try:
        before: Any = GenerationConfig.from_pretrained(folder)
    except OSError:
        before = config
    GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        top_k=config.vocab_size,
        bos_token_id=before.bos_token_id,
        pad_token_id=before.pad_token_id,
        eos_token_id=before.eos_token_id,
    ).save_pretrained(folder)
