"""Starts of the real training command on machines, data and folders that are not as they should be."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from runs import ROOT, RUN_SECONDS, Run, Scratch, command, start_training, tiny_run, wait_for_step

from seed_grpo.errors import UsageError
from seed_grpo.runs.checkpoints import newest_whole
from seed_grpo.training.compose import compose_config
from seed_grpo.training.values import LOGGERS
from seed_grpo.verl_plugin.launch import check_names

pytestmark = pytest.mark.e2e

SMALL = ("data.train_files=few.parquet", "data.train_batch_size=8", "trainer.total_epochs=1",
         "actor_rollout_ref.actor.ppo_mini_batch_size=8", "actor_rollout_ref.rollout.n=4")  # fmt: skip
"""Two steps of 8 prompts."""


def readmes_command() -> list[str]:
    """The training of a baseline that README shows, as it is there."""
    [line] = [line for line in (ROOT / "README.md").read_text().splitlines() if "seed-grpo train experiment" in line]
    return shlex.split(re.findall(r"`seed-grpo (train [^`]*)`", line)[0])


@pytest.fixture(scope="module")
def hard_times(quickstart_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """README's own command, typed where the quickstart has been, with a few overrides. The machine has a long TMPDIR, a
    home folder that cannot be written to and all GPUs hidden; the data ends before the steps that were asked for."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(quickstart_base, folder / "runs" / "quickstart" / "seed_1" / "base")
    rows = pd.read_parquet(quickstart_base / "data" / "arithmetic_train.parquet")
    rows[:20].to_parquet(folder / "few.parquet")
    scratch = Scratch()
    long = scratch.folder / ("t" * 90)
    long.mkdir()
    done = subprocess.run(
        command(*readmes_command(), *SMALL, "trainer.total_training_steps=5", "trainer.save_freq=5",
                "trainer.test_freq=5"),
        capture_output=True, text=True, timeout=RUN_SECONDS, cwd=folder,
        env={**os.environ, "TMPDIR": str(long), "HOME": "/proc/none", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert not scratch.processes()
    assert not list(long.iterdir())
    scratch.check_clean()
    return Run(folder / "runs" / "quickstart_dr_grpo", done.returncode, done.stdout + done.stderr)


def test_the_readmes_command_after_the_quickstart_in_hard_times(hard_times: Run) -> None:
    assert hard_times.status == 0, hard_times.output
    assert hard_times.steps == [1, 2]


def test_a_run_whose_data_ends_says_so_saves_and_validates(hard_times: Run) -> None:
    assert "the data gives 2 steps (20 rows, 8 per step, 1 epoch(s))" in " ".join(hard_times.output.split()).lower()
    assert newest_whole(hard_times.folder) == 2
    assert hard_times.summary["final_step"] == hard_times.summary["steps"] == 2
    assert "after step 2" in hard_times.output


def test_a_trained_model_is_validated_alone(hard_times: Run) -> None:
    summary = (hard_times.folder / "summary.json").read_bytes()
    config = (hard_times.folder / "config.yaml").read_bytes()
    cwd = hard_times.folder.parents[1]
    done = subprocess.run(
        command(*readmes_command(), *SMALL, "trainer.total_training_steps=null", "trainer.val_only=true"),
        capture_output=True, text=True, timeout=RUN_SECONDS, cwd=cwd,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"after step 2 │ {hard_times.summary['final_accuracy']:.1%}" in " ".join(done.stdout.split())
    assert (hard_times.folder / "summary.json").read_bytes() == summary
    assert (hard_times.folder / "config.yaml").read_bytes() == config
    assert Run(hard_times.folder, 0, "").steps == [1, 2]


def test_two_runs_do_not_share_a_folder(quickstart_base: Path, tmp_path: Path) -> None:
    """One after the other they do. The first is killed, the next is interrupted, and neither leaves a process."""
    folder = tmp_path / "ü [red](1)"
    overrides = tiny_run(quickstart_base, Path("out"), "trainer.total_training_steps=1000", "trainer.save_freq=1")
    overrides = [each for each in overrides if "default_local_dir" not in each]
    overrides.append(f"trainer.default_local_dir='{folder}'")
    scratch = Scratch()
    process = start_training(overrides, scratch)
    wait_for_step(folder, 2, process)
    second = subprocess.run(command("train", *overrides), capture_output=True, text=True, timeout=180)
    assert second.returncode == 1, second.stdout + second.stderr
    assert f"Another run is writing to {folder}: process {process.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    # Its owner is killed, and its driver is still there for a moment: the next start waits for it, and resumes.
    process.kill()
    process.wait()
    next_scratch = Scratch()
    third = start_training(overrides, next_scratch)
    output, _ = process.communicate(timeout=300)
    assert "Traceback" not in output
    steps = Run(folder, 0, "").steps
    wait_for_step(folder, steps[-1] + 2, third)
    scratch.check_ends()
    # Impatient: the second and the third signal come while the first is being answered.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        third.send_signal(number)
        time.sleep(0.3)
    output, _ = third.communicate(timeout=300)
    assert third.returncode == 130, output
    assert "Traceback" not in output
    next_scratch.check_ends()
    steps = Run(folder, 0, "").steps
    assert steps == list(range(1, len(steps) + 1))
    prompts = [record["step"] for record in Run(folder, 0, "").lines("prompts.jsonl")]
    # A step that was interrupted has its prompts on record, but not its metrics; the next start removes them.
    interrupted = [step for step in prompts if step == len(steps) + 1]
    assert prompts == sorted(step for step in steps for _ in range(8)) + interrupted
    assert len(interrupted) in (0, 8)


@pytest.mark.parametrize(
    "key",
    ["algorithm.adv_estimator", "actor_rollout_ref.rollout.name", "actor_rollout_ref.actor.policy_loss.loss_mode"],
)
def test_a_name_that_verl_does_not_know(key: str) -> None:
    config = compose_config([f"{key}=abc"])
    with pytest.raises(UsageError, match=f"{key} is 'abc'"):
        check_names(config)


def test_the_loggers_are_those_of_verl() -> None:
    from verl.utils.tracking import Tracking

    assert list(LOGGERS) == Tracking.supported_backend
