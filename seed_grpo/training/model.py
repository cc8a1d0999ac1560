"""What the files of a local model say before anything loads it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.errors import SeedGrpoError, UsageError

if TYPE_CHECKING:
    from omegaconf import DictConfig

END_TOKENS = (
    ("generation_config.json", "eos_token_id"),
    ("config.json", "eos_token_id"),
    ("tokenizer_config.json", "eos_token"),
    ("special_tokens_map.json", "eos_token"),
)
"""The files and keys that may name the token that ends a response."""


def check_model(path: str) -> None:
    """Check a local model's configuration, tokenizer and end token; anything else must look like a name on the hub.

    Raises:
        SeedGrpoError: naming what is missing.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        if folder.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", path):
            raise SeedGrpoError(
                f"{path} is not a model: there is no such folder, and it is not a name of the form owner/model.",
                "set actor_rollout_ref.model.path; `seed-grpo quickstart` makes a small model to try.",
            )
        return
    if not (folder / "config.json").is_file():
        raise SeedGrpoError(
            f"{path} is not a model: it has no config.json.",
            "set actor_rollout_ref.model.path to a Hugging Face model folder.",
        )
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        raise SeedGrpoError(f"{path} has no tokenizer.", "save the tokenizer into the model folder.")
    if all(_read(folder / name).get(key) in (None, "", []) for name, key in END_TOKENS):
        raise SeedGrpoError(
            f"{path} names no end token: every response would run to its limit, and be rewarded with 0.",
            "set eos_token_id in the model's generation_config.json.",
        )


def check_lengths(config: DictConfig) -> None:
    """Check that a prompt and its response fit into the positions that a local model has.

    Raises:
        UsageError: they do not.
    """
    model, data = config.actor_rollout_ref.model, config.data
    if any(name in (model.get("override_config") or {}) for name in ("max_position_embeddings", "rope_scaling")):
        return
    positions = _read(Path(model.path).expanduser() / "config.json").get("max_position_embeddings")
    length = data.max_prompt_length + data.max_response_length
    if isinstance(positions, int) and length > positions:
        raise UsageError(
            f"data.max_prompt_length + data.max_response_length is {length}, and {model.path} has positions for "
            f"{positions} tokens.",
            "lower one of the two, or set actor_rollout_ref.model.override_config.max_position_embeddings.",
        )


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is none. A broken one is transformers' to report."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
