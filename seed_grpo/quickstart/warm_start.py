"""Supervised warm start: the model learns the answer's form and some of the sums, and stays unsure of the rest."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from seed_grpo.data.arithmetic import Problem, problems
from seed_grpo.errors import SeedGrpoError

TARGET_ACCURACY = 0.35
"""The warm start ends here. A policy that is sure of everything has nothing left to explore."""
MAX_STEPS = 600
CHECK_EVERY = 10
BATCH_SIZE = 256
LEARNING_RATE = 2e-3


def warm_start(folder: str | Path, seed: int = 0, target: float = TARGET_ACCURACY) -> float:
    """Train the model in `folder` on the warm-start sums, in place, until it solves a share `target` of the dev sums.

    Returns:
        The share of the dev sums that it solves (answers given the right digits before them).

    Raises:
        SeedGrpoError: the target is not reached in `MAX_STEPS` steps.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)

    def collate(batch: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        width = max(len(example["input_ids"]) for example in batch)
        fill = {"input_ids": tokenizer.pad_token_id, "labels": -100, "attention_mask": 0}
        return {
            name: torch.tensor([example[name] + [value] * (width - len(example[name])) for example in batch])
            for name, value in fill.items()
        }

    dev = collate([_example(tokenizer, problem) for problem in problems("dev")])

    class StopAtTarget(TrainerCallback):
        accuracy = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % CHECK_EVERY == 0:
                with torch.no_grad():
                    predicted = model(input_ids=dev["input_ids"], attention_mask=dev["attention_mask"]).logits.argmax(
                        -1
                    )
                labels = dev["labels"][:, 1:]
                right = (predicted[:, :-1] == labels) | (labels == -100)
                self.accuracy = float(right.all(dim=1).float().mean())
                control.should_training_stop = self.accuracy >= target

    check = StopAtTarget()
    with tempfile.TemporaryDirectory() as scratch:
        Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=scratch,
                max_steps=MAX_STEPS,
                per_device_train_batch_size=BATCH_SIZE,
                learning_rate=LEARNING_RATE,
                lr_scheduler_type="constant_with_warmup",
                warmup_steps=20,
                adam_beta2=0.98,
                seed=seed,
                use_cpu=True,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=[_example(tokenizer, problem) for problem in problems("warm_start", seed)],
            data_collator=collate,
            callbacks=[check],
        ).train()
    if check.accuracy < target:
        raise SeedGrpoError(
            f"The warm start solves {check.accuracy:.0%} of its dev sums after {MAX_STEPS} steps, not {target:.0%}.",
            "choose another seed, or a lower target.",
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return check.accuracy


def _example(tokenizer: Any, problem: Problem) -> dict[str, list[int]]:
    prompt = tokenizer.encode(problem.problem)
    response = [*tokenizer.encode(problem.solution), tokenizer.eos_token_id]
    return {
        "input_ids": prompt + response,
        "labels": [-100] * len(prompt) + response,
        "attention_mask": [1] * (len(prompt) + len(response)),
    }
