"""Carrying a study out: Hydra's multirun runs what is left of it, and the folders of the runs show the progress."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.ablation.job import Job, RunKey
from seed_grpo.ablation.overview import Overview
from seed_grpo.ablation.registration import register
from seed_grpo.ablation.run import State, remove_checkpoints
from seed_grpo.ablation.selection import Selection
from seed_grpo.ablation.study import write_study
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.overrides import quoted
from seed_grpo.runs.files import writable_folder
from seed_grpo.runs.names import STUDY
from seed_grpo.terminal import say

if TYPE_CHECKING:
    from rich.console import Console

LAUNCHERS = {"local": "basic", "slurm": "submitit_slurm"}
"""Our names and Hydra's."""
SLURM_DEFAULTS = ("hydra.launcher.timeout_min=1440", "hydra.launcher.max_num_timeout=20")
"""A run that the time limit cuts off is queued again, and resumes from its newest checkpoint."""
STOP_SECONDS = 60
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Launch:
    """How the runs are started.

    Attributes:
        launcher: `local`, one run after the other, or `slurm`, a job for each run.
        overrides: Hydra overrides of the launcher, such as `hydra.launcher.partition=gpu`.
        retry_failed: start runs again that failed before.
    """

    launcher: str = "local"
    overrides: Sequence[str] = ()
    retry_failed: bool = False

    def __post_init__(self) -> None:
        if self.launcher not in LAUNCHERS:
            raise UsageError(f"Unknown launcher {self.launcher!r}.", f"choose one of {', '.join(LAUNCHERS)}.")
        if self.launcher == "local" and self.overrides:
            raise UsageError(f"{self.overrides[0]} is for another launcher than local.", "add --launcher slurm.")

    def check(self) -> None:
        """Check that the launcher can be used here.

        Raises:
            UsageError: with what to install.
        """
        if self.launcher != "slurm":
            return
        if find_spec("hydra_plugins") is None or find_spec("hydra_plugins.hydra_submitit_launcher") is None:
            raise UsageError("The launcher slurm needs hydra-submitit-launcher.", "pip install 'seed-grpo[slurm]'.")
        if shutil.which("sbatch") is None:
            raise UsageError("There is no sbatch here.", "start this where Slurm works, or use --launcher local.")


@dataclass(frozen=True)
class _Multirun:
    """One start of Hydra's multirun.

    Attributes:
        name: of Slurm's jobs.
        jobs: in order.
        launch: how.
        logs: the folder for what it says.
    """

    name: str
    jobs: Sequence[Job]
    launch: Launch
    logs: Path

    @property
    def command(self) -> list[str]:
        slurm = self.launch.launcher == "slurm"
        return [
            *(sys.executable, "-m", "seed_grpo.ablation.multirun", "--multirun"),
            f"run={','.join(quoted(job.name) for job in self.jobs)}",
            f"out={quoted(self.jobs[0].out.absolute())}",
            f"retry_failed={self.launch.retry_failed}",
            f"hydra/launcher={LAUNCHERS[self.launch.launcher]}",
            f"hydra.sweep.dir={quoted(self.logs.absolute())}",
            "hydra.sweep.subdir=.",
            "hydra.output_subdir=null",
            *([f"hydra.launcher.name={self.name}", *SLURM_DEFAULTS] if slurm else []),
            *self.launch.overrides,
        ]

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen]:
        """The multirun in a process of its own, which is ended with this block."""

        def interrupt(*_: Any) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGTERM, interrupt)
        with open(self.logs / "log", "ab") as log:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,  # its end tells the process that this one is gone
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "OMP_WAIT_POLICY": "PASSIVE"},
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

    def in_queue(self) -> bool:
        """Whether Slurm still has jobs of this start."""
        if self.launch.launcher != "slurm":
            return False
        command = ["squeue", "--noheader", f"--name={self.name}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0 and bool(done.stdout.strip())

    def last_words(self) -> str:
        """The last line of its log."""
        lines = (self.logs / "log").read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "no word")


