"""The Hydra application whose multirun is a study: `python -m seed_grpo.ablation.multirun --multirun run=…,…`.

One swept name stands for an arm and a seed, because what is left of a study is seldom a product of arms and seeds. The
launcher is Hydra's own choice (`hydra/launcher=basic`, `submitit_slurm`, …); a job composes its run's configuration
from the study in the output folder. Started by `sweep`.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from seed_grpo.ablation.job import Job
from seed_grpo.ablation.run import execute
from seed_grpo.ablation.study import read_study
from seed_grpo.engines.threads import let_threads_sleep
from seed_grpo.runs.names import STUDY
from seed_grpo.training.driver import end_with_owner
from seed_grpo.training.ray_node import node_environment

APP = "ablation_job"


@dataclass
class JobConfig:
    """What Hydra hands to a job.

    Attributes:
        out: the study's folder.
        run: `ARM/seed_N`.
        retry_failed: run it although it failed before.
    """

    out: str = MISSING
    run: str = MISSING
    retry_failed: bool = False


ConfigStore.instance().store(name=APP, node=JobConfig)


@hydra.main(version_base=None, config_path=None, config_name=APP)
def main(config: JobConfig) -> None:
    """Carry out one run."""
    let_threads_sleep()
    for name in os.environ.keys() - node_environment().keys():
        del os.environ[name]
    out = Path(config.out)
    print(f"{config.run}: begins", flush=True)
    state = execute(Job.named(read_study(out / STUDY), out, config.run), retry_failed=config.retry_failed)
    print(f"{config.run}: {state}", flush=True)


if __name__ == "__main__":
    if not sys.stdin.isatty():
        threading.Thread(target=end_with_owner, daemon=True).start()
    # By its importable name, so that a launcher can hand it to another process.
    from seed_grpo.ablation.multirun import main as importable

    importable()
