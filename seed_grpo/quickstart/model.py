"""A small Qwen2-architecture model and its byte-level tokenizer, made from scratch: no download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

END, PAD = "<|im_end|>", "<|endoftext|>"
CHAT_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""The problem alone: the model answers right after it."""


def build_tokenizer() -> Any:
    """Qwen2's byte-level tokenizer with a token for each byte and no merges.

    A custom tokenizer class would be lost when `AutoTokenizer` loads the folder.
    """
    from transformers import Qwen2Tokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    symbols = [*bytes_to_unicode().values(), PAD, END]
    tokenizer = Qwen2Tokenizer(
        vocab={symbol: token_id for token_id, symbol in enumerate(symbols)},
        merges=[],
        eos_token=END,
        pad_token=PAD,
        unk_token=PAD,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_model(
    folder: str | Path, seed: int = 0, *, hidden_size: int = 128, layers: int = 3, max_length: int = 4096
) -> None:
    """Write a model with random weights, and its tokenizer, to `folder`."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from seed_grpo.engines.generation_config import write_generation_config

    tokenizer = build_tokenizer()
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=hidden_size,
            intermediate_size=4 * hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=max_length,
            tie_word_embeddings=True,
            initializer_range=0.08,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_generation_config(folder)
