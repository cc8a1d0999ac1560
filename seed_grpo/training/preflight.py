"""What must hold before a run starts, so that a mistake is one sentence now and not a traceback in an hour."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.data import validate_parquet
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.runs.names import CONFIG, METRICS
from seed_grpo.runs.records import read_lines
from seed_grpo.training.engine import check_engine
from seed_grpo.training.prompts import check_prompts
from seed_grpo.verl_plugin.checks import check_group_size
from seed_grpo.verl_plugin.names import COLUMN_STORAGE, ESTIMATOR, TRAINER_MODES

if TYPE_CHECKING:
    from omegaconf import DictConfig

CPUS_PER_RANK = 3
"""verl reserves this many logical CPUs for each rank of its placement group."""

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


def check_run(config: DictConfig) -> None:
    """Check everything that can be known before Ray starts.

    Raises:
        UsageError, SeedGrpoError: the first thing that would go wrong, with its remedy.
    """
    check_method(config)
    check_model(config.actor_rollout_ref.model.path)
    check_engine(config)
    files = data_files(config, "train_files") + data_files(config, "val_files")
    for path in files:
        validate_parquet(path)
    check_prompts(config, files)
    check_batch(config)
    check_cpus(config)
    check_output(config)


def data_files(config: DictConfig, name: str) -> list[str]:
    """The files of `data.train_files` or `data.val_files`: verl takes one path, or a list."""
    files = config.data[name]
    return [files] if isinstance(files, str) else list(files)


def check_method(config: DictConfig) -> None:
    """The estimator has a trainer that measures for it, and groups that can be compared."""
    mode, estimator = config.trainer.v1.trainer_mode, config.algorithm.adv_estimator
    if estimator == ESTIMATOR and mode not in TRAINER_MODES:
        raise UsageError(
            f"algorithm.adv_estimator={ESTIMATOR} needs a trainer that measures uncertainty, and "
            f"trainer.v1.trainer_mode is {mode}.",
            f"choose one of {', '.join(TRAINER_MODES)}.",
        )
    check_group_size(config)


def check_model(path: str) -> None:
    """A local model has a configuration and a tokenizer; anything else must look like a name on the hub."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise SeedGrpoError(
                f"{path} is not a model: it has no config.json.",
                "set actor_rollout_ref.model.path to a Hugging Face model folder.",
            )
        if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
            raise SeedGrpoError(f"{path} has no tokenizer.", "save the tokenizer into the model folder.")
    elif folder.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", path):
        raise SeedGrpoError(
            f"{path} is not a model: there is no such folder, and it is no name of the form owner/model.",
            "set actor_rollout_ref.model.path; `seed-grpo quickstart` makes a small model to try.",
        )


def check_batch(config: DictConfig) -> None:
    """verl drops the last incomplete batch: a smaller data set would give no step at all."""
    import pyarrow.parquet as pq

    rows = sum(pq.read_metadata(path).num_rows for path in data_files(config, "train_files"))
    if rows < config.data.train_batch_size:
        raise UsageError(
            f"The training data has {rows} rows, fewer than data.train_batch_size={config.data.train_batch_size}.",
            "lower data.train_batch_size, or give more data.",
        )
    mini = config.actor_rollout_ref.actor.ppo_mini_batch_size
    if config.data.train_batch_size % mini:
        raise UsageError(
            f"data.train_batch_size={config.data.train_batch_size} is no multiple of "
            f"actor_rollout_ref.actor.ppo_mini_batch_size={mini}.",
            "both count prompts; let the first be a multiple of the second.",
        )


def cpus_needed(config: DictConfig) -> int:
    """Logical CPUs that verl's actors reserve at once; Ray waits without a word when it has fewer."""
    ranks = config.trainer.n_gpus_per_node * config.trainer.nnodes
    backend = config.transfer_queue.backend
    ours = backend.storage_backend == COLUMN_STORAGE  # one process, whatever verl's own storage is set to
    storage_units = 1 if ours else backend.SimpleStorage.num_data_storage_units
    # One more to place the actors that reserve nothing once they run.
    return CPUS_PER_RANK * ranks + storage_units + 1


def check_cpus(config: DictConfig) -> None:
    """Ray's logical CPUs suffice, where this run starts Ray itself."""
    given = config.ray_kwargs.ray_init.num_cpus
    if given is not None and given < cpus_needed(config):
        raise UsageError(
            f"The run needs {cpus_needed(config)} logical CPUs of Ray, and ray_kwargs.ray_init.num_cpus is {given}; "
            "verl would wait for ever.",
            f"set ray_kwargs.ray_init.num_cpus={cpus_needed(config)} or more (logical, not real, CPUs).",
        )


def check_output(config: DictConfig) -> None:
    """The output folder is new, or holds the beginning of this very run."""
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


def last_step(folder: str | Path) -> int:
    """The last training step that the records hold; 0 for none."""
    steps = [record["step"] for record in read_lines(Path(folder) / METRICS) if "train/accuracy" in record]
    return max(steps, default=0)


def _first_difference(earlier_path: Path, config: DictConfig) -> str | None:
    from omegaconf import OmegaConf

    earlier = OmegaConf.load(earlier_path)
    for key in IDENTITY:
        before, now = (_plain(OmegaConf.select(node, key)) for node in (earlier, config))
        if before != now:
            if isinstance(before, dict) and isinstance(now, dict):
                key, before, now = next(
                    (f"{key}.{name}", before.get(name), now.get(name))
                    for name in {**before, **now}
                    if before.get(name) != now.get(name)
                )
            return f"{key} was {before} and is {now}"
    return None


def _plain(value: Any) -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
