"""The three sides of peers.py: what each is started with, and a block of steps of it, watched from outside.

All are watched alike: a step ends when its line appears in the side's file of metrics.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent
LOOK_SECONDS = 0.01
MEMORY_SECONDS = 0.5
END_SECONDS = 60
"""Time for a side to end by itself after its last step."""
INSTALL_SECONDS = 1800
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


@dataclass(frozen=True)
class Size:
    """Prompts of a step, and responses to each."""

    prompts: int
    responses: int

    def __str__(self) -> str:
        return f"{self.prompts}x{self.responses}"

    @property
    def samples(self) -> int:
        return self.prompts * self.responses


@dataclass(frozen=True)
class Task:
    """A block to be run.

    Attributes:
        size: of a step.
        steps: how many.
        base: the folder of model and data.
        folder: an empty one of the block's own.
        threads: torch's threads in TRL's process.
    """

    size: Size
    steps: int
    base: Path
    folder: Path
    threads: int
    seed: int = 1


@dataclass(frozen=True)
class Started:
    """A command, its environment, and the file in which its steps appear."""

    command: list[str]
    environment: dict[str, str]
    metrics: Path


@dataclass
class Block:
    """What was measured of a block. Times in seconds, memory in MiB.

    Attributes:
        side, size: of the block.
        begin: from the process' start to the beginning of the first step.
        first: from the process' start to the end of the first step.
        steps: from one step's end to the next's, without the warm-up.
        stages: medians of the side's own timings over the same steps.
        total: the life of the process.
        memory: peak of the summed PSS of its process tree.
        failure: why there is nothing else, where that is so.
    """

    side: str
    size: str
    begin: float = 0.0
    first: float = 0.0
    steps: list[float] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    total: float = 0.0
    memory: float = 0.0
    load: float = 0.0
    failure: str | None = None

    @property
    def step(self) -> float:
        return statistics.median(self.steps)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


# ---- the sides ------------------------------------------------------------------------------------------------------


def start_ours(task: Task) -> Started:
    """`seed-grpo train` on platform=cpu, as shipped; no validation and no checkpoints."""
    folder = task.folder / "run"
    return Started([sys.executable, "-m", "seed_grpo.cli", "train", *_overrides(task, folder)], {},
                   folder / "metrics.jsonl")  # fmt: skip


def start_verl(task: Task) -> Started:
    """verl's own command and V1 trainer, `grpo`, a request a response, TransferQueue's own storage; the other settings
    are those of our platform=cpu."""
    from omegaconf import OmegaConf, open_dict

    from seed_grpo.training.compose import compose_config
    from seed_grpo.verl_plugin.names import STOCK

    config = compose_config(
        [
            *_overrides(task, task.folder / "run"),
            *STOCK,
        ]
    )
    with open_dict(config):
        config.ray_kwargs.ray_init._temp_dir = str(task.folder / "ray")
        config.trainer.v1.sampler.custom_sampler = {"path": str(HERE / "_peer_verl.py"), "name": "QuickReplayBuffer"}
    OmegaConf.save(config, task.folder / "verl_config.yaml", resolve=True)
    metrics = task.folder / "verl.jsonl"
    environment = {str(k): str(v) for k, v in config.ray_kwargs.ray_init.runtime_env.env_vars.items()}
    return Started(
        [sys.executable, "-m", "verl.trainer.main_ppo", "--config-dir", str(task.folder),
         "--config-name", "verl_config", f"hydra.run.dir={task.folder / 'hydra'}"],
        {**environment, "VERL_FILE_LOGGER_PATH": str(metrics)},
        metrics,
    )  # fmt: skip


def start_trl(task: Task) -> Started:
    """TRL's GRPOTrainer in its environment; settings that mean the same as ours."""
    from seed_grpo.settings import Settings
    from seed_grpo.training.compose import compose_config

    config = compose_config(_overrides(task, task.folder / "run"))
    method = Settings.from_config(config.seed_grpo)
    spec = {
        "model": str(task.base / "model"),
        "data": config.data.train_files,
        "max_response": config.data.max_response_length,
        "template": method.answer_template,
        "level": method.grade_level,
        "prompts": task.size.prompts,
        "responses": task.size.responses,
        "steps": task.steps,
        "lr": config.actor_rollout_ref.actor.optim.lr,
        "seed": task.seed,
        "threads": task.threads,
        "folder": str(task.folder / "run"),
        "out": str(task.folder / "trl.jsonl"),
    }
    path = task.folder / "trl.json"
    path.write_text(json.dumps(spec), encoding="utf-8")
    environment = {"OMP_NUM_THREADS": str(task.threads), "PYTHONPATH": str(ROOT)}
    return Started([str(trl_python()), str(HERE / "_peer_trl.py"), str(path)], environment, task.folder / "trl.jsonl")


