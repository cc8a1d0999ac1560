"""One run of a study: its state on disk, and carrying it out."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from seed_grpo.ablation.job import Job
from seed_grpo.errors import RunStopped, SeedGrpoError
from seed_grpo.runs.files import replace_file
from seed_grpo.runs.names import CONFIG, EVAL_LOG, EVALUATION, FAILED, METRICS, RESULTS, RUNNING, SUMMARY, TRACKER

if TYPE_CHECKING:
    from omegaconf import DictConfig

MODEL = "exported"
LOCK = ".lock"
LOCK_SECONDS = 2.0
"""A process that only looks at a lock gives it back long before."""
LINGER_SECONDS = 60.0
"""How long the process of a killed run may take to notice and end."""

Kind = Literal["done", "running", "failed", "waiting"]


@dataclass(frozen=True)
class State:
    """The state of a run, as its folder shows it.

    Attributes:
        kind: `waiting` before the run and after an interruption.
        step: the last training step on record.
        seconds: the time it took, or has taken so far in this start; None if unknown.
        cause: of a failure, and its remedy.
        where: `host, process N` of one that is running.
        accuracy: on the validation set, before and after.
    """

    kind: Kind
    step: int = 0
    seconds: float | None = None
    cause: str = ""
    remedy: str = ""
    where: str = ""
    accuracy: tuple[float | None, float | None] = (None, None)

    @property
    def said(self) -> str:
        """Of a failure, in one line."""
        return f"{self.cause} Remedy: {self.remedy}" if self.remedy else self.cause


def state_of(job: Job) -> State:
    """The state of a run, read from its folder."""
    from seed_grpo.training.output import last_step

    folder = job.folder
    if is_done(job):
        summary = _read(folder / SUMMARY)
        times = [summary.get(name) for name in ("wall_seconds", "training_seconds")]
        return State(
            "done",
            summary.get("steps", 0),
            max((float(seconds) for seconds in times if seconds is not None), default=None),
            accuracy=(summary.get("base_accuracy"), summary.get("final_accuracy")),
        )
    running = _read(folder / RUNNING)
    if running and is_locked(folder):
        return State(
            "running",
            last_step(folder),
            max(time.time() - running.get("since", time.time()), 0.0),
            where=f"{running.get('host')}, process {running.get('process')}",
        )
    if (folder / FAILED).is_file():
        failed = _read(folder / FAILED)
        return State(
            "failed", last_step(folder), cause=str(failed.get("cause", "unknown")), remedy=str(failed.get("remedy", ""))
        )
    return State("waiting", last_step(folder))


def is_done(job: Job) -> bool:
    """Whether the run has ended, and its evaluation, if the study has one."""
    evaluated = not job.study.benchmarks or (job.folder / EVALUATION / RESULTS).is_file()
    return evaluated and (job.folder / SUMMARY).is_file()


def execute(job: Job, *, retry_failed: bool = False) -> Kind:
    """Carry a run out, unless it is done, failed before, or under way elsewhere. A failure is left in `failed.json`.

    Returns:
        The state that the run is in afterwards.
    """
    folder = job.folder
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder) as mine:
        if not mine:
            return "running"
        if is_done(job):
            return "done"
        if (folder / FAILED).is_file() and not retry_failed:
            return "failed"
        (folder / FAILED).unlink(missing_ok=True)
        _write(folder / RUNNING, {"host": socket.gethostname(), "process": os.getpid(), "since": time.time()})
        try:
            _carry_out(job)
        except RunStopped:
            return "waiting"
        except Exception as error:
            _leave_failure(folder, error)
            return "failed"
        finally:
            (folder / RUNNING).unlink(missing_ok=True)
    return "done"


def _leave_failure(folder: Path, error: Exception) -> None:
    if isinstance(error, SeedGrpoError):
        cause, remedy = error.cause, error.remedy
    else:
        cause, remedy = f"{type(error).__name__}: {error}", ""
    failure = {"cause": cause, "remedy": remedy, "host": socket.gethostname()}
    _write(folder / FAILED, {**failure, "time": time.strftime("%Y-%m-%d %H:%M:%S")})


def _carry_out(job: Job) -> None:
    from seed_grpo.training.launch import run_training

    config = job.compose()
    if job.study.quickstart:
        ensure_base(job)
    _wait_for_leftover(job.folder)
    run_training(config)
    if job.study.benchmarks:
        evaluate(job, config)
    if not job.study.keep_checkpoints:
        remove_checkpoints(job.folder)


def ensure_base(job: Job) -> None:
    """Make the warm-started model and data of the job's seed, once; whoever else needs them waits."""
    from seed_grpo.quickstart.prepare import prepare

    folder = job.base
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").is_file():
            prepare(folder, job.seed, job.study.task)
            (folder / "ready").touch()


def evaluate(job: Job, config: DictConfig) -> None:
    """Evaluate the last checkpoint of a run on the study's benchmarks, in a process of its own.

    Args:
        job: the run, which has ended.
        config: its configuration.

    Raises:
        SeedGrpoError: what `seed-grpo eval` ended with.
    """
    from seed_grpo.export.checkpoint import export
    from seed_grpo.training.preflight import data_files

    folder = job.folder
    model = folder / MODEL
    shutil.rmtree(model, ignore_errors=True)
    export(folder, model, config.trainer.total_training_steps)
    data = Path(data_files(config, "val_files")[0]).parent
    command = [
        *(sys.executable, "-m", "seed_grpo.cli", "eval", "--model", str(model), "--data", str(data)),
        *("--benchmarks", ",".join(job.study.benchmarks), "--out", str(folder / EVALUATION)),
        *job.study.eval_options,
    ]
    log = folder / EVAL_LOG
    with open(log, "ab") as output:
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output).returncode
    if status != 0:
        raise SeedGrpoError(f"The evaluation ended with status {status}.", f"see {log}.")
    shutil.rmtree(model)


def remove_checkpoints(folder: Path) -> None:
    """Remove what only resuming the run would need."""
    for checkpoint in folder.glob("global_step_*"):
        shutil.rmtree(checkpoint)
    (folder / TRACKER).unlink(missing_ok=True)


def is_locked(folder: Path) -> bool:
    """Whether a process works in the folder at this moment."""
    try:
        with open(folder / LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Hold the folder, if no other process does; the lock goes with the process, however that ends."""
    with open(folder / LOCK, "w") as lock:
        yield _acquire(lock)


def _acquire(lock: IO[str]) -> bool:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)


def _wait_for_leftover(folder: Path) -> None:
    """Wait until the driver of a killed start of this run has ended: it would still write into the folder.

    Raises:
        SeedGrpoError: it does not end.
    """
    import psutil

    config = str(folder.absolute() / CONFIG)
    deadline = time.monotonic() + LINGER_SECONDS
    while leftover := [p.pid for p in psutil.process_iter(["cmdline"]) if config in (p.info["cmdline"] or ())]:
        if time.monotonic() > deadline:
            raise SeedGrpoError(f"Process {leftover[0]} still runs {config}.", "end it, and start the study again.")
        time.sleep(0.5)


def has_records(folder: Path) -> bool:
    """Whether the folder holds a run, or the beginning of one."""
    return (folder / CONFIG).is_file() and ((folder / METRICS).is_file() or (folder / SUMMARY).is_file())


def _read(path: Path) -> dict[str, Any]:
    """An object from a file that is replaced as a whole; empty if there is none, or no longer."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, content: dict[str, Any]) -> None:
    replace_file(path, json.dumps(content, indent=2) + "\n")
