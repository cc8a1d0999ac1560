"""The models and the data that are measured, made from scratch but for SmolLM2's tokenizer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Sizes:
    """What is measured, by kind of machine.

    Attributes:
        architecture: of the large model, in the words of transformers' Qwen2Config.
        prompts, responses: of a step of it.
        prompt_length, response_length: in tokens; its random weights hardly ever end a response.
        steps: of one run of it.
    """

    architecture: dict[str, Any]
    prompts: int
    responses: int
    prompt_length: int
    response_length: int
    steps: int


QWEN_1_5B: dict[str, Any] = {
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
}
"""Qwen2.5-1.5B, from its configuration on the hub."""
SIZES = {
    "gpu": Sizes(QWEN_1_5B, prompts=64, responses=8, prompt_length=256, response_length=1024, steps=6),
    # To try the scripts: nothing of it says anything about a GPU.
    "cpu": Sizes(
        {
            **QWEN_1_5B,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "vocab_size": 49280,
        },
        prompts=4,
        responses=4,
        prompt_length=256,
        response_length=32,
        steps=3,
    ),
}


def make_base(base: Path) -> Path:
    """The quickstart's model and data, with a warm start that leaves much to learn; made once. Returns the folder."""
    if base.exists():
        return base
    from seed_grpo.quickstart.data import write_data
    from seed_grpo.quickstart.model import build_model
    from seed_grpo.quickstart.warm_start import warm_start

    unfinished = base.with_suffix(".unfinished")
    build_model(unfinished / "model", seed=1)
    warm_start(unfinished / "model", seed=1, target=0.3)
    write_data(unfinished / "data")
    unfinished.rename(base)
    return base


def make_large(folder: Path, sizes: Sizes, tokenizer_folder: Path) -> Path:
    """A large model with random weights and SmolLM2's tokenizer, and sums behind a long preamble, as the quickstart
    lays them out."""
    if folder.exists():
        return folder
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    from seed_grpo.data.parquet import Layout, write_rows
    from seed_grpo.data.templates import get_template
    from seed_grpo.quickstart.tasks import SUMS, get_task

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    unfinished = folder.with_suffix(".unfinished")
    torch.manual_seed(1)
    config = Qwen2Config(
        **sizes.architecture,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    model: Any = Qwen2ForCausalLM(config)
    model.to(torch.bfloat16).save_pretrained(unfinished / "model")
    tokenizer.save_pretrained(unfinished / "model")
    preamble = "Add the two numbers, digit by digit, and write the sum into a box. " * (sizes.prompt_length // 20)
    (unfinished / "data").mkdir()
    for name, records in get_task(SUMS).files().items():
        dataset, split = name.split("_")[:2]
        rows = [replace(record, problem=preamble + record.problem) for record in records]
        write_rows(unfinished / "data" / f"{name}.parquet", rows, Layout(dataset, split, get_template("none")))
    unfinished.rename(folder)
    return folder


def make_boxes(model: Path, data: Path, folder: Path, *, few: bool) -> None:
    """SmolLM2 after a warm start that teaches it to box its answers."""
    from seed_grpo.warm_start.boxes import BoxSettings, teach_boxes

    # Batches as large as a GPU likes; on a CPU just enough to try.
    settings = BoxSettings(examples=32, max_tokens=96, epochs=1) if few else BoxSettings(examples=512, batch_size=16)
    teach_boxes(model, data, folder, settings)
