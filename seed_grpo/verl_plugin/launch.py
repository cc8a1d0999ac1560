"""verl's own start of a run, for the driver, the doctor and the recipe. Each function imports verl when it is called.

`import verl` takes seconds, so nothing here is imported at the top.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from seed_grpo.errors import UsageError
from seed_grpo.verl_plugin import registered, require_registered
from seed_grpo.verl_plugin.names import HF_ROLLOUT

if TYPE_CHECKING:
    from omegaconf import DictConfig


def check_config(config: DictConfig) -> None:
    """Check the plugin and the configuration as verl's `main_ppo` does; fills in the device if verl knows better.

    Raises:
        SeedGrpoError: verl did not load the plugin. UsageError: a name that nothing is registered under.
        AssertionError, ValueError: verl's own checks.
    """
    require_registered()
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config
    from verl.utils.device import auto_set_device

    check_names(config)
    auto_set_device(config)
    validate_config(config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))


def check_names(config: DictConfig) -> None:
    """Check the names that verl looks up only in the midst of a run.

    Raises:
        UsageError: nothing is registered under one of them.
    """
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, POLICY_LOSS_REGISTRY
    from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY
    from verl.workers.rollout.replica import RolloutReplicaRegistry

    if config.actor_rollout_ref.model.get("external_lib"):
        return  # it may register names of its own, in the processes that import it
    for key, name, known in (
        ("algorithm.adv_estimator", config.algorithm.adv_estimator, ADV_ESTIMATOR_REGISTRY),
        ("trainer.v1.trainer_mode", config.trainer.v1.trainer_mode, TRAINER_REGISTRY),
        ("actor_rollout_ref.rollout.name", config.actor_rollout_ref.rollout.name, RolloutReplicaRegistry._registry),
        (
            "actor_rollout_ref.actor.policy_loss.loss_mode",
            config.actor_rollout_ref.actor.policy_loss.loss_mode,
            POLICY_LOSS_REGISTRY,
        ),
    ):
        if name not in known:
            raise UsageError(f"{key} is {name!r}.", f"choose one of {', '.join(sorted(map(str, known)))}.")


def train_in_actor(config: DictConfig) -> None:
    """Train by verl's `run_ppo`: it starts or joins Ray, and runs the trainer in an actor there."""
    from verl.trainer.main_ppo import TaskRunnerV1, run_ppo

    run_ppo(config, task_runner_class=TaskRunnerV1)


def train_here(config: DictConfig) -> None:
    """Train in this process, which is connected to Ray already: one process less to start."""
    from verl.trainer.main_ppo import TaskRunnerV1

    TaskRunnerV1.__ray_metadata__.modified_class().run(config)  # type: ignore[attr-defined]


LIBRARIES = ("datasets", "fastapi", "pandas", "peft", "scipy.stats", "tensordict", "transformers")
"""What verl imports besides Ray: nine tenths of the time that `import verl` takes."""
TRAINER_AND_WORKERS = ("transfer_queue.controller", "verl.trainer.main_ppo", "verl.workers.engine_workers",
                       "seed_grpo.verl_plugin.cpu.worker")  # fmt: skip
SERVER = {HF_ROLLOUT: ("seed_grpo.verl_plugin.cpu.hf_rollout",)}


def import_libraries() -> None:
    """Import what takes long, and nothing that imports Ray."""
    for name in LIBRARIES:
        import_module(name)


def import_workers(rollout_name: str) -> None:
    """Import what a run's processes need, for one that they are forked from.

    Args:
        rollout_name: verl's `rollout.name`.
    """
    for name in (*TRAINER_AND_WORKERS, *SERVER.get(rollout_name, ())):
        import_module(name)


def registered_in_this_process() -> dict[str, bool]:
    """`registered()`, for a worker of Ray to answer: imports verl first, as each of a run's processes does."""
    import verl  # noqa: F401

    return registered()
