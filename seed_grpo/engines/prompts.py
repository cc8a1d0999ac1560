"""From messages to the token ids that a model reads: one function for training and for every backend of evaluation.

The chat template decides about every special token. A tokenizer that puts a BOS in front of plain text (Llama's) puts
none in front of a rendered prompt, so a template that writes the BOS itself gives one, and a template that writes none
gives none. verl's own agent loop does the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seed_grpo.errors import SeedGrpoError

Messages = Sequence[Mapping[str, Any]]


def load_tokenizer(name: str, revision: str | None = None) -> Any:
    """The tokenizer of a model folder, or of owner/name on the hub.

    Raises:
        SeedGrpoError: transformers is not installed, or there is none.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise SeedGrpoError(
            f"Prompts are turned into tokens by {error.name}, which is not installed.", "pip install 'seed-grpo[eval]'"
        ) from error
    try:
        return AutoTokenizer.from_pretrained(str(Path(name).expanduser()), revision=revision)
    except Exception as error:  # the hub's client and damaged files raise a dozen kinds
        raise cannot_load("The tokenizer of", name, error) from error


def cannot_load(what: str, name: str, error: Exception) -> SeedGrpoError:
    """What to say when a model or a part of it cannot be loaded."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return SeedGrpoError(f"{what} {name} cannot be loaded ({reason}).", "check the name, the folder and the revision.")


def prompt_text(
    tokenizer: Any, messages: Messages, *, chat_template: str | None = None, options: Mapping[str, Any] | None = None
) -> str:
    """The prompt as text; arguments as for `prompt_ids`."""
    return str(_apply(tokenizer, messages, chat_template, options, tokenize=False))


def prompt_ids(
    tokenizer: Any, messages: Messages, *, chat_template: str | None = None, options: Mapping[str, Any] | None = None
) -> list[int]:
    """The prompt as token ids.

    Args:
        tokenizer: the model's, of transformers.
        messages: what the model is told, each with role and content.
        chat_template: the template that renders them; None for the tokenizer's own.
        options: further variables of the template, such as `enable_thinking`.

    Raises:
        SeedGrpoError: there is no template, it does not take these messages, or nothing comes out.
    """
    token_ids = _apply(tokenizer, messages, chat_template, options, tokenize=True)
    if not token_ids:
        raise SeedGrpoError("A prompt has no tokens.", "check the data and the template.")
    return [int(token_id) for token_id in token_ids]


def _apply(
    tokenizer: Any, messages: Messages, chat_template: str | None, options: Mapping[str, Any] | None, *, tokenize: bool
) -> Any:
    from jinja2 import TemplateError

    if chat_template is None and not tokenizer.chat_template:
        raise SeedGrpoError(
            f"The tokenizer of {tokenizer.name_or_path or 'the model'} has no chat template for prompts that are "
            "stored as messages.",
            "in evaluation give --template none, qwen_math or r1; for training prepare the data with "
            "--prompt-format text.",
        )
    try:
        return tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            chat_template=chat_template,
            add_generation_prompt=True,
            tokenize=tokenize,
            return_dict=False,
            **(options or {}),
        )
    except (TemplateError, TypeError, KeyError, ValueError) as error:  # the template is the model folder's own code
        reason = " ".join(str(error).split())[:200]
        roles = ", ".join(str(message.get("role")) for message in messages)
        raise SeedGrpoError(
            f"The chat template does not take messages of the roles {roles} ({reason}).",
            "choose another template, or prepare the data with --prompt-format text.",
        ) from error
