"""Which runs of a study a command is about, and whether the study's folder fits them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.ablation.compose import budget_of
from seed_grpo.ablation.estimate import RunTimes, run_times
from seed_grpo.ablation.job import Job, RunKey, all_jobs
from seed_grpo.ablation.registration import check_registered
from seed_grpo.ablation.run import State, has_records, state_of
from seed_grpo.ablation.study import Study, read_study
from seed_grpo.errors import UsageError
from seed_grpo.runs.names import CONFIG, STUDY

if TYPE_CHECKING:
    from omegaconf import DictConfig

OF_THE_MACHINE = re.compile(
    r"(ray_kwargs|transfer_queue|seed_grpo_runtime)\..*|(.*\.)?(nnodes|n_gpus_per_node|num_workers)"
)
"""What may differ between the configuration of an earlier run and the study's: how much of which machine the run uses,
and how it is driven there."""


@dataclass(frozen=True)
class Selection:
    """The runs that a command is about.

    Attributes:
        study: all of it.
        configs: of each arm (`compose_study`).
        out: the study's folder.
        keys: the selected runs, in the order in which they are run (`select`).
    """

    study: Study
    configs: Mapping[str, DictConfig]
    out: Path
    keys: tuple[RunKey, ...]

    @property
    def jobs(self) -> list[Job]:
        """The selected runs, in the order in which they are run."""
        return [Job(self.study, self.out, self.study.arm(arm), seed) for arm, seed in self.keys]

    @property
    def steps(self) -> int:
        """Of each run."""
        return budget_of(self.configs[self.study.baseline]).steps

    def states(self) -> dict[RunKey, State]:
        """The state of every run of the study, selected or not."""
        return {job.key: state_of(job) for job in all_jobs(self.study, self.out)}

    def times(self, states: Mapping[RunKey, State]) -> RunTimes:
        """How long its runs take."""
        return run_times(self.study, states, self.steps)


def select(study: Study, arms: Sequence[str] = (), seeds: Sequence[int] = ()) -> tuple[RunKey, ...]:
    """The runs of some arms and seeds, in the order in which they are run; with none named, of all.

    Raises:
        UsageError: an arm or a seed that the study does not have.
    """
    for arm in arms:
        study.arm(arm)
    for seed in seeds:
        if seed not in study.seeds:
            known = ", ".join(map(str, study.seeds))
            raise UsageError(f"The study {study.name} has no seed {seed}.", f"its seeds are {known}; add it there.")
    keys = (job.key for job in all_jobs(study, Path()))
    return tuple((arm, seed) for arm, seed in keys if (not arms or arm in arms) and (not seeds or seed in seeds))


def check_folder(selection: Selection) -> None:
    """Check that the output folder holds this study or none, and that its runs are the study's.

    Raises:
        UsageError: naming the run and the key that differs. SeedGrpoError: the study was registered, and has changed.
    """
    study, out = selection.study, selection.out
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file.", "choose another --out.")
    if (out / STUDY).is_file():
        earlier = read_study(out / STUDY)
        if earlier.name != study.name:
            raise UsageError(f"{out} holds the study {earlier.name}, not {study.name}.", "choose another --out.")
    check_registered(study, out)
    for job in selection.jobs:
        if not has_records(job.folder):
            continue
        difference = first_difference(job, selection.configs[job.arm.name])
        if difference:
            raise UsageError(
                f"{job.folder} holds a run of another configuration: {difference}.",
                "choose another --out, give the arm another name, or remove that folder.",
            )


def first_difference(job: Job, config: DictConfig) -> str | None:
    """The first key in which a run on disk differs from what it would be now.

    Args:
        job: the run.
        config: of the same arm, with any seed.
    """
    from omegaconf import OmegaConf

    from seed_grpo.settings import Settings

    config = config.copy()
    before = OmegaConf.load(job.folder / CONFIG)
    if "seed_grpo" in before:
        before.seed_grpo = Settings.from_config(before.seed_grpo).as_dict()  # of an earlier version
    # These are what a seed changes.
    config.seed = job.seed
    config.trainer.default_local_dir = str(job.folder.absolute())
    config.trainer.experiment_name = before.trainer.experiment_name
    if job.study.quickstart:
        config.quickstart_dir = str(job.base.absolute())
    # The study's folder may have been moved since.
    there = str(before.trainer.default_local_dir).removesuffix(str(job.folder.relative_to(job.out)))
    old = flat(OmegaConf.to_container(before), there)
    new = flat(OmegaConf.to_container(config, resolve=True), str(job.out.absolute()) + os.sep)
    for key in {**old, **new}:
        if old.get(key) != new.get(key) and not OF_THE_MACHINE.fullmatch(key):
            return f"{key} was {old.get(key)} and is {new.get(key)}"
    return None


def flat(node: Any, folder: str, prefix: str = "") -> dict[str, Any]:
    """All leaves by their dotted names, with paths into the folder made relative to it; lists are leaves."""
    if isinstance(node, dict) and node:
        return {
            name: leaf for key, child in node.items() for name, leaf in flat(child, folder, f"{prefix}{key}.").items()
        }
    if isinstance(node, list):
        node = [item.removeprefix(folder) if isinstance(item, str) else item for item in node]
    return {prefix.removesuffix("."): node.removeprefix(folder) if isinstance(node, str) else node}
