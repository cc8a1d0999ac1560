"""Start a run in a process of its own, show its progress, and leave nothing behind but its output folder.

verl and Ray live in the child: their log goes to `train.log`, Ray's files to a temporary folder that is removed, and
whatever the child started is ended with it, also after Ctrl-C.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.errors import RunStopped, SeedGrpoError
from seed_grpo.runs.names import CONFIG, METRICS, STOP, STOPPED, SUMMARY, TRAIN_LOG
from seed_grpo.runs.records import read_lines
from seed_grpo.training.driver import FAILURE_MARK
from seed_grpo.training.engine import engine_error
from seed_grpo.training.preflight import check_run, last_step
from seed_grpo.training.processes import FOLDER, kill, started_by

if TYPE_CHECKING:
    from omegaconf import DictConfig

STOP_SECONDS = 30
"""Time for Ray to stop by itself before its processes are killed."""
END_SECONDS = 5
"""Time for what the driver leaves to end by itself."""
_interrupted = threading.Event()
"""Set by SIGINT and SIGTERM: an exception that a handler raises is lost where Python is just cleaning up an object."""


def run_training(config: DictConfig, *, verbose: bool = False) -> dict[str, Any]:
    """Train, and return the run's summary. A finished run is not run again, an interrupted one goes on.

    Args:
        config: a composed configuration.
        verbose: copy verl's log to the terminal.

    Raises:
        SeedGrpoError: a check before the run failed, or the run itself did.
        KeyboardInterrupt: after everything that was started has been ended.
    """
    import json

    from omegaconf import OmegaConf

    from seed_grpo.report.curves import plot_curves
    from seed_grpo.runs.summary import summarize, write_summary

    start = time.monotonic()
    check_run(config)
    folder = Path(config.trainer.default_local_dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    total = config.trainer.total_training_steps
    if (folder / SUMMARY).is_file() and total is not None and last_step(folder) >= total:
        return json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    OmegaConf.save(config, folder / CONFIG, resolve=True)
    for leftover in (STOP, STOPPED):
        (folder / leftover).unlink(missing_ok=True)
    with _signals(folder):
        _run_driver(config, folder, verbose)
    if (folder / STOPPED).exists():
        (folder / STOPPED).unlink()
        raise RunStopped(
            f"The run stopped after step {last_step(folder)}, as asked, with a checkpoint saved.",
            "start it again to go on.",
        )
    summary = summarize(folder, config, time.monotonic() - start)
    write_summary(folder, summary)
    plot_curves(folder)
    return summary


@contextmanager
def _signals(folder: Path) -> Iterator[None]:
    """SIGUSR1 stops the run after the current step, with a checkpoint; SIGTERM ends it at once, like Ctrl-C."""

    def stop_after_step(*_: Any) -> None:
        (folder / STOP).touch()

    def interrupt(*_: Any) -> None:
        _interrupted.set()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # signals go to the main thread
        return
    _interrupted.clear()
    handlers = {signal.SIGUSR1: stop_after_step, signal.SIGTERM: interrupt, signal.SIGINT: interrupt}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_driver(config: DictConfig, folder: Path, verbose: bool) -> None:
    # Ray puts sockets into its folder, and a socket's path must be short.
    scratch = tempfile.mkdtemp(prefix="seed-grpo-")
    log_path = folder / TRAIN_LOG
    with open(log_path, "ab") as log:
        log_start = log.tell()
        driver = subprocess.Popen(
            [sys.executable, "-m", "seed_grpo.training.driver", str(folder / CONFIG), scratch],
            stdin=subprocess.PIPE,  # its end tells the driver that its owner is gone
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "TENSORBOARD_DIR": str(folder / "tensorboard"),
                FOLDER: scratch,
                # Whatever still asks Ray for something after the end would otherwise start a Ray of its own.
                "RAY_ENABLE_AUTO_CONNECT": "0",
            },
        )
    try:
        _follow(driver, config, folder, log_path if verbose else None, log_start)
    finally:
        _stop(driver, scratch)
        shutil.rmtree(scratch, ignore_errors=True)
    if driver.returncode != 0:
        raise SeedGrpoError(*_failure(log_path, log_start, driver.returncode))


def _follow(driver: subprocess.Popen, config: DictConfig, folder: Path, log_path: Path | None, log_start: int) -> None:
    """Show the steps as they are recorded until the driver ends."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TimeRemainingColumn(), TextColumn("{task.fields[numbers]}"))  # fmt: skip
    done = last_step(folder)
    position = log_start
    shown = len(list(read_lines(folder / METRICS)))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=config.trainer.total_training_steps, completed=done, numbers="")
        while True:
            if _interrupted.is_set():
                raise KeyboardInterrupt
            ended = driver.poll() is not None
            if log_path is not None:
                position = _copy_log(log_path, position)
            records = list(read_lines(folder / METRICS))
            for record in records[shown:]:
                done = max(done, record["step"])
                progress.update(task, description="training", completed=done, numbers=_numbers(record))
                if "val/accuracy" in record:
                    progress.console.print(
                        f"step {record['step']:>4}  validation accuracy {record['val/accuracy']:.1%}"
                    )
                elif not console.is_terminal and record["step"] % 10 == 0:
                    progress.console.print(f"step {record['step']:>4}  {_numbers(record)}")
            # A resumed run first removes the records that its checkpoint does not hold.
            shown = len(records)
            if ended:
                return
            time.sleep(0.2)


def _numbers(record: dict[str, Any]) -> str:
    if "train/accuracy" not in record:
        return ""
    return (
        f"reward {record['train/accuracy']:.2f}  entropy {record['seed_grpo/entropy']:.2f}  "
        f"weight {record['seed_grpo/weight']:.3f}  {record['timing_s/step']:.1f} s/step"
    )


def _copy_log(path: Path, position: int) -> int:
    with open(path, "rb") as log:
        log.seek(position)
        sys.stdout.buffer.write(log.read())
        sys.stdout.flush()
        return log.tell()


def _stop(driver: subprocess.Popen, scratch: str) -> None:
    """End the driver and everything that it started."""
    started = started_by(driver.pid, scratch)
    if driver.poll() is None:
        driver.send_signal(signal.SIGTERM)
        try:
            driver.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()
    kill(started | started_by(driver.pid, scratch), grace=END_SECONDS)


def _failure(log_path: Path, log_start: int, status: int) -> tuple[str, str]:
    """Cause and remedy of a driver that ended with `status`, from what it said last."""
    with open(log_path, "rb") as log:
        log.seek(log_start)
        lines = deque((line.decode("utf-8", "replace").rstrip() for line in log), maxlen=2000)
    for line in reversed(lines):
        if FAILURE_MARK in line:
            cause, _, remedy = line.split(FAILURE_MARK, 1)[1].partition(" Remedy: ")
            if "See root cause above" in cause and (found := engine_error(lines)):
                cause, remedy = f"vLLM does not start: {found}", f"{log_path} has its log."
            return cause, remedy or f"see {log_path}."
    if shutil.disk_usage(log_path.parent).free < 1 << 20:
        return f"The disk of {log_path.parent} is full.", "free some space, and start the run again to go on."
    if status < 0:
        return f"The run was killed by signal {-status}.", f"start it again to go on; {log_path} has its log."
    return f"The run ended with status {status}.", f"see {log_path}."
