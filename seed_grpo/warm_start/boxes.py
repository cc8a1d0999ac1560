"""A model learns to put its final answer into a box, in its own words: nothing but the form of an answer changes.

A small chat model hardly ever writes `\\boxed{…}`, and a reward that reads the box is then 0 for every response. Its
own greedy responses, with the number that they end with in a box, teach the form. Whether that number is right plays
no part: what the model knows of the subject stays what it was, and no gold answer is used.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.runs.files import new_folder

NUMBER = re.compile(r"(?<![\w.])-?\$?\d[\d,]*(?:\.\d+)?")
SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")
AT_LEAST = 16
"""With fewer examples nothing is learned."""
AT_ONCE = 64
"""Responses that are decoded together: decoding reads all weights for each token, of one response or of many."""


@dataclass(frozen=True)
class BoxSettings:
    """How to teach it.

    Attributes:
        examples: how many problems to draw from the data. The model learns from its responses to them, the usable ones.
        max_tokens: of a response.
        epochs: passes through the examples.
        batch_size: examples per update.
        learning_rate: AdamW's.
        seed: of the draw of problems and of the order of examples.
    """

    examples: int = 256
    max_tokens: int = 192
    epochs: int = 2
    batch_size: int = 8
    learning_rate: float = 2e-5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.examples < AT_LEAST:
            raise UsageError(f"--examples is {self.examples}.", f"at least {AT_LEAST} are needed to learn from.")
        if not (self.learning_rate > 0 and min(self.max_tokens, self.epochs, self.batch_size) >= 1):
            raise UsageError("A size or rate of the warm start is not positive.", "give positive numbers.")


@dataclass(frozen=True)
class Taught:
    """What came of it.

    Attributes:
        folder: of the model.
        examples: responses that the model learned from.
        of: responses that it gave.
    """

    folder: Path
    examples: int
    of: int


def in_a_box(response: str) -> str | None:
    """A response with the last number that it names in a box behind it; None if it names none.

    A response that has a box already ends with it.
    """
    box = response.rfind("\\boxed{")
    if box >= 0 and (end := response.find("}", box)) >= 0:
        return response[: end + 1]
    numbers = list(NUMBER.finditer(response))
    if not numbers:
        return None
    last = numbers[-1]
    number = last[0].replace("$", "").replace(",", "")
    sentence = SENTENCE_END.search(response, last.end())
    told = response[: sentence.end() if sentence else len(response)].rstrip()
    return f"{told}\nThe final answer is \\boxed{{{number}}}"


def teach_boxes(
    model: str | Path,
    data: str | Path,
    out: str | Path,
    settings: BoxSettings,
    say: Callable[[str], None] = lambda what: None,
) -> Taught:
    """Write a model that puts its answers into a box.

    Args:
        model: the folder of the model, with a chat template.
        data: problems as `seed-grpo data prepare` writes them.
        out: the folder of the new model; it must not exist.
        settings: how.
        say: is told what is going on.

    Raises:
        UsageError, SeedGrpoError: `out` exists, there is no such file or model, or too few responses can be used.
    """
    from seed_grpo.engines.prompts import load_tokenizer

    with new_folder(out) as unfinished:
        tokenizer = load_tokenizer(str(model))
        prompts = _prompts(Path(data), tokenizer, settings)
        lessons = _lessons(str(model), tokenizer, prompts, settings, say)
        if len(lessons) < AT_LEAST:
            raise SeedGrpoError(
                f"Only {len(lessons)} of {len(prompts)} responses end within {settings.max_tokens} tokens and name a "
                "number.",
                "give more --examples or --max-tokens, or a model that can do more.",
            )
        say(f"learning from {len(lessons)} responses")
        _learn(str(model), tokenizer, lessons, unfinished, settings)
    return Taught(Path(out), len(lessons), len(prompts))


def _prompts(data: Path, tokenizer: Any, settings: BoxSettings) -> list[list[int]]:
    """The prompts of problems drawn from the data, as token ids."""
    import random

    import pyarrow as pa
    import pyarrow.parquet as pq

    from seed_grpo.engines.prompts import prompt_ids

    try:
        rows = pq.read_table(data, columns=["prompt"]).column("prompt").to_pylist()
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UsageError(
            f"{data} is not a file of problems ({error}).", "seed-grpo data prepare writes one."
        ) from error
    chosen = random.Random(settings.seed).sample(rows, min(settings.examples, len(rows)))
    return [prompt_ids(tokenizer, messages) for messages in chosen]


def _lessons(
    model: str, tokenizer: Any, prompts: list[list[int]], settings: BoxSettings, say: Callable[[str], None]
) -> list[tuple[list[int], list[int]]]:
    """Prompts and the model's own greedy responses with a box, those that ended by themselves and name a number."""
    from seed_grpo.engines.hf import HFEngine
    from seed_grpo.engines.prompts import cannot_load
    from seed_grpo.engines.sampling import Sampling

    try:
        engine = HFEngine.from_folder(model, tokenizer=tokenizer)
    except (OSError, ValueError, RuntimeError) as error:
        raise cannot_load("The model", model, error) from error
    lessons = []
    for start in range(0, len(prompts), AT_ONCE):
        say(f"response {start} of {len(prompts)}")
        asked = prompts[start : start + AT_ONCE]
        for prompt, generated in zip(
            asked, engine.generate(asked, Sampling(settings.max_tokens, temperature=0.0)), strict=True
        ):
            ended = generated.token_ids[-1] in engine.eos_token_ids
            boxed = in_a_box(tokenizer.decode(generated.token_ids, skip_special_tokens=True)) if ended else None
            if boxed is not None:
                lessons.append((prompt, [*tokenizer.encode(boxed, add_special_tokens=False), tokenizer.eos_token_id]))
    return lessons


def _learn(
    model: str, tokenizer: Any, lessons: Sequence[tuple[list[int], list[int]]], folder: Path, settings: BoxSettings
) -> None:
    from transformers import AutoModelForCausalLM, Trainer

    from seed_grpo.engines.generation_config import write_generation_config
    from seed_grpo.warm_start.supervised import collate, example, training_arguments

    learner = AutoModelForCausalLM.from_pretrained(model, dtype="float32")
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    with tempfile.TemporaryDirectory() as scratch:
        Trainer(
            model=learner,
            args=training_arguments(
                scratch,
                num_train_epochs=settings.epochs,
                per_device_train_batch_size=settings.batch_size,
                learning_rate=settings.learning_rate,
                warmup_steps=5,
                seed=settings.seed,
            ),
            train_dataset=[example(prompt, response) for prompt, response in lessons],
            data_collator=partial(collate, pad=pad),
        ).train()
    learner.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_generation_config(folder)
