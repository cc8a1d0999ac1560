"""Carrying a study out: what is left of it goes to Hydra's multirun, and the runs' folders say how it fares."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.ablation.compose import base_folder, budget_of, quoted, run_folder
from seed_grpo.ablation.estimate import RunKey, RunTimes, run_times
from seed_grpo.ablation.overview import Overview
from seed_grpo.ablation.run import State, has_records, remove_checkpoints, state_of
from seed_grpo.ablation.study import Study, read_study, write_study
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.runs.names import CONFIG, STUDY

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from rich.console import Console

LAUNCHERS = {"local": "basic", "slurm": "submitit_slurm"}
"""Our names and Hydra's."""
SLURM_DEFAULTS = ("hydra.launcher.timeout_min=1440", "hydra.launcher.max_num_timeout=20")
"""A run that is cut off by the time limit is queued again, and goes on from its newest checkpoint."""
STOP_SECONDS = 60
POLL_SECONDS = 1.0
OF_THE_MACHINE = re.compile(
    r"(ray_kwargs|transfer_queue|seed_grpo_runtime)\..*|(.*\.)?(nnodes|n_gpus_per_node|num_workers)"
)
"""What may differ between the configuration of a run that is there and the study's: how much of which machine, and how
it is driven there."""


@dataclass(frozen=True)
class Selection:
    """The runs that an invocation is about, and what their folders say.

    Attributes:
        study: all of it.
        configs: of each arm (`compose_study`).
        out: the study's folder.
        keys: the runs, in the order in which they are run: seeds outermost, so that an interrupted study has whole
            seeds (`select`).
    """

    study: Study
    configs: Mapping[str, DictConfig]
    out: Path
    keys: tuple[RunKey, ...]

    @property
    def steps(self) -> int:
        """Of each run."""
        return budget_of(self.configs[self.study.baseline]).steps

    def states(self) -> dict[RunKey, State]:
        """The state of every run of the study, selected or not."""
        study = self.study
        return {
            (arm.name, seed): state_of(study, self.out, arm.name, seed) for seed in study.seeds for arm in study.arms
        }

    def times(self, states: Mapping[RunKey, State]) -> RunTimes:
        """How long its runs take."""
        return run_times(self.study, states, self.steps)


def select(study: Study, arms: Sequence[str] = (), seeds: Sequence[int] = ()) -> tuple[RunKey, ...]:
    """The runs of some arms and seeds, in the order in which they are run; none chooses all.

    Raises:
        UsageError: one that the study does not have.
    """
    for arm in arms:
        study.arm(arm)
    for seed in seeds:
        if seed not in study.seeds:
            known = ", ".join(map(str, study.seeds))
            raise UsageError(f"The study {study.name} has no seed {seed}.", f"its seeds are {known}; add it there.")
    return tuple(
        (arm.name, seed)
        for seed in study.seeds
        for arm in study.arms
        if (not arms or arm.name in arms) and (not seeds or seed in seeds)
    )


def check_folder(selection: Selection) -> None:
    """Check that the output folder holds this study or none, and that its runs are the study's.

    Raises:
        UsageError: naming the run and the key that differs.
    """
    study, out = selection.study, selection.out
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file.", "choose another --out.")
    if (out / STUDY).is_file():
        earlier = read_study(out / STUDY)
        if earlier.name != study.name:
            raise UsageError(f"{out} holds the study {earlier.name}, not {study.name}.", "choose another --out.")
    for arm, seed in selection.keys:
        folder = run_folder(out, arm, seed)
        if not has_records(folder):
            continue
        difference = first_difference(folder, selection.configs[arm], study, out, seed)
        if difference:
            raise UsageError(
                f"{folder} holds a run of another configuration: {difference}.",
                "choose another --out, give the arm another name, or remove that folder.",
            )


def first_difference(folder: Path, config: DictConfig, study: Study, out: Path, seed: int) -> str | None:
    """The first key in which the run in a folder differs from the arm's configuration with that seed."""
    from omegaconf import OmegaConf

    config = config.copy()
    before = OmegaConf.load(folder / CONFIG)
    # The configuration is that of the arm's first seed: these are what a seed changes.
    config.seed = seed
    config.trainer.default_local_dir = str(folder.absolute())
    config.trainer.experiment_name = before.trainer.experiment_name
    if study.quickstart:
        config.quickstart_dir = str(base_folder(out, seed).absolute())
    # The study's folder may have been moved since.
    there = str(before.trainer.default_local_dir).removesuffix(str(folder.relative_to(out)))
    old = flat(OmegaConf.to_container(before), there)
    new = flat(OmegaConf.to_container(config, resolve=True), str(out.absolute()) + os.sep)
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


