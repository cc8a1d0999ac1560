"""The configurations of a study's runs, and whether their comparison is fair."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.ablation.study import Arm, Study, find_study, read_study, with_overrides
from seed_grpo.errors import UsageError
from seed_grpo.training.compose import compose_config

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
"""Equal in all arms, beside the budget: the randomness, and when accuracy is measured."""
SHARED_WITH_REFERENCE = (
    "actor_rollout_ref.model.path",
    "data.train_files",
    "data.val_files",
    "data.max_prompt_length",
)
"""Equal in an arm and the one that it is compared with: where both start, and on what."""


@dataclass(frozen=True)
class Budget:
    """What a run may use: prompts a step, responses a prompt, minibatches a step, steps."""

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


def base_folder(out: Path, seed: int) -> Path:
    """The warm-started model and data of a seed, for all arms."""
    return out / "base" / f"seed_{seed}"


def run_folder(out: Path, arm: str, seed: int) -> Path:
    """The output folder of one run."""
    return out / "runs" / arm / f"seed_{seed}"


def run_overrides(study: Study, arm: Arm, seed: int, out: Path) -> list[str]:
    """The Hydra overrides of one run."""
    own = {"seed": str(seed), "trainer.default_local_dir": quoted(run_folder(out, arm.name, seed).absolute())}
    if study.quickstart:
        own["quickstart_dir"] = quoted(base_folder(out, seed).absolute())
    own["trainer.experiment_name"] = quoted(f"{study.name}/{arm.name}/seed_{seed}")
    return [*study.overrides, *arm.overrides, *(f"{key}={value}" for key, value in own.items())]


def quoted(value: Any) -> str:
    """A text as a value of Hydra's grammar, where a backslash means itself unless a quote follows."""
    text = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), str(value))
    return f"'{text}'"


def compose_run(study: Study, arm: Arm, seed: int, out: Path) -> DictConfig:
    """The configuration of one run.

    Raises:
        UsageError: naming the arm.
    """
    try:
        return compose_config(run_overrides(study, arm, seed, out))
    except UsageError as error:
        raise UsageError(f"arm {arm.name}: {error.cause}", error.remedy) from error


def compose_study(study: Study, out: Path) -> dict[str, DictConfig]:
    """The configuration of each arm's first run, by the arm's name, all of them checked.

    Raises:
        UsageError: an override that cannot be applied, or arms that are not comparable.
    """
    configs = {arm.name: compose_run(study, arm, study.seeds[0], out) for arm in study.arms}
    check_fair(study, configs)
    return configs


def load_study(name_or_file: str | Path, overrides: Sequence[str] = ()) -> Study:
    """A shipped study or a file, with further overrides for all arms, read and checked; each arm is composed once.

    Raises:
        UsageError: naming the file, what is wrong, and the remedy.
    """
    return load_composed(name_or_file, overrides, Path("study"))[0]


def load_composed(name_or_file: str | Path, overrides: Sequence[str], out: Path) -> tuple[Study, dict[str, DictConfig]]:
    """The like, with what `compose_study` gives for an output folder."""
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
    baseline = budget_of(configs[study.baseline])
    for arm in study.arms:
        config, budget = configs[arm.name], budget_of(configs[arm.name])
        if budget.steps is None or budget.steps < 1:
            raise UsageError(
                f"arm {arm.name}: trainer.total_training_steps is {budget.steps}.",
                "give the study a number of steps, under `overrides`.",
            )
        if budget.prompts % budget.minibatch_prompts:
            raise UsageError(
                f"arm {arm.name}: data.train_batch_size={budget.prompts} is no multiple of "
                f"actor_rollout_ref.actor.ppo_mini_batch_size={budget.minibatch_prompts}.",
                "both count prompts; let the first be a multiple of the second.",
            )
        for what, keys in (
            ("steps", "trainer.total_training_steps"),
            ("samples_per_step", "data.train_batch_size × actor_rollout_ref.rollout.n"),
            ("updates_per_step", "data.train_batch_size / actor_rollout_ref.actor.ppo_mini_batch_size"),
        ):
            mine, theirs = getattr(budget, what), getattr(baseline, what)
            if mine != theirs:
                raise UsageError(
                    f"arm {arm.name}: {keys} is {mine}, and {theirs} in {study.baseline}: "
                    f"the arms have unequal {what.replace('_', ' ')}.",
                    "make them equal; put a budget for all arms under the study's `overrides`.",
                )
        if not study.benchmarks and config.trainer.test_freq <= 0:
            raise UsageError(
                f"arm {arm.name}: trainer.test_freq={config.trainer.test_freq} measures nothing, and the study has no "
                "benchmarks.",
                "give trainer.test_freq, or `benchmarks`.",
            )
        if study.benchmarks and config.trainer.save_freq <= 0:
            raise UsageError(
                f"arm {arm.name}: trainer.save_freq={config.trainer.save_freq} leaves no checkpoint, and the study has "
                "benchmarks.",
                "give trainer.save_freq, or remove `benchmarks`.",
            )
        _check_equal(arm, config, study.baseline, configs[study.baseline], SHARED)
        reference = study.against(arm.name)
        if reference is not None:
            _check_equal(arm, config, reference, configs[reference], SHARED_WITH_REFERENCE)


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