def run_study(selection: Selection, console: Console, launch: Launch) -> dict[RunKey, State]:
    """Run what is left of the selection, and return the states of all runs of the study.

    Args:
        selection: what `check_folder` passed.
        console: for the overview.
        launch: how to start the runs.

    Raises:
        SeedGrpoError: the runs could not be started.
        KeyboardInterrupt: after what was started has been ended; jobs in a queue stay there.
    """
    launch.check()
    out = selection.out
    writable_folder(out)
    register(selection.study, out)
    write_study(selection.study, out / STUDY)
    states = selection.states()
    over = ("done",) if launch.retry_failed else ("done", "failed")
    todo = [job for job in selection.jobs if states[job.key].kind not in over]
    if not todo:
        return states
    stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    multirun = _Multirun(f"ablate-{selection.study.name}-{stamp}", todo, launch, out / "logs" / stamp)
    multirun.logs.mkdir(parents=True)
    try:
        states, status = _watch(multirun, selection, console, states)
    except KeyboardInterrupt:
        if launch.launcher == "slurm":
            say(f"The jobs stay in the queue; scancel --name={multirun.name} ends them.", console)
        raise
    if not selection.study.keep_checkpoints:
        for job in selection.jobs:
            if states[job.key].kind == "done":
                remove_checkpoints(job.folder)
    if status != 0 and all(states[job.key].kind == "waiting" for job in todo):
        raise SeedGrpoError(
            f"The runs could not be started (status {status}): {multirun.last_words()}", f"see {multirun.logs / 'log'}."
        )
    return states


def _watch(
    multirun: _Multirun, selection: Selection, console: Console, before: dict[RunKey, State]
) -> tuple[dict[RunKey, State], int]:
    """Start the runs and show their progress; returns their states at the end, and the multirun's exit status."""
    overview = Overview(console, selection.study, selection.steps, selection.keys, before)
    with multirun.process() as process, overview:
        while True:
            # In this order: what happens between the two is seen in the next round.
            ended = process.poll() is not None and not multirun.in_queue()
            states = selection.states()
            overview.show(states, selection.times(states))
            if ended:
                return states, process.returncode
            time.sleep(POLL_SECONDS)


def finish(selection: Selection, states: dict[RunKey, State], console: Console) -> None:
    """Write the results of what has ended, and say what became of the selected runs.

    Args:
        selection: of runs.
        states: of all runs of the study.
        console: where to.

    Raises:
        SeedGrpoError: naming the runs that failed, or that ended without a result.
    """
    if any(state.kind == "done" for state in states.values()):
        from seed_grpo.ablation.report import write_results

        write_results(selection.out, selection.study)
    kinds = {key: states[key].kind for key in selection.keys}

    def named(kind: str) -> list[str]:
        return [f"{arm} seed {seed}" for (arm, seed), found in kinds.items() if found == kind]

    for (arm, seed), kind in kinds.items():
        if kind == "failed":
            say(f"failed: {arm} seed {seed}: {states[arm, seed].said}", console)
    if elsewhere := named("running"):
        say(f"still running in another command: {', '.join(elsewhere)}", console)
    done = named("done")
    where = f"; tables and figures: {selection.out / 'results.md'}" if done else ""
    say(f"{len(done)} of {len(kinds)} runs are done{where}", console)
    if failed := named("failed"):
        raise SeedGrpoError(
            f"{len(failed)} of {len(kinds)} runs failed: {', '.join(failed)}.",
            "see failed.json and train.log in their folders; run the command again with --retry-failed.",
        )
    if unfinished := named("waiting"):
        raise SeedGrpoError(
            f"{len(unfinished)} of {len(kinds)} runs ended without a result: {', '.join(unfinished)}.",
            f"see {selection.out / 'logs'}; run the command again to resume.",
        )
