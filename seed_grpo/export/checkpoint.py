"""A run's checkpoint as a Hugging Face folder, with a model card. `seed-grpo export`.

verl merges the shards of all ranks; this module chooses the checkpoint, checks that it is complete, and writes what
a reader of the model needs to know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seed_grpo.data.templates import PASS_THROUGH
from seed_grpo.engines.generation_config import write_generation_config
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.export.model_card import write_card
from seed_grpo.runs.checkpoints import is_whole, newest_whole, step_folder
from seed_grpo.runs.files import filling
from seed_grpo.runs.names import CONFIG
from seed_grpo.verl_plugin.merging import merge_shards

_STEP = re.compile(r"global_step_(\d+)")


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: the Hugging Face folder.
        step: the training step whose weights it holds.
        notes: what a person should know about it.
    """

    folder: Path
    step: int
    notes: list[str]


def export(run: str | Path, out: str | Path, step: int | None = None) -> Exported:
    """Write the weights of a run's checkpoint, its tokenizer and a model card to a folder.

    Checkpoints are torch files, which can run code when they are read: export only those of your own runs.

    Args:
        run: the run's output folder, or one of its `global_step_N` folders.
        out: the folder to write; it must not exist, or be empty.
        step: the checkpoint's step; by default the newest whole one.

    Raises:
        UsageError: no such run, step or folder. SeedGrpoError: the checkpoint is not whole, or cannot be merged.
    """
    run, out = Path(run).expanduser(), Path(out).expanduser()
    if match := _STEP.fullmatch(run.name):
        if step not in (None, int(match[1])):
            raise UsageError(f"{run} is the checkpoint of step {match[1]}, not {step}.", "leave --step out.")
        run, step = run.parent, int(match[1])
    step = _choose(run, step)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists already.", "choose another --out, or remove it.")
    with filling(out) as unfinished:  # an interrupted export leaves nothing that looks like a model
        merge_shards(step_folder(run, step) / "actor", unfinished)
        config = _load_config(run)
        notes = restore_chat_template(unfinished, config.get("actor_rollout_ref", {}).get("model", {}))
        write_generation_config(unfinished)
        write_card(unfinished, run, config, step, notes)
    return Exported(out, step, notes)


def _choose(run: Path, step: int | None) -> int:
    """The step to export; raises if it has no complete checkpoint."""
    if not run.is_dir():
        raise UsageError(f"{run} is not a folder.", "name the output folder of a run (trainer.default_local_dir).")
    present = sorted(int(match[1]) for path in run.glob("global_step_*") if (match := _STEP.fullmatch(path.name)))
    if not present:
        raise UsageError(f"{run} has no checkpoint.", "train with trainer.save_freq above 0, or choose another run.")
    steps = ", ".join(map(str, present))
    if step is None:
        newest = newest_whole(run)
        if newest is None:
            raise SeedGrpoError(
                f"No checkpoint of {run} is complete (steps {steps}).", "start the run again; it resumes."
            )
        return newest
    if step not in present:
        raise UsageError(f"{run} has no checkpoint of step {step}.", f"choose one of {steps}.")
    if not is_whole(step_folder(run, step)):
        raise SeedGrpoError(f"The checkpoint of step {step} is incomplete.", f"choose another of {steps}.")
    return step


def _load_config(run: Path) -> dict[str, Any]:
    from omegaconf import OmegaConf

    if not (run / CONFIG).is_file():
        raise SeedGrpoError(f"{run} has no {CONFIG}.", "name the output folder of a run of `seed-grpo train`.")
    return OmegaConf.to_container(OmegaConf.load(run / CONFIG), resolve=True)  # type: ignore[return-value]


def restore_chat_template(folder: Path, model: dict[str, Any]) -> list[str]:
    """Give the exported tokenizer the original model's chat template if the run passed its prompts through.

    A run on prompts that are stored as text passes them through unchanged, and saves its tokenizer that way; to be
    served, the model needs its own template again. A template that the run set for its messages is what the model has
    learned, and stays.

    Returns:
        A note if this could not be done; else an empty list.
    """
    from transformers import AutoTokenizer

    if model.get("custom_chat_template") != PASS_THROUGH:
        return []
    origin = model.get("tokenizer_path") or model["path"]
    try:
        template = AutoTokenizer.from_pretrained(Path(origin).expanduser()).chat_template if origin else None
    except Exception as error:  # the hub client raises a dozen kinds: no network, no such model, no token
        return [
            f"The tokenizer's chat template passes messages through unchanged, as in the run: the template of {origin} "
            f"could not be read ({type(error).__name__})."
        ]
    if not template:
        return [f"The tokenizer's chat template passes messages through unchanged: {origin} has none of its own."]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return []
