"""The models and the data that are measured, made from scratch but for SmolLM2.

A process of its own makes each (`python models.py WHAT FOLDER BUNDLE KIND`), so that a stage's time is kept.
"""

from __future__ import annotations

import argparse
import shutil
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


def make_base(folder: Path, bundle: Path, kind: str) -> None:
    """The quickstart's model and data, with a warm start that leaves much to learn."""
    from seed_grpo.quickstart.data import write_data
    from seed_grpo.quickstart.model import build_model
    from seed_grpo.quickstart.warm_start import warm_start

    build_model(folder / "model", seed=1)
    warm_start(folder / "model", seed=1, target=0.3)
    write_data(folder / "data")


def make_large(folder: Path, bundle: Path, kind: str) -> None:
    """A large model with random weights and SmolLM2's tokenizer, and sums behind a long preamble, as the quickstart
    lays them out."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    from seed_grpo.data.parquet import Layout, write_rows
    from seed_grpo.data.templates import get_template
    from seed_grpo.quickstart.tasks import SUMS, get_task

    sizes = SIZES[kind]
    tokenizer = AutoTokenizer.from_pretrained(bundle / "smollm2")
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
    model.to(torch.bfloat16).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    preamble = "Add the two numbers, digit by digit, and write the sum into a box. " * (sizes.prompt_length // 20)
    (folder / "data").mkdir()
    for name, records in get_task(SUMS).files().items():
        dataset, split = name.split("_")[:2]
        rows = [replace(record, problem=preamble + record.problem) for record in records]
        write_rows(folder / "data" / f"{name}.parquet", rows, Layout(dataset, split, get_template("none")))


def make_boxes(folder: Path, bundle: Path, kind: str) -> None:
    """SmolLM2 after a warm start that teaches it to box its answers."""
    from seed_grpo.warm_start.boxes import BoxSettings, teach_boxes

    # On a CPU just enough to try.
    settings = (
        BoxSettings(examples=512, batch_size=16)
        if kind == "gpu"
        else BoxSettings(examples=32, max_tokens=128, epochs=1)
    )
    teach_boxes(bundle / "smollm2", bundle / "data" / "gsm8k_train.parquet", folder / "model", settings)


MAKERS = {"base": make_base, "large": make_large, "boxes": make_boxes}
"""What can be made. Each fills a folder: from what run.sh unpacked, for a kind of machine."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a model and its data; started by stages.py.")
    parser.add_argument("what", choices=list(MAKERS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("kind", choices=list(SIZES))
    asked = parser.parse_args()
    unfinished = asked.folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    MAKERS[asked.what](unfinished, asked.bundle, asked.kind)
    unfinished.rename(asked.folder)


if __name__ == "__main__":
    main()
