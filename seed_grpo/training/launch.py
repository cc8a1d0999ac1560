"""Start a run in a process of its own, show its progress, and leave nothing behind but its output folder.

verl and Ray live in the child: their log goes to `train.log`, Ray's files to a temporary folder that is removed, and
whatever the child started is ended with it, also after Ctrl-C.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.engines.vllm import engine_error
from seed_grpo.errors import RunStopped, SeedGrpoError
from seed_grpo.runs.files import replacing, writable_folder
from seed_grpo.runs.locks import only_run
from seed_grpo.runs.names import CONFIG, STOP, STOPPED, SUMMARY, TRAIN_LOG
from seed_grpo.training.cluster import check_cluster_at, cluster_address
from seed_grpo.training.driver import FAILURE_MARK
from seed_grpo.training.environment import run_environment, short_folder
from seed_grpo.training.machine import check_machine
from seed_grpo.training.output import check_output, check_ranks, last_step
from seed_grpo.training.preflight import check_run, training_rows
from seed_grpo.training.processes import FOLDER, kill, started_by
from seed_grpo.training.progress import follow
from seed_grpo.training.steps import settle_steps
from seed_grpo.verl_plugin.runtime import RuntimeSettings

if TYPE_CHECKING:
    from omegaconf import DictConfig

STOP_SECONDS = 30
"""Time for Ray to stop by itself before its processes are killed."""
END_SECONDS = 5
"""Time for what the driver leaves to end by itself."""
_interrupted = threading.Event()
"""Set by SIGINT and SIGTERM: an exception that a handler raises is lost where Python is just cleaning up an object."""


def run_training(config: DictConfig, *, verbose: bool = False) -> dict[str, Any]:
    """Train, and return the run's summary. A finished run is not run again, an interrupted one is resumed.

    Args:
        config: a composed configuration; its number of steps is set to what the data gives.
        verbose: copy verl's log to the terminal.

    Raises:
        SeedGrpoError: a check before the run failed, or the run itself did.
        KeyboardInterrupt: after everything that was started has been ended.
    """
    start = time.monotonic()
    check_run(config)
    if notice := settle_steps(config, training_rows(config)):
        print(f"notice: {notice}", file=sys.stderr)
    folder = writable_folder(Path(config.trainer.default_local_dir).absolute(), "trainer.default_local_dir")
    with only_run(folder) as lock:
        check_output(config)  # once more: another run may have begun in the meantime
        total, validate = config.trainer.total_training_steps, config.trainer.val_only
        if (folder / SUMMARY).is_file() and last_step(folder) >= total and not validate:
            return json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        check_ranks(config)
        if address := cluster_address(config):
            check_cluster_at(config, address)
        else:
            check_machine(config)
        _run(config, folder, lock, verbose)
        return _finish(config, folder, time.monotonic() - start)


def _finish(config: DictConfig, folder: Path, wall_seconds: float) -> dict[str, Any]:
    """The summary of a run whose driver has ended well, written to its folder."""
    from seed_grpo.report.curves import plot_curves
    from seed_grpo.runs.summary import summarize, write_summary

    if (folder / STOPPED).exists():
        (folder / STOPPED).unlink()
        raise RunStopped(
            f"The run stopped after step {last_step(folder)}, as asked, with a checkpoint saved.",
            "start it again to resume it.",
        )
    summary = summarize(folder, config, wall_seconds)
    if not config.trainer.val_only:
        write_summary(folder, summary)
        plot_curves(folder)
    return summary


@contextmanager
def _signals(folder: Path) -> Iterator[None]:
    """SIGUSR1 stops the run after the current step, with a checkpoint; SIGTERM ends it at once, like Ctrl-C."""

    def stop_after_step(*_: Any) -> None:
        (folder / STOP).touch()

    def interrupt(*_: Any) -> None:
        if not _interrupted.is_set():  # another Ctrl-C would leave half of the cleaning up undone; it is short
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


def _run(config: DictConfig, folder: Path, lock: int, verbose: bool) -> None:
    """Run the driver to its end; nothing that it started is left, however it ends."""
    from omegaconf import OmegaConf

    for leftover in (STOP, STOPPED):
        (folder / leftover).unlink(missing_ok=True)
    with _signals(folder):
        scratch = short_folder("seed-grpo-")
        try:
            # A look at a trained model does not change what its folder says of the training.
            aside = config.trainer.val_only and (folder / CONFIG).is_file()
            path = Path(scratch) / CONFIG if aside else folder / CONFIG
            with replacing(path) as unfinished:
                OmegaConf.save(config, unfinished, resolve=True)
            _run_driver(config, folder, path, scratch, lock, verbose)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _run_driver(config: DictConfig, folder: Path, config_path: Path, scratch: str, lock: int, verbose: bool) -> None:
    log_path = folder / TRAIN_LOG
    env_vars = config.ray_kwargs.ray_init.runtime_env.get("env_vars", {})
    with open(log_path, "ab") as log:
        log_start = log.tell()
        driver = subprocess.Popen(
            [sys.executable, "-m", "seed_grpo.training.driver", str(config_path), scratch],
            stdin=subprocess.PIPE,  # its end tells the driver that its owner is gone
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock],  # the folder is held until the driver has ended, too
            env={
                # At its start: the memory allocator reads some of these before anything else.
                **{name: str(value) for name, value in env_vars.items()},
                **run_environment(scratch, on_cpu=config.trainer.device == "cpu"),
                "PYTHONUNBUFFERED": "1",
                "TENSORBOARD_DIR": str(folder / "tensorboard"),
                FOLDER: scratch,
                # Whatever still asks Ray for something after the end would otherwise start a Ray of its own.
                "RAY_ENABLE_AUTO_CONNECT": "0",
            },
        )

    def ended() -> bool:
        if _interrupted.is_set():
            raise KeyboardInterrupt
        return driver.poll() is not None

    try:
        follow(
            folder,
            config.trainer.total_training_steps,
            ended,
            log_start,
            silent_seconds=RuntimeSettings.from_config(config.get("seed_grpo_runtime")).silent_seconds,
            verbose=verbose,
        )
    finally:
        _stop(driver, scratch)
    if driver.returncode != 0:
        raise SeedGrpoError(*_failure(log_path, log_start, driver.returncode))


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
        return f"The disk of {log_path.parent} is full.", "free some space, and start the run again to resume it."
    if status < 0:
        return f"The run was killed by signal {-status}.", f"start it again to resume it; {log_path} has its log."
    return f"The run ended with status {status}.", f"see {log_path}."