SIDES: dict[str, Callable[[Task], Started]] = {"ours": start_ours, "trl": start_trl, "verl": start_verl}
"""In the order in which they take turns."""


def _overrides(task: Task, folder: Path) -> list[str]:
    return [
        "experiment=quickstart",
        f"quickstart_dir={task.base}",
        f"trainer.default_local_dir={folder}",
        f"seed={task.seed}",
        f"data.train_batch_size={task.size.prompts}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={task.size.prompts}",  # one update a step
        f"actor_rollout_ref.rollout.n={task.size.responses}",
        f"trainer.total_training_steps={task.steps}",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
        "trainer.save_freq=-1",
    ]


# ---- TRL's environment ----------------------------------------------------------------------------------------------


def trl_environment() -> Path:
    default = Path.home() / ".cache" / "seed-grpo" / "trl"
    return Path(os.environ.get("SEED_GRPO_TRL_VENV") or default)


def trl_python() -> Path:
    return trl_environment() / "bin" / "python"


def trl_is_installed() -> bool:
    """Whether the environment holds what requirements/trl.txt names."""
    stamp = trl_environment() / ".seed-grpo-trl"
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == _trl_state()


def install_trl(say: Callable[[str], None]) -> None:
    """Make the environment, unless it is there."""
    if trl_is_installed():
        return
    folder = trl_environment()
    requirements = ROOT / "requirements" / "trl.txt"
    say(f"installing TRL into {folder} (once; minutes)")
    if not trl_python().exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=INSTALL_SECONDS)
    pip = [str(trl_python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    torch = next(line for line in requirements.read_text(encoding="utf-8").splitlines() if line.startswith("torch=="))
    index = os.environ.get("SEED_GRPO_TORCH_INDEX")
    for arguments in ([*(["--index-url", index] if index else []), torch], ["-r", str(requirements)]):
        subprocess.run([*pip, *arguments], check=True, timeout=INSTALL_SECONDS)
    (folder / ".seed-grpo-trl").write_text(_trl_state(), encoding="utf-8")


def _trl_state() -> str:
    return hashlib.sha256((ROOT / "requirements" / "trl.txt").read_bytes()).hexdigest()


# ---- a block --------------------------------------------------------------------------------------------------------


def run_block(side: str, size: Size, steps: int, warm_up: int, base: Path, threads: int, limit: float) -> Block:
    """Run a side for some steps in processes of its own, which are all gone afterwards.

    Args:
        side: a key of `SIDES`.
        size: of a step.
        steps: how many, warm-up included.
        warm_up: steps at the beginning that do not count.
        base: the folder of model and data.
        threads: torch's threads in TRL's process.
        limit: seconds after which the block is ended and reported as failed.
    """
    block = Block(side, str(size), load=os.getloadavg()[0])
    # Short: Ray puts sockets into it. By it the block's processes are known.
    scratch = Path(tempfile.mkdtemp(prefix="sgp-", dir="/tmp"))
    try:
        _watch(block, SIDES[side](Task(size, steps, base, scratch, threads)), steps, warm_up, scratch, limit)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return block


def _watch(block: Block, started: Started, steps: int, warm_up: int, scratch: Path, limit: float) -> None:
    environment = {**os.environ, **OFFLINE, "OMP_WAIT_POLICY": "PASSIVE", "TMPDIR": str(scratch), **started.environment}
    ends: list[float] = []
    lines: list[dict[str, Any]] = []
    memory = Memory()
    with open(scratch / "log", "wb") as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            started.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=scratch,
            env=environment, start_new_session=True,
        )  # fmt: skip
        tail = Tail(started.metrics)
        try:
            while (now := time.perf_counter() - start) < limit:
                for line in tail.new_lines():
                    ends.append(now)
                    lines.append(line.get("data", line))
                if process.poll() is not None or len(ends) >= steps:
                    break
                memory.look(process.pid, now)
                time.sleep(LOOK_SECONDS)
            if len(ends) >= steps:
                process.wait(END_SECONDS)
                block.total = time.perf_counter() - start
        except subprocess.TimeoutExpired:
            block.total = float("nan")
        finally:
            _end(process, scratch)
    block.memory = memory.peak
    if len(ends) < steps:
        how = f"ended with status {process.returncode}" if now < limit else f"was ended after {limit:.0f} s"
        text = (scratch / "log").read_text(encoding="utf-8", errors="replace") + _train_log(scratch)
        block.failure = f"{how} in step {len(ends) + 1} of {steps}: {text[-1500:]}"
        return
    block.first = ends[0]
    block.begin = ends[0] - lines[0]["timing_s/step"]
    block.steps = [later - earlier for earlier, later in zip(ends[warm_up - 1 :], ends[warm_up:], strict=False)]
    names = {name for line in lines for name in line if name.startswith("timing_s/")}
    block.stages = {
        name.removeprefix("timing_s/"): statistics.median(line.get(name, 0.0) for line in lines[warm_up:])
        for name in sorted(names)
    }


def _train_log(scratch: Path) -> str:
    log = scratch / "run" / "train.log"
    return log.read_text(encoding="utf-8", errors="replace")[-1500:] if log.is_file() else ""


def _end(process: subprocess.Popen, scratch: Path) -> None:
    """End the block's processes: the descendants, and whatever names its folder (Ray's daemons)."""

    def alive() -> list[psutil.Process]:
        found = []
        for candidate in psutil.process_iter(["cmdline", "environ", "pid"]):
            words = (*(candidate.info["cmdline"] or ()), *(candidate.info["environ"] or {}).values())
            if any(str(scratch) in word for word in words):
                found.append(candidate)
        return found

    for number in (signal.SIGTERM, signal.SIGKILL):
        victims = alive()
        for victim in victims:
            try:
                victim.send_signal(number)
            except psutil.Error:
                continue
        psutil.wait_procs(victims, timeout=10)
    process.wait(10)


class Tail:
    """Complete lines of JSON as they are appended to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def new_lines(self) -> list[dict[str, Any]]:
        if not self._path.is_file() or self._path.stat().st_size == self._read:
            return []
        with open(self._path, "rb") as file:
            file.seek(self._read)
            whole, _, _ = file.read().rpartition(b"\n")
        if not whole:
            return []
        self._read += len(whole) + 1
        return [json.loads(line) for line in whole.splitlines()]


class Memory:
    """The peak of a process tree's memory. Reading PSS is dear, so it is read when the cheap sum of RSS has grown."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._rss = 0.0
        self._next = 0.0

    def look(self, pid: int, now: float) -> None:
        if now < self._next:
            return
        self._next = now + MEMORY_SECONDS
        try:
            root = psutil.Process(pid)
            tree = [root, *root.children(recursive=True)]
        except psutil.Error:
            return
        rss = sum(self._of(process, "rss") for process in tree)
        if rss > 1.01 * self._rss:
            self._rss = rss
            self.peak = max(self.peak, sum(self._of(process, "pss") for process in tree) / (1 << 20))

    @staticmethod
    def _of(process: psutil.Process, what: str) -> float:
        try:
            return float(process.memory_info().rss if what == "rss" else process.memory_full_info().pss)
        except psutil.Error:
            return 0.0
