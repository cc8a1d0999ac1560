"""What must hold before a run starts, so that a mistake is one sentence now and not a traceback in an hour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seed_grpo.data import check_plain_path, validate_parquet
from seed_grpo.engines.vllm import check_engine
from seed_grpo.errors import UsageError
from seed_grpo.method.labels import GOLD
from seed_grpo.training.model import check_lengths, check_model
from seed_grpo.training.output import check_output
from seed_grpo.training.prompts import check_prompts
from seed_grpo.training.steps import possible_steps
from seed_grpo.verl_plugin.checks import check_group_size
from seed_grpo.verl_plugin.names import COLUMN_STORAGE, ESTIMATOR, GROUP_ROLLOUT, TRAINER_MODES
from seed_grpo.verl_plugin.runtime import RuntimeSettings

if TYPE_CHECKING:
    from omegaconf import DictConfig

CPUS_PER_RANK = 3
"""verl reserves this many logical CPUs for each rank of its placement group."""


def check_run(config: DictConfig) -> None:
    """Check everything that can be known before Ray starts.

    Raises:
        UsageError, SeedGrpoError: the first thing that would go wrong, with its remedy.
    """
    check_method(config)
    RuntimeSettings.from_config(config.get("seed_grpo_runtime"))
    check_model(config.actor_rollout_ref.model.path)
    check_lengths(config)
    check_engine(config)
    files = data_files(config, "train_files") + data_files(config, "val_files")
    for path in files:
        check_file(config, path)
        check_plain_path(path)
    check_prompts(config, files)
    check_batch(config)
    check_validation(config)
    check_cpus(config)
    check_output(config)


def check_file(config: DictConfig, path: str) -> None:
    """Check a data file; gold answers are needed unless a run that labels itself is trained on it."""
    gold = path in data_files(config, "val_files") or config.seed_grpo.labels == GOLD
    validate_parquet(path, gold=gold)


def data_files(config: DictConfig, name: str) -> list[str]:
    """The files of `data.train_files` or `data.val_files`: verl takes one path, or a list."""
    files = config.data[name]
    return [files] if isinstance(files, str) else list(files)


def check_method(config: DictConfig) -> None:
    """Check that the estimator has a trainer that measures for it, and groups to compare."""
    mode, estimator = config.trainer.v1.trainer_mode, config.algorithm.adv_estimator
    if estimator == ESTIMATOR and mode not in TRAINER_MODES:
        raise UsageError(
            f"algorithm.adv_estimator={ESTIMATOR} needs a trainer that measures uncertainty, and "
            f"trainer.v1.trainer_mode is {mode}.",
            f"choose one of {', '.join(TRAINER_MODES)}.",
        )
    if (
        "inverse_std" in config.seed_grpo.weights
        and config.algorithm.norm_adv_by_std_in_grpo
        and estimator == ESTIMATOR
    ):
        raise UsageError(
            "The weight inverse_std and algorithm.norm_adv_by_std_in_grpo=true both divide by the standard deviation.",
            "set algorithm.norm_adv_by_std_in_grpo=false.",
        )
    check_group_size(config)
    check_labels(config)


def check_labels(config: DictConfig) -> None:
    """Check that labels of the group's own have a rollout that sees whole groups, and votes enough."""
    method, rollout = config.seed_grpo, config.actor_rollout_ref.rollout
    if method.labels == GOLD:
        return
    if rollout.agent.agent_loop_manager_class != GROUP_ROLLOUT:
        raise UsageError(
            f"seed_grpo.labels={method.labels} needs the rollout that sees whole groups.",
            f"set actor_rollout_ref.rollout.agent.agent_loop_manager_class={GROUP_ROLLOUT}.",
        )
    if method.votes is not None and method.votes < rollout.n:
        raise UsageError(
            f"seed_grpo.votes={method.votes} is less than actor_rollout_ref.rollout.n={rollout.n}.",
            "raise seed_grpo.votes, or leave it null.",
        )


def check_batch(config: DictConfig) -> None:
    """Check that the data gives at least one step, and that verl's minibatches are whole."""
    possible_steps(config, training_rows(config))
    mini = config.actor_rollout_ref.actor.ppo_mini_batch_size
    if config.data.train_batch_size % mini:
        raise UsageError(
            f"data.train_batch_size={config.data.train_batch_size} is not a multiple of "
            f"actor_rollout_ref.actor.ppo_mini_batch_size={mini}.",
            "set the first to a multiple of the second; both count prompts.",
        )


def training_rows(config: DictConfig) -> int:
    """The rows of the training files."""
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(Path(path).expanduser()).num_rows for path in data_files(config, "train_files"))


def check_validation(config: DictConfig) -> None:
    """Check that a run that is to validate only does validate, and that several samples are not one."""
    if config.trainer.val_only and not config.trainer.val_before_train:
        raise UsageError(
            "trainer.val_only=true validates before training, and trainer.val_before_train is false.",
            "set trainer.val_before_train=true.",
        )
    validation = config.actor_rollout_ref.rollout.val_kwargs
    if validation.n > 1 and not (validation.do_sample and validation.temperature > 0):
        raise UsageError(
            f"actor_rollout_ref.rollout.val_kwargs.n={validation.n} would draw the same response {validation.n} times: "
            "validation is greedy.",
            "set val_kwargs.do_sample=true and val_kwargs.temperature=1, or val_kwargs.n=1.",
        )


def cpus_needed(config: DictConfig) -> int:
    """Logical CPUs that verl's actors reserve at once; Ray waits silently if it has fewer."""
    ranks = config.trainer.n_gpus_per_node * config.trainer.nnodes
    backend = config.transfer_queue.backend
    ours = backend.storage_backend == COLUMN_STORAGE  # one process, whatever verl's own storage is set to
    storage_units = 1 if ours else backend.SimpleStorage.num_data_storage_units
    # One more to place the actors that reserve nothing once they run.
    return CPUS_PER_RANK * ranks + storage_units + 1


def check_cpus(config: DictConfig) -> None:
    """Check that Ray has enough logical CPUs, if the configuration says how many."""
    given = config.ray_kwargs.ray_init.num_cpus
    if given is not None and given < cpus_needed(config):
        raise UsageError(
            f"The run needs {cpus_needed(config)} logical CPUs of Ray, and ray_kwargs.ray_init.num_cpus is {given}; "
            "verl would wait for ever.",
            f"set ray_kwargs.ray_init.num_cpus={cpus_needed(config)} or more (logical, not real, CPUs).",
        )