def run_study(
    selection: Selection,
    console: Console,
    *,
    launcher: str = "local",
    launcher_overrides: Sequence[str] = (),
    retry_failed: bool = False,
) -> dict[RunKey, State]:
    """Run what is left of the selection, and return the states of all runs of the study.

    Args:
        selection: what `check_folder` passed.
        console: for the overview.
        launcher: `local`, one after the other, or `slurm`, a job for each run.
        launcher_overrides: Hydra overrides of the launcher, such as `hydra.launcher.partition=gpu`.
        retry_failed: also those that failed before.

    Raises:
        SeedGrpoError: the runs could not be started.
        KeyboardInterrupt: after what was started has been ended; jobs in a queue stay there.
    """
    check_launcher(launcher)
    out = selection.out
    out.mkdir(parents=True, exist_ok=True)
    write_study(selection.study, out / STUDY)
    states = selection.states()
    over = ("done",) if retry_failed else ("done", "failed")
    todo = [key for key in selection.keys if states[key].kind not in over]
    if not todo:
        return states
    stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    logs = out / "logs" / stamp
    logs.mkdir(parents=True)
    name = f"ablate-{selection.study.name}-{stamp}"
    command = _command(todo, out, logs, name, launcher, launcher_overrides, retry_failed)
    overview = Overview(console, selection.study, selection.steps, selection.keys, states)
    try:
        with _multirun(command, logs) as process, overview:
            while True:
                # In this order: what happens between the two is seen in the next round.
                ended = process.poll() is not None and not (launcher == "slurm" and _in_queue(name))
                states = selection.states()
                overview.show(states, selection.times(states))
                if ended:
                    break
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        if launcher == "slurm":
            console.print(f"The jobs stay in the queue; scancel --name={name} ends them.", highlight=False)
        raise
    if not selection.study.keep_checkpoints:
        for key in selection.keys:
            if states[key].kind == "done":
                remove_checkpoints(run_folder(out, *key))
    unfinished = [key for key in todo if states[key].kind == "waiting"]
    if process.returncode != 0 and len(unfinished) == len(todo):
        lines = (logs / "log").read_text(encoding="utf-8", errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "no word")
        raise SeedGrpoError(
            f"The runs could not be started (status {process.returncode}): {said}", f"see {logs / 'log'}."
        )
    return states


def check_launcher(launcher: str) -> None:
    """Check that what the launcher needs is there.

    Raises:
        UsageError: with what to install.
    """
    if launcher != "slurm":
        return
    if find_spec("hydra_plugins") is None or find_spec("hydra_plugins.hydra_submitit_launcher") is None:
        raise UsageError("The launcher slurm needs hydra-submitit-launcher.", "pip install 'seed-grpo[slurm]'.")
    if shutil.which("sbatch") is None:
        raise UsageError("There is no Slurm here: no sbatch.", "start this where sbatch works, or --launcher local.")


def _command(
    todo: Sequence[RunKey],
    out: Path,
    logs: Path,
    name: str,
    launcher: str,
    launcher_overrides: Sequence[str],
    retry_failed: bool,
) -> list[str]:
    runs = ",".join(quoted(f"{arm}/seed_{seed}") for arm, seed in todo)
    return [
        *(sys.executable, "-m", "seed_grpo.ablation.job", "--multirun", f"run={runs}"),
        f"out={quoted(out.absolute())}",
        f"retry_failed={retry_failed}",
        f"hydra/launcher={LAUNCHERS[launcher]}",
        f"hydra.sweep.dir={quoted(logs.absolute())}",
        "hydra.sweep.subdir=.",
        "hydra.output_subdir=null",
        *([f"hydra.launcher.name={name}", *SLURM_DEFAULTS] if launcher == "slurm" else []),
        *launcher_overrides,
    ]


@contextmanager
def _multirun(command: Sequence[str], logs: Path) -> Iterator[subprocess.Popen]:
    """Hydra's multirun in a process of its own, which is ended with this block."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    with open(logs / "log", "ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # its end tells the process that this one is gone
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        signal.signal(signal.SIGTERM, before)


def _in_queue(name: str) -> bool:
    """Whether Slurm still has jobs of that name."""
    command = ["squeue", "--noheader", f"--name={name}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and bool(done.stdout.strip())
