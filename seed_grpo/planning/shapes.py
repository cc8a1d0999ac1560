"""The shapes of models: built in for the shipped configurations, else read from a `config.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seed_grpo.errors import UsageError


@dataclass(frozen=True)
class ModelShape:
    """A decoder-only transformer with gated feed-forward layers and grouped-query attention (Llama, Qwen, Mistral).

    Attributes:
        name: the model's name.
        hidden, layers, heads, kv_heads, head, intermediate, vocabulary: its sizes; `head` is one head's width.
        tied: whether embedding and output share their weights.
        bias: whether the projections of query, key and value have biases (Qwen2).
    """

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    intermediate: int
    vocabulary: int
    tied: bool
    bias: bool

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer."""
        q, kv = self.heads * self.head, self.kv_heads * self.head
        attention = self.hidden * (q + 2 * kv) + q * self.hidden + (q + 2 * kv if self.bias else 0)
        return attention + 3 * self.hidden * self.intermediate + 2 * self.hidden

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the embedding, and of the output unless they are tied."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.layers * self.layer_parameters + self.embedding_parameters + self.hidden

    @property
    def multiplied(self) -> int:
        """The parameters that a token is multiplied by: all but the embedding's lookup."""
        return self.layers * self.layer_parameters + self.vocabulary * self.hidden

    def forward_flops(self, tokens: float, context: float) -> float:
        """Floating-point operations of a forward pass over `tokens` tokens, each attending to `context` others."""
        attention = 4.0 * self.layers * self.heads * self.head * context
        return tokens * (2.0 * self.multiplied + attention)

    @property
    def cache_bytes(self) -> int:
        """Bytes of the keys and values per token, in 16 bits."""
        return 2 * 2 * self.layers * self.kv_heads * self.head


_MATH_7B = {"hidden": 3584, "layers": 28, "heads": 28, "kv_heads": 4, "head": 128, "intermediate": 18944,
            "vocabulary": 152064, "tied": False, "bias": True}  # fmt: skip
BUILT_IN = {
    "Qwen/Qwen2.5-Math-7B": ModelShape("Qwen2.5-Math-7B", **_MATH_7B),  # type: ignore[arg-type]
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": ModelShape("DeepSeek-R1-Distill-Qwen-7B", **_MATH_7B),  # type: ignore[arg-type]
    "Qwen/Qwen2.5-Math-1.5B": ModelShape("Qwen2.5-Math-1.5B", 1536, 28, 12, 2, 128, 8960, 151936, True, True),
    "quickstart": ModelShape("the quickstart's model", 128, 3, 4, 4, 32, 512, 258, True, True),
}
"""By the path in the configuration."""


def find_shape(path: str, model_config: Path | None, quickstart: bool) -> ModelShape:
    """The shape of a run's model.

    Args:
        path: the configuration's `actor_rollout_ref.model.path`.
        model_config: a `config.json`, or its folder; preferred.
        quickstart: whether the run is the quickstart, whose model need not exist yet.

    Raises:
        UsageError: the shape cannot be found or read.
    """
    if model_config is not None:
        return read_shape(model_config.expanduser())
    folder = Path(path).expanduser()
    if (folder / "config.json").is_file():
        return read_shape(folder)
    if path in BUILT_IN:
        return BUILT_IN[path]
    if quickstart:
        return BUILT_IN["quickstart"]
    raise UsageError(
        f"The shape of {path} is unknown.",
        "give its config.json with --model-config; built in are " + ", ".join(BUILT_IN) + ".",
    )


def read_shape(path: Path) -> ModelShape:
    """The shape in a Hugging Face `config.json`, or in a folder that holds one.

    Raises:
        UsageError: naming what is missing or not a size.
    """
    path = path / "config.json" if path.is_dir() else path
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as a model's configuration: {error}.", "give a config.json.") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not an object.", "give a model's config.json.")
    if any("expert" in key for key in content):
        raise UsageError(f"{path} describes a mixture of experts.", "plan for dense models only.")

    def size(key: str, default: int | None = None) -> int:
        value: Any = content.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 10**8:
            raise UsageError(f"{path}: {key} is {value!r}.", "it is a positive whole number in a model's config.json.")
        return value

    hidden, heads = size("hidden_size"), size("num_attention_heads")
    return ModelShape(
        name=path.resolve().parent.name,
        hidden=hidden,
        layers=size("num_hidden_layers"),
        heads=heads,
        kv_heads=size("num_key_value_heads", heads),
        head=size("head_dim", max(hidden // heads, 1)),
        intermediate=size("intermediate_size"),
        vocabulary=size("vocab_size"),
        tied=bool(content.get("tie_word_embeddings", False)),
        bias=bool(content.get("attention_bias", content.get("model_type") == "qwen2")),
    )
