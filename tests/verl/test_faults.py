"""Interrupted runs: they resume, or end with a clear error, and no step is lost or counted twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from runs import SYNC_RUN, Run, Scratch, start_training, tiny_run, train, wait_for_step

from seed_grpo.runs.checkpoints import newest_whole, step_folder

pytestmark = pytest.mark.e2e

END_SECONDS = 300
"""A run that lost a process says so within this time."""


def test_a_stopped_run_resumes_and_ends_with_the_same_weights(
    sync_run: Run, quickstart_base: Path, tmp_path: Path
) -> None:
    """Stopped after a step, and started again, with the settings of the run that was not stopped."""
    import torch

    folder, scratch = tmp_path / "stopped", Scratch()
    process = start_training(tiny_run(quickstart_base, folder, *SYNC_RUN), scratch)
    wait_for_step(folder, 1, process)
    process.send_signal(signal.SIGUSR1)
    output, _ = process.communicate(timeout=END_SECONDS)
    scratch.check_clean()
    stopped_after = newest_whole(folder)
    assert stopped_after is not None
    assert 1 <= stopped_after < 6, "it was not stopped in between: the test shows nothing"
    assert process.returncode == 75, output
    assert f"stopped after step {stopped_after}" in output

    resumed = train(folder, tiny_run(quickstart_base, folder, *SYNC_RUN))
    assert resumed.status == 0, resumed.output
    assert resumed.steps == sync_run.steps == [1, 2, 3, 4, 5, 6]

    def without_uid(run: Run) -> list[dict]:
        return [
            {name: value for name, value in record.items() if name != "uid"} for record in run.lines("prompts.jsonl")
        ]

    assert without_uid(resumed) == without_uid(sync_run)
    name = "actor/model_world_size_1_rank_0.pt"
    weights = [torch.load(step_folder(run.folder, 6) / name, weights_only=False) for run in (sync_run, resumed)]
    for parameter, value in weights[0].items():
        ours, theirs = (w.full_tensor() if hasattr(w, "full_tensor") else w for w in (value, weights[1][parameter]))
        assert torch.equal(ours, theirs), parameter


def test_rollouts_that_all_fail_end_the_run_with_their_own_cause(quickstart_base: Path, tmp_path: Path) -> None:
    """verl alone says that its replay buffer found no trajectories."""
    import torch
    from safetensors.torch import load_file, save_file

    base = tmp_path / "base"
    shutil.copytree(quickstart_base, base)
    weights = load_file(base / "model" / "model.safetensors")
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], torch.nan)
    save_file(weights, base / "model" / "model.safetensors", metadata={"format": "pt"})
    run = train(tmp_path / "run", tiny_run(base, tmp_path / "run"))
    assert run.status == 1, run.output
    assert "probabilities that are not numbers" in run.output.splitlines()[-1], run.output


@pytest.mark.parametrize(
    "victims", [("ray::TaskRunnerV1", "ray::HFServer", "ray::WorkerDict"), ("trainer", "keeper", "driver")],
    ids=["workers", "driver and forks"],
)  # fmt: skip
def test_killed_processes(victims: tuple[str, ...], quickstart_base: Path, tmp_path: Path) -> None:
    """One folder, one fault after the other: each start resumes from the newest whole checkpoint."""
    folder = tmp_path / "run"
    overrides = tiny_run(quickstart_base, folder, "trainer.total_training_steps=1000", "trainer.save_freq=1")
    # As on a cluster: the trainer in an actor, and a reward worker.
    in_actors = ["seed_grpo_runtime.trainer_in_driver=false", "reward.num_workers=1"]
    step, damaged = 1, 0
    for victim in victims:
        if victim == "driver":
            damaged = damage_the_newest(folder)
            step = damaged + 1
        scratch = Scratch()
        process = start_training(overrides + (in_actors if victim == "ray::TaskRunnerV1" else []), scratch)
        wait_for_step(folder, step, process)
        if victim == "ray::TaskRunnerV1":
            check_that_the_load_balancer_is_light(scratch)  # here it is no fork of what has imported verl
            # The worker grades nothing here: the run does not miss it.
            scratch.kill("ray::RewardLoopWorker")
            step += 2
            wait_for_step(folder, step, process)
        if victim in ("trainer", "keeper", "driver"):
            os.kill(scratch.drivers()[victim], signal.SIGKILL)
        else:
            scratch.kill(victim)
        output, _ = process.communicate(timeout=END_SECONDS)
        scratch.check_clean()
        assert process.returncode == 1, output
        last = output.strip().splitlines()[-1]
        assert last.startswith("seed-grpo: "), output
        assert "Remedy: " in last
        assert "Traceback" not in output
        steps = Run(folder, 1, "").steps
        assert steps == list(range(1, len(steps) + 1)), "a step is missing, or stands there twice"
        whole = newest_whole(folder)
        assert whole is not None
        step = whole + 2

    run = Run(folder, 1, "")
    if damaged:
        assert f"The checkpoint of step {damaged} is not whole: the run resumes after step {damaged - 1}" in run.log


def damage_the_newest(folder: Path) -> int:
    """Cut a file of the newest checkpoint in half. Returns its step."""
    newest = newest_whole(folder)
    assert newest is not None
    truncated = step_folder(folder, newest) / "actor" / "model_world_size_1_rank_0.pt"
    os.truncate(truncated, truncated.stat().st_size // 2)
    return newest


def check_that_the_load_balancer_is_light(scratch: Scratch) -> None:
    """verl's actor would import all of verl, for seconds of a core in the first steps of a run."""
    deadline = time.monotonic() + 180
    while not (found := [pid for pid, line in scratch.processes().items() if "LoadBalancer" in line]):
        assert time.monotonic() < deadline, scratch.processes()
        time.sleep(0.5)
    [balancer] = found
    assert os.getpriority(os.PRIO_PROCESS, balancer) == os.getpriority(os.PRIO_PROCESS, 0), "it gives way to all others"
    assert "libtorch" not in Path(f"/proc/{balancer}/maps").read_text(encoding="utf-8")


def test_a_full_disk(quickstart_base: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=22m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        overrides = tiny_run(quickstart_base, folder / "run", "trainer.save_freq=1")
        failed = train(folder / "run", overrides)
        assert failed.status == 1, failed.output
        assert "space" in failed.output.strip().splitlines()[-1] or "full" in failed.output.strip().splitlines()[-1]
        assert newest_whole(folder / "run") == 1
        subprocess.run(["mount", "-o", "remount,size=300m", str(folder)], check=True)
        resumed = train(folder / "run", overrides)
        assert resumed.status == 0, resumed.output
        assert resumed.steps == [1, 2]
        assert newest_whole(folder / "run") == 2
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
