"""Runs of the real training command, for tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seed_grpo.training.environment import BESIDE_OTHERS

ROOT = Path(__file__).resolve().parents[1]
RUN_SECONDS = 600
"""Longer than any tiny run takes, on a busy machine too: verl waits in silence for what it cannot have."""


@dataclass(frozen=True)
class Run:
    """A run's output folder, and how the command that made it ended."""

    folder: Path
    status: int
    output: str

    def lines(self, name: str) -> list[dict[str, Any]]:
        # A last line without its end is still being written.
        text = (self.folder / name).read_text(encoding="utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    @property
    def steps(self) -> list[int]:
        """The training steps on record, in the order of the file."""
        return [record["step"] for record in self.lines("metrics.jsonl") if "train/accuracy" in record]

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))

    @property
    def log(self) -> str:
        return (self.folder / "train.log").read_text(encoding="utf-8", errors="replace")


def tiny_run(base: Path, folder: Path, *overrides: str) -> list[str]:
    """Overrides of a run of two steps of 8 prompts × 4 responses on the quickstart's sums."""
    return [
        "experiment=quickstart",
        f"quickstart_dir={base}",
        f"trainer.default_local_dir={folder}",
        "trainer.total_training_steps=2",
        "trainer.test_freq=-1",
        "trainer.val_before_train=false",
        "trainer.save_freq=-1",
        "data.train_batch_size=8",
        "actor_rollout_ref.actor.ppo_mini_batch_size=8",
        "actor_rollout_ref.rollout.n=4",
        *overrides,
    ]


SYNC_RUN = (
    "trainer.total_training_steps=6", "trainer.test_freq=6", "trainer.val_before_train=true", "trainer.save_freq=3",
    "seed_grpo.alpha=0.5", "algorithm.rollout_correction.bypass_mode=false",
)  # fmt: skip
"""What the fixture `sync_run` overrides besides: six steps, validated before the first and after the last, with
checkpoints after the third and the last."""


def command(*arguments: str) -> list[str]:
    """`seed-grpo` with arguments, run by this interpreter."""
    return [sys.executable, "-m", "seed_grpo.cli", *arguments]


class Scratch:
    """A temporary folder of a run's own, by which its processes can be told from everybody else's."""

    def __init__(self) -> None:
        # Short: Ray puts sockets into it.
        self.folder = Path(tempfile.mkdtemp(prefix="sg-", dir="/tmp"))

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "TMPDIR": str(self.folder)}

    @property
    def user_environment(self) -> dict[str, str]:
        """Without what a run sets for Ray itself, and conftest.py for tests that have a Ray of their own."""
        return {name: value for name, value in self.environment.items() if name not in BESIDE_OTHERS}

    def processes(self) -> dict[int, str]:
        """Ids and command lines of those that run in the folder, or write logs there, as Ray's do."""
        import psutil

        found = {}
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
                if str(self.folder) in line or any(
                    file.path.startswith(str(self.folder)) for file in process.open_files()
                ):
                    found[process.pid] = line
            except psutil.Error:
                continue
        return found

    def kill(self, part: str) -> None:
        """kill -9 of the process whose command line holds `part`, as soon as there is one."""
        deadline = time.monotonic() + RUN_SECONDS
        while not (victims := [pid for pid, line in self.processes().items() if part in line]):
            assert time.monotonic() < deadline, (part, self.processes())
            time.sleep(0.2)
        assert len(victims) == 1, (part, self.processes())
        os.kill(victims[0], signal.SIGKILL)

    def drivers(self) -> dict[str, int]:
        """A run's driver, and the forks of it that keep Ray and train; of the two, the first has children."""
        import psutil

        found = [pid for pid, line in self.processes().items() if "seed_grpo.training.driver" in line]
        [driver] = [pid for pid in found if psutil.Process(pid).ppid() not in found]
        forks = sorted(set(found) - {driver}, key=lambda pid: len(psutil.Process(pid).children()))
        trainer, keeper = forks
        return {"driver": driver, "keeper": keeper, "trainer": trainer}

    def check_ends(self, seconds: float = 60) -> None:
        """All processes end within a time, and no folder is left."""
        deadline = time.monotonic() + seconds
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.5)
        self.check_clean()

    def check_clean(self) -> None:
        """Nothing is left running, and no folder."""
        assert not (left := self.processes()), left
        assert not list(self.folder.glob("seed-grpo-*"))
        shutil.rmtree(self.folder)


def train(folder: Path, overrides: list[str], environment: dict[str, str] | None = None) -> Run:
    """`seed-grpo train`, to its end, which leaves no process and no temporary folder behind."""
    scratch = Scratch()
    done = subprocess.run(
        command("train", *overrides),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        env={**scratch.user_environment, **(environment or {})},
        cwd=folder.parent,
    )
    scratch.check_clean()
    return Run(folder, done.returncode, done.stdout + done.stderr)


def start_training(overrides: list[str], scratch: Scratch) -> subprocess.Popen[str]:
    """`seed-grpo train`, running; `end_started` ends it if the test does not."""
    process = subprocess.Popen(
        command("train", *overrides),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=scratch.user_environment,
    )
    _started.append(process)
    return process


_started: list[subprocess.Popen[str]] = []


def end_started() -> None:
    """End the runs that a failed test left."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=RUN_SECONDS)


def wait_for_step(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Until the run has recorded a training step."""
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the run ended early:\n{process.communicate()[0]}"
        if (folder / "metrics.jsonl").is_file() and step in Run(folder, 0, "").steps:
            return
        time.sleep(0.1)
    raise AssertionError(f"no step {step} within {RUN_SECONDS} s")


def finished(folder: Path, base: Path, *overrides: str) -> Run:
    """A run that has trained to its end."""
    run = train(folder, tiny_run(base, folder, *overrides))
    assert run.status == 0, run.output + (run.log[-3000:] if (folder / "train.log").is_file() else "")
    return run
