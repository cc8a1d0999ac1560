"""One run of a study: an arm with a seed, and its place in the study's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seed_grpo.ablation.study import Arm, Study
from seed_grpo.errors import UsageError
from seed_grpo.overrides import quoted
from seed_grpo.training.compose import compose_config

if TYPE_CHECKING:
    from omegaconf import DictConfig

RunKey = tuple[str, int]
"""An arm's name and a seed."""


@dataclass(frozen=True)
class Job:
    """One run of a study.

    Attributes:
        study: all of it.
        out: the study's folder.
        arm: of the run.
        seed: of the run.
    """

    study: Study
    out: Path
    arm: Arm
    seed: int

    @classmethod
    def named(cls, study: Study, out: Path, name: str) -> Job:
        """The job of a name such as `alpha_0.5/seed_2`."""
        arm, _, seed = name.rpartition("/seed_")
        return cls(study, out, study.arm(arm), int(seed))

    @property
    def key(self) -> RunKey:
        return self.arm.name, self.seed

    @property
    def name(self) -> str:
        return f"{self.arm.name}/seed_{self.seed}"

    @property
    def folder(self) -> Path:
        """The output folder of the run."""
        return self.out / "runs" / self.name

    @property
    def base(self) -> Path:
        """The folder of the warm-started model and data of the seed, which all arms share."""
        return self.out / "base" / f"seed_{self.seed}"

    @property
    def overrides(self) -> list[str]:
        """The Hydra overrides of the run."""
        own = {"seed": str(self.seed), "trainer.default_local_dir": quoted(self.folder.absolute())}
        if self.study.quickstart:
            own["quickstart_dir"] = quoted(self.base.absolute())
        own["trainer.experiment_name"] = quoted(f"{self.study.name}/{self.name}")
        return [*self.study.overrides, *self.arm.overrides, *(f"{key}={value}" for key, value in own.items())]

    def compose(self) -> DictConfig:
        """The configuration of the run.

        Raises:
            UsageError: naming the arm.
        """
        try:
            return compose_config(self.overrides)
        except UsageError as error:
            raise UsageError(f"arm {self.arm.name}: {error.cause}", error.remedy) from error


def all_jobs(study: Study, out: Path) -> list[Job]:
    """Every run of a study, seeds outermost: a study that is interrupted then has whole seeds."""
    return [Job(study, out, arm, seed) for seed in study.seeds for arm in study.arms if seed in study.seeds_of(arm)]
