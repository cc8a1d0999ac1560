"""The configurations of a study's runs, and whether their comparison is fair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seed_grpo.ablation.job import Job
from seed_grpo.ablation.study import Arm, Study, find_study, read_study, with_overrides
from seed_grpo.errors import UsageError

if TYPE_CHECKING:
    from omegaconf import DictConfig

SHARED = (
    "data.seed",
    "data.shuffle",
    "actor_rollout_ref.actor.data_loader_seed",
    "actor_rollout_ref.rollout.seed",
    "trainer.total_epochs",
    "trainer.test_freq",
    "trainer.val_before_train",
)
"""Equal in all arms, in addition to the budget: the randomness, and when accuracy is measured."""
SHARED_WITH_REFERENCE = (
    "actor_rollout_ref.model.path",
    "data.train_files",
    "data.val_files",
    "data.max_prompt_length",
)
"""Equal in an arm and the one that it is compared with: where training starts, and on what data."""


@dataclass(frozen=True)
class Budget:
    """What a run may use: prompts per step, responses per prompt, prompts per minibatch, steps."""

    prompts: int
    group_size: int
    minibatch_prompts: int
    steps: int

    @property
    def samples_per_step(self) -> int:
        return self.prompts * self.group_size

    @property
    def updates_per_step(self) -> int:
        return self.prompts // self.minibatch_prompts

    @property
    def samples(self) -> int:
        """Responses in the whole run."""
        return self.samples_per_step * self.steps


def budget_of(config: DictConfig) -> Budget:
    """The budget of a composed configuration."""
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    return Budget(
        config.data.train_batch_size, rollout.n, actor.ppo_mini_batch_size, config.trainer.total_training_steps
    )


def compose_study(study: Study, out: Path) -> dict[str, DictConfig]:
    """The configuration of each arm's first run, by the arm's name, all of them checked.

    Raises:
        UsageError: an override that cannot be applied, or arms that are not comparable.
    """
    configs = {arm.name: Job(study, out, arm, study.seeds_of(arm)[0]).compose() for arm in study.arms}
    check_fair(study, configs)
    return configs


def load_composed(name_or_file: str | Path, overrides: Sequence[str], out: Path) -> tuple[Study, dict[str, DictConfig]]:
    """A shipped study or a file, and the configuration of each arm's first run (`compose_study`).

    Args:
        name_or_file: of the study.
        overrides: further Hydra overrides for all arms.
        out: the study's folder.

    Raises:
        UsageError: naming the file, what is wrong, and the remedy.
    """
    path = find_study(name_or_file)
    study = with_overrides(read_study(path), overrides)
    try:
        return study, compose_study(study, out)
    except UsageError as error:
        raise UsageError(f"{path}: {error.cause}", error.remedy) from error


def check_fair(study: Study, configs: Mapping[str, DictConfig]) -> None:
    """Check that the arms differ in nothing that would make their comparison meaningless.

    Raises:
        UsageError: the first arm that has more samples, updates or evaluations than the baseline, other randomness, or
            another start than the arm that it is compared with.
    """
    for arm in study.arms:
        try:
            _check_budget(study, configs[arm.name], configs[study.baseline])
            _check_evaluation(study, configs[arm.name])
        except UsageError as error:
            raise UsageError(f"arm {arm.name}: {error.cause}", error.remedy) from error
        _check_equal(arm, configs[arm.name], study.baseline, configs[study.baseline], SHARED)
        reference = study.against(arm.name)
        if reference is not None:
            _check_equal(arm, configs[arm.name], reference, configs[reference], SHARED_WITH_REFERENCE)


def _check_budget(study: Study, config: DictConfig, baseline: DictConfig) -> None:
    budget, theirs = budget_of(config), budget_of(baseline)
    if budget.steps is None or budget.steps < 1:
        raise UsageError(
            f"trainer.total_training_steps is {budget.steps}.", "give the study a number of steps, under `overrides`."
        )
    if budget.prompts % budget.minibatch_prompts:
        raise UsageError(
            f"data.train_batch_size={budget.prompts} is not a multiple of "
            f"actor_rollout_ref.actor.ppo_mini_batch_size={budget.minibatch_prompts}.",
            "both count prompts; let the first be a multiple of the second.",
        )
    for what, keys in (
        ("steps", "trainer.total_training_steps"),
        ("samples_per_step", "data.train_batch_size × actor_rollout_ref.rollout.n"),
        ("updates_per_step", "data.train_batch_size / actor_rollout_ref.actor.ppo_mini_batch_size"),
    ):
        mine, other = getattr(budget, what), getattr(theirs, what)
        if mine != other:
            raise UsageError(
                f"{keys} is {mine}, and {other} in {study.baseline}: the arms have unequal {what.replace('_', ' ')}.",
                "make them equal; put a budget for all arms under the study's `overrides`.",
            )


def _check_evaluation(study: Study, config: DictConfig) -> None:
    trainer = config.trainer
    if not study.benchmarks and trainer.test_freq <= 0:
        raise UsageError(
            f"trainer.test_freq={trainer.test_freq} measures nothing, and the study has no benchmarks.",
            "give trainer.test_freq, or `benchmarks`.",
        )
    if study.benchmarks and trainer.save_freq <= 0:
        raise UsageError(
            f"trainer.save_freq={trainer.save_freq} leaves no checkpoint, and the study has benchmarks.",
            "give trainer.save_freq, or remove `benchmarks`.",
        )


def _check_equal(arm: Arm, config: DictConfig, other: str, other_config: DictConfig, keys: Sequence[str]) -> None:
    from omegaconf import OmegaConf

    for key in keys:
        mine, theirs = OmegaConf.select(config, key), OmegaConf.select(other_config, key)
        if mine != theirs:
            remedy = "put it under the study's `overrides`, for all arms"
            if key in SHARED_WITH_REFERENCE:
                remedy += f", or set the arm's `against` to an arm that shares it ({arm.name} itself: to none)"
            raise UsageError(
                f"arm {arm.name}: {key} is {mine}, and {theirs} in {other}, with which it is compared.",
                f"{remedy}.",
            )
