"""Supervised warm start: the model learns a task from a teacher who often slips, and so stays unsure of it.

A policy that is sure of everything has nothing left to explore. The teacher writes a problem's typical mistake in a
share of its examples; of sums, the share grows with the level. The model's uncertainty then differs between prompts,
and reinforcement learning has to tell right from wrong.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.errors import SeedGrpoError
from seed_grpo.quickstart.tasks import SUMS, Lesson, Task, get_task
from seed_grpo.warm_start.supervised import IGNORED, Example, collate, example, training_arguments

if TYPE_CHECKING:
    import torch
    from transformers import TrainerCallback

TARGET = 0.85
"""The warm start ends when this share of answers to unseen problems equals the teacher's, right or wrong."""
MAX_STEPS = 1200
CHECK_EVERY = 20
BATCH_SIZE = 256
LEARNING_RATE = 2e-3


def warm_start(
    folder: str | Path,
    seed: int = 0,
    target: float = TARGET,
    *,
    task: str = SUMS,
    batch_size: int = BATCH_SIZE,
    learning_rate: float = LEARNING_RATE,
) -> float:
    """Train the model in `folder` on a task's lessons, in place, until it answers like the teacher.

    Returns:
        The share of the exam's problems that the model solves (each digit predicted after the right ones before it).

    Raises:
        SeedGrpoError: the target is not reached in `MAX_STEPS` steps.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer

    from seed_grpo.engines.generation_config import write_generation_config

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    lessons = get_task(task).lessons(seed)
    progress = _Progress(model, tokenizer, get_task(task))
    with tempfile.TemporaryDirectory() as scratch:
        Trainer(
            model=model,
            args=training_arguments(
                scratch,
                max_steps=MAX_STEPS,
                per_device_train_batch_size=batch_size,
                learning_rate=learning_rate,
                warmup_steps=20,
                adam_beta2=0.98,
                seed=seed,
                use_cpu=True,
            ),
            train_dataset=[_example(tokenizer, lesson) for lesson in lessons],
            data_collator=partial(collate, pad=tokenizer.pad_token_id),
            callbacks=[_stop_at(target, progress)],
        ).train()
    if progress.learned < target:
        raise SeedGrpoError(
            f"The warm start answers {progress.learned:.0%} of its exam like its teacher after {MAX_STEPS} steps, "
            f"not {target:.0%}.",
            "choose another seed, or a lower target.",
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_generation_config(folder)
    return progress.accuracy


class _Progress:
    """How the model does in the exam.

    Attributes:
        learned: share of the problems that it answers like the teacher, right or wrong.
        accuracy: share of the problems that it answers right.
    """

    learned = accuracy = 0.0

    def __init__(self, model: Any, tokenizer: Any, task: Task) -> None:
        self._model = model
        right, wrong = zip(*task.exam(), strict=True)
        self._right, self._wrong = (
            collate([_example(tokenizer, lesson, whole=False) for lesson in lessons], tokenizer.pad_token_id)
            for lessons in (right, wrong)
        )

    def measure(self) -> None:
        is_right, is_wrong = self._chosen(self._right), self._chosen(self._wrong)
        self.accuracy = float(is_right.float().mean())
        self.learned = float((is_right | is_wrong).float().mean())

    def _chosen(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Which of the answers are the model's likeliest, digit by digit. Shape (examples,)."""
        import torch

        with torch.no_grad():
            output = self._model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        predicted, labels = output.logits.argmax(-1), batch["labels"][:, 1:]
        return ((predicted[:, :-1] == labels) | (labels == IGNORED)).all(dim=1)


def _stop_at(target: float, progress: _Progress) -> TrainerCallback:
    """Ends training once the model has learned enough."""
    from transformers import TrainerCallback

    class StopAtTarget(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % CHECK_EVERY == 0:
                progress.measure()
                control.should_training_stop = progress.learned >= target

    return StopAtTarget()


def _example(tokenizer: Any, lesson: Lesson, *, whole: bool = True) -> Example:
    """A lesson's tokens; the labels are those of the answer, or of the part of it that is not free."""
    before, box, free = (tokenizer.encode(text) for text in (lesson.prompt, "\\boxed{", lesson.free))
    rest = [*tokenizer.encode(f"{lesson.rest}}}"), tokenizer.eos_token_id]
    lessons = example(before, box + free + rest)
    if not whole:
        start = len(before) + len(box)
        lessons["labels"][start : start + len(free)] = [IGNORED] * len(free)
    return lessons
