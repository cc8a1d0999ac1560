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

from seed_grpo.ablation.compose import base_folder, compose_run, run_folder
from seed_grpo.ablation.study import Study
from seed_grpo.errors import RunStopped, SeedGrpoError
from seed_grpo.runs.files import replace_file
from seed_grpo.runs.names import CONFIG, EVAL_LOG, EVALUATION, FAILED, METRICS, RESULTS, RUNNING, SUMMARY, TRACKER

if TYPE_CHECKING:
    from omegaconf import DictConfig

MODEL = "exported"
LOCK = ".lock"
LOCK_SECONDS = 2.0
"""A lock that somebody only looks at is free again long before."""
LINGER_SECONDS = 60.0
"""How long the process of a killed run may take to notice and end."""

Kind = Literal["done", "running", "failed", "waiting"]


@dataclass(frozen=True)
class State:
    """What a run's folder says of it.

    Attributes:
        kind: `waiting` also after an interruption.
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


def state_of(study: Study, out: Path, arm: str, seed: int) -> State:
    """The state of a run, read from its folder."""
    from seed_grpo.training.preflight import last_step

    folder = run_folder(out, arm, seed)
    if is_done(study, folder):
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


def is_done(study: Study, folder: Path) -> bool:
    """Whether the run has ended, and its evaluation, if the study has one."""
    return (folder / SUMMARY).is_file() and (not study.benchmarks or (folder / EVALUATION / RESULTS).is_file())


def execute(study: Study, out: Path, arm: str, seed: int, *, retry_failed: bool = False) -> Kind:
    """Carry a run out, unless it is done, failed before, or under way elsewhere. A failure is left in `failed.json`.

    Returns:
        The state that the run is in afterwards.
    """
    folder = run_folder(out, arm, seed)
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder) as mine:
        if not mine:
            return "running"
        if is_done(study, folder):
            return "done"
        if (folder / FAILED).is_file() and not retry_failed:
            return "failed"
        (folder / FAILED).unlink(missing_ok=True)
        _write(folder / RUNNING, {"host": socket.gethostname(), "process": os.getpid(), "since": time.time()})
        try:
            _carry_out(study, out, arm, seed)
        except RunStopped:
            return "waiting"
        except Exception as error:
            ours = isinstance(error, SeedGrpoError)
            _write(
                folder / FAILED,
                {
                    "cause": error.cause if ours else f"{type(error).__name__}: {error}",  # type: ignore[attr-defined]
                    "remedy": error.remedy if ours else "",  # type: ignore[attr-defined]
                    "host": socket.gethostname(),
                    "time": time.strftime("%Y-%m-%d %H:%M:%S"),
                },
            )
            return "failed"
        finally:
            (folder / RUNNING).unlink(missing_ok=True)
    return "done"


def _carry_out(study: Study, out: Path, arm: str, seed: int) -> None:
    from seed_grpo.training.launch import run_training

    folder = run_folder(out, arm, seed)
    config = compose_run(study, study.arm(arm), seed, out)
    if study.quickstart:
        ensure_base(out, seed)
    _wait_for_leftover(folder)
    run_training(config)
    if study.benchmarks:
        evaluate(study, config, folder)
    if not study.keep_checkpoints:
        remove_checkpoints(folder)


def ensure_base(out: Path, seed: int) -> None:
    """Make the warm-started model and data of a seed, once; whoever else needs them waits."""
    from seed_grpo.quickstart.prepare import prepare

    folder = base_folder(out, seed)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").is_file():
            prepare(folder, seed)
            (folder / "ready").touch()


def evaluate(study: Study, config: DictConfig, folder: Path) -> None:
    """Evaluate the last checkpoint of a run on the study's benchmarks, in a process of its own.

    Raises:
        SeedGrpoError: what `seed-grpo eval` ended with.
    """
    from seed_grpo.export.checkpoint import export
    from seed_grpo.training.preflight import data_files

    model = folder / MODEL
    shutil.rmtree(model, ignore_errors=True)
    export(folder, model, config.trainer.total_training_steps)
    data = Path(data_files(config, "val_files")[0]).parent
    command = [
        *(sys.executable, "-m", "seed_grpo.cli", "eval", "--model", str(model), "--data", str(data)),
        *("--benchmarks", ",".join(study.benchmarks), "--out", str(folder / EVALUATION)),
        *study.eval_options,
    ]
    log = folder / EVAL_LOG
    with open(log, "ab") as output:
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output).returncode
    if status != 0:
        raise SeedGrpoError(f"The evaluation ended with status {status}.", f"see {log}.")
    shutil.rmtree(model)


def remove_checkpoints(folder: Path) -> None:
    """Remove what only a continuation of the run would need."""
    for checkpoint in folder.glob("global_step_*"):
        shutil.rmtree(checkpoint)
    (folder / TRACKER).unlink(missing_ok=True)


def is_locked(folder: Path) -> bool:
    """Whether somebody works in the folder at this moment."""
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
    """Hold the folder, if nobody else does; the lock goes with the process, however that ends."""
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
    """Wait until the driver of a killed start of this run has ended: it would go on writing into the folder.

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
