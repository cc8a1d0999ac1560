"""The output folder of a run: whether it is new, or holds the beginning of this very run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.errors import UsageError
from seed_grpo.runs.checkpoints import newest_whole, step_folder
from seed_grpo.runs.names import CONFIG, METRICS
from seed_grpo.runs.records import read_lines
from seed_grpo.settings import Settings

if TYPE_CHECKING:
    from omegaconf import DictConfig

IDENTITY = (
    "seed",
    "seed_grpo",
    "algorithm",
    "data.train_files",
    "data.train_batch_size",
    "data.max_prompt_length",
    "data.max_response_length",
    "actor_rollout_ref.model.path",
    "actor_rollout_ref.rollout.n",
    "actor_rollout_ref.rollout.temperature",
    "actor_rollout_ref.actor.ppo_mini_batch_size",
    "actor_rollout_ref.actor.optim.lr",
    "trainer.v1.trainer_mode",
)
"""What makes two configurations the same run: one may continue the other's checkpoints."""


_SHARD = re.compile(r"model_world_size_(\d+)_rank_\d+\.pt")


def check_output(config: DictConfig) -> None:
    """Check that the output folder is new, or holds the beginning of this very run."""
    folder = Path(config.trainer.default_local_dir)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"The output folder {folder} is a file.", "choose another trainer.default_local_dir.")
    earlier = folder / CONFIG
    holds_run = any(folder.glob("global_step_*")) or (folder / METRICS).is_file() if folder.is_dir() else False
    if not holds_run:
        return
    if not earlier.is_file():
        raise UsageError(
            f"The output folder {folder} holds checkpoints or records of another run.",
            "choose another trainer.default_local_dir.",
        )
    difference = _first_difference(earlier, config)
    if difference:
        raise UsageError(
            f"The output folder {folder} holds another run: {difference}.",
            "choose another trainer.default_local_dir (or experiment_name), or remove the folder.",
        )


def check_ranks(config: DictConfig) -> None:
    """Check that the checkpoint to resume from was saved by as many ranks: verl loads one shard per rank.

    Raises:
        UsageError: it was saved by another number.
    """
    if config.trainer.resume_mode == "disable":
        return
    folder = Path(config.trainer.default_local_dir)
    step = newest_whole(folder)
    checkpoint = None if step is None else step_folder(folder, step)
    if config.trainer.resume_mode == "resume_path":
        checkpoint = _named_checkpoint(config.trainer.resume_from_path)
    if checkpoint is None:
        return
    saved_by = {int(match[1]) for path in (checkpoint / "actor").glob("model_world_size_*_rank_*.pt")
                if (match := _SHARD.fullmatch(path.name))}  # fmt: skip
    ranks = config.trainer.nnodes * config.trainer.n_gpus_per_node
    if saved_by and ranks not in saved_by:
        raise UsageError(
            f"{checkpoint} was saved by {max(saved_by)} rank(s), and this run has {ranks}.",
            f"resume with {max(saved_by)} (trainer.nnodes × trainer.n_gpus_per_node), or start a new run from its "
            f"weights: `seed-grpo export {checkpoint} --out MODEL`, then actor_rollout_ref.model.path=MODEL and "
            "another trainer.default_local_dir.",
        )


def _named_checkpoint(path: str | None) -> Path:
    folder = Path(path or "")
    if not re.search(r"global_step_\d+$", folder.name) or not folder.is_dir():
        raise UsageError(
            f"trainer.resume_mode=resume_path needs a checkpoint, and trainer.resume_from_path is {path}.",
            "name the global_step_N folder of a run, or set trainer.resume_mode=auto.",
        )
    return folder


def last_step(folder: str | Path) -> int:
    """The last training step that the records hold; 0 for none."""
    steps = [record["step"] for record in read_lines(Path(folder) / METRICS) if "train/accuracy" in record]
    return max(steps, default=0)


def _first_difference(earlier_path: Path, config: DictConfig) -> str | None:
    from omegaconf import OmegaConf

    earlier = OmegaConf.load(earlier_path)
    for key in IDENTITY:
        before, now = (_value(node, key) for node in (earlier, config))
        if before != now:
            if isinstance(before, dict) and isinstance(now, dict):
                key, before, now = next(
                    (f"{key}.{name}", before.get(name), now.get(name))
                    for name in {**before, **now}
                    if before.get(name) != now.get(name)
                )
            return f"{key} was {before} and is {now}"
    return None


def _value(config: Any, key: str) -> Any:
    """A value as plain Python; the method's settings under their present names."""
    from omegaconf import OmegaConf

    value: Any = OmegaConf.select(config, key)
    value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    return Settings.from_config(value).as_dict() if key == "seed_grpo" else value
