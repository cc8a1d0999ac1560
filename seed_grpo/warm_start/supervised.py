"""Supervised learning with transformers' Trainer: examples, batches, and settings that all warm starts share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import TrainingArguments

IGNORED = -100
"""The label of a token that is not learned."""
Example = dict[str, list[int]]


def example(prompt: Sequence[int], response: Sequence[int]) -> Example:
    """A prompt and the response to learn, as token ids."""
    tokens = [*prompt, *response]
    labels = [IGNORED] * len(prompt) + list(response)
    return {"input_ids": tokens, "labels": labels, "attention_mask": [1] * len(tokens)}


def collate(batch: Sequence[Example], pad: int) -> dict[str, torch.Tensor]:
    """Examples padded on the right, as tensors of shape (examples, tokens)."""
    import torch

    width = max(len(each["input_ids"]) for each in batch)
    fill = {"input_ids": pad, "labels": IGNORED, "attention_mask": 0}
    return {
        name: torch.tensor([each[name] + [value] * (width - len(each[name])) for each in batch])
        for name, value in fill.items()
    }


def training_arguments(scratch: str, **more: Any) -> TrainingArguments:
    """Settings of a short training that saves and reports nothing.

    Args:
        scratch: a temporary folder.
        more: further settings of transformers' TrainingArguments.
    """
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=scratch,
        lr_scheduler_type="constant_with_warmup",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,  # for so little, and it warns where there is no accelerator
        **more,
    )
