"""Whether prepared data and the run agree on the form of a prompt and of its answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from seed_grpo.data.answer_forms import reads
from seed_grpo.data.manifest import read_manifest
from seed_grpo.data.templates import PASS_THROUGH
from seed_grpo.errors import UsageError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def check_prompts(config: DictConfig, files: list[str]) -> None:
    """Compare each file's manifest with the run; a file without one is taken as it is.

    Raises:
        UsageError: the run puts a chat template around prompts that already have one, puts none around those that need
            one, or looks for answers in another form than the prompts ask for.
    """
    model = config.actor_rollout_ref.model
    for path in files:
        manifest = read_manifest(Path(path).expanduser())
        stored = manifest.get("prompt_format")
        passes = (model.custom_chat_template or own_chat_template(model.path)) == PASS_THROUGH
        if stored == "text" and not passes:
            raise UsageError(
                f"{path} holds whole prompts (template {manifest.get('template')}), and the model's chat template "
                "would be put around them.",
                "set actor_rollout_ref.model.custom_chat_template='${pass_through:}', or prepare the data with "
                "--prompt-format messages.",
            )
        if stored == "messages" and passes:
            raise UsageError(
                f"{path} holds messages, and no chat template would be put around them.",
                "set actor_rollout_ref.model.custom_chat_template=null, or prepare the data with --prompt-format text.",
            )
        asked, expected = manifest.get("answer_template"), config.seed_grpo.answer_template
        if asked is not None and not reads(expected, asked):
            raise UsageError(
                f"The prompts of {path} ask for an answer in the form {asked!r}, and seed_grpo.answer_template is "
                f"{expected!r}.",
                f"set seed_grpo.answer_template={asked}.",
            )


def own_chat_template(path: str) -> str | None:
    """The chat template in a local model folder; None for a model on the hub, or one that has none."""
    folder = Path(path).expanduser()
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except OSError:
        pass
    try:
        template = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
    except (OSError, ValueError):
        return None
    return template if isinstance(template, str) else None
