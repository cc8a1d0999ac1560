"""Whole runs with vLLM's rollouts: both rollout paths, asynchronous, on two ranks, resumed, and with a dead engine.

The starts of the engine are what takes time, so each run serves several assertions.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import ROOT, RUN_SECONDS, Run, Scratch, start_training, tiny_run, train, wait_for_step

from seed_grpo.runs.checkpoints import newest_whole

SAME = 1e-5
"""Two probabilities of a token that rollout and trainer compute from the same weights differ by less."""
END_SECONDS = 120
"""A run whose engine died says so within this time."""
MEASURED = ("platform=cpu_vllm", "algorithm.rollout_correction.bypass_mode=false")
"""The trainer computes the probabilities of each response anew, and verl compares them with the rollout's."""


def differences(run: Run) -> dict[int, float]:
    """The largest difference between rollout and trainer in the probability of a token, by step."""
    name = "training/rollout_probs_diff_max"
    return {record["step"]: record[name] for record in run.lines("metrics.jsonl") if name in record}


@pytest.fixture(scope="module")
def killed_run(quickstart_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, float]:
    """A run on the group path with validations and checkpoints, whose engine is killed after step 3; and the seconds
    that it took to end."""
    folder, scratch = tmp_path_factory.mktemp("killed") / "run", Scratch()
    process = start_training(
        tiny_run(quickstart_base, folder, *MEASURED, "trainer.total_training_steps=1000", "trainer.test_freq=2",
                 "trainer.val_before_train=true", "trainer.save_freq=2"),
        scratch,
    )  # fmt: skip
    wait_for_step(folder, 3, process)
    [engine] = [pid for pid, line in scratch.processes().items() if "VLLM::EngineCore" in line]
    os.kill(engine, signal.SIGKILL)
    start = time.monotonic()
    output, _ = process.communicate(timeout=END_SECONDS)
    seconds = time.monotonic() - start
    scratch.check_clean()
    return Run(folder, process.returncode, output), seconds


def test_rollout_and_trainer_agree_after_each_update(killed_run: tuple[Run, float]) -> None:
    run, _ = killed_run
    found = differences(run)
    assert len(found) >= 3
    assert all(0 < difference < SAME for difference in found.values()), found


def test_it_validates_while_it_trains(killed_run: tuple[Run, float]) -> None:
    run, _ = killed_run
    validated = {record["step"]: record["val/accuracy"] for record in run.lines("metrics.jsonl")
                 if "val/accuracy" in record}  # fmt: skip
    assert {0, 2} <= set(validated)
    assert all(0 < accuracy < 1 for accuracy in validated.values()), validated


def test_a_killed_engine_ends_the_run_with_its_name(killed_run: tuple[Run, float]) -> None:
    run, _ = killed_run
    assert run.status == 1, run.output
    last = run.output.strip().splitlines()[-1]
    assert last.startswith("seed-grpo: vLLM (replica 0) "), run.output
    assert "Remedy: " in last
    assert "Traceback" not in run.output


def test_it_resumes_behind_its_last_checkpoint(killed_run: tuple[Run, float], quickstart_base: Path) -> None:
    """With new engines, which must have the checkpoint's weights for the first step already."""
    before, _ = killed_run
    saved = newest_whole(before.folder)
    assert saved is not None
    assert saved >= 2
    resumed = train(
        before.folder,
        tiny_run(quickstart_base, before.folder, *MEASURED, f"trainer.total_training_steps={saved + 2}",
                 "trainer.test_freq=-1", "trainer.val_before_train=false", "trainer.save_freq=2"),
    )  # fmt: skip
    assert resumed.status == 0, resumed.output + resumed.log[-3000:]
    assert resumed.steps == list(range(1, saved + 3))
    assert all(difference < SAME for difference in differences(resumed).values())


def test_verls_path_and_what_a_lost_update_would_do(quickstart_base: Path, tmp_path: Path) -> None:
    """verl's own agent loop. The update after step 3 is dropped: the test above sees it, or shows nothing."""
    folder = tmp_path / "run"
    run = train(
        folder,
        tiny_run(
            quickstart_base, folder, *MEASURED, "trainer.total_training_steps=5",
            "actor_rollout_ref.rollout.agent.agent_loop_manager_class=null",
            "actor_rollout_ref.rollout.engine_kwargs.vllm.worker_extension_cls=dropping_worker.DroppingWorker",
        ),
        environment={"DROP_UPDATES": "4", "PYTHONPATH": str(Path(__file__).parent)},
    )  # fmt: skip
    assert run.status == 0, run.output + run.log[-3000:]
    found = differences(run)
    assert set(found) == {1, 2, 3, 4, 5}
    lost = found.pop(4)
    assert all(0 < difference < SAME for difference in found.values()), found
    assert lost > 100 * SAME


def test_asynchronous_on_two_ranks_with_an_engine_each(quickstart_base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = train(
        folder,
        tiny_run(quickstart_base, folder, "platform=cpu_vllm", "trainer.n_gpus_per_node=2",
                 "trainer.v1.trainer_mode=seed_grpo_colocate_async"),
    )  # fmt: skip
    assert run.status == 0, run.output + run.log[-3000:]
    assert run.steps == [1, 2]
    assert run.summary["trainer_mode"] == "seed_grpo_colocate_async"
    # What is in flight at the end is given up, and starts no second Ray.
    assert run.log.count("Started a local Ray instance") == 1
    prompts = run.lines("prompts.jsonl")
    assert len(prompts) == 2 * 8
    assert all(0 < record["weight"] <= 1 for record in prompts)


def test_the_quickstart_on_two_ranks(quickstart_base: Path, tmp_path: Path) -> None:
    """The command of the docs, in the environment that it makes; both ranks bring their engine up to date."""
    folder = tmp_path / "out" / "seed_1" / "run"
    shutil.copytree(quickstart_base, tmp_path / "out" / "seed_1" / "base")
    scratch = Scratch()
    done = subprocess.run(
        ["bash", "examples/quickstart.sh", "--engine", "vllm", "--out", str(tmp_path / "out"),
         *tiny_run(tmp_path / "out" / "seed_1" / "base", folder)[3:],
         "algorithm.rollout_correction.bypass_mode=false", "trainer.n_gpus_per_node=2"],
        capture_output=True, text=True, timeout=RUN_SECONDS, cwd=ROOT,
        env={**scratch.environment, "SEED_GRPO_VLLM_VENV": sys.prefix},
    )  # fmt: skip
    scratch.check_clean()
    run = Run(folder, done.returncode, done.stdout + done.stderr)
    assert run.status == 0, run.output
    engines = set(re.findall(r"\(EngineCore pid=(\d+)\)", run.log))
    assert len(engines) == 2, engines
    assert list(differences(run)) == [1, 2]
    assert all(0 < difference < SAME for difference in differences(run).values())
