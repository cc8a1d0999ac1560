"""Studies of real runs: the same rollouts in all arms, kill and start again, failures, evaluation, Slurm."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from runs import ROOT, RUN_SECONDS, Run, Scratch, command
from slurm_cluster import Slurm, running_slurm, why_not

pytestmark = pytest.mark.e2e

BUDGET = [
    "experiment=quickstart", "platform=cpu", "trainer.total_training_steps=2", "trainer.test_freq=2",
    "trainer.val_before_train=false", "data.train_batch_size=8", "actor_rollout_ref.actor.ppo_mini_batch_size=8",
    "actor_rollout_ref.rollout.n=4", "trainer.save_freq=-1",
]  # fmt: skip
DR_GRPO = {"name": "dr_grpo", "overrides": ["baseline=dr_grpo"]}
HALF = {"name": "half", "overrides": ["ablation=alpha_0.5"]}


def write_study(folder: Path, arms: list[dict[str, Any]], **more: Any) -> Path:
    content = {"title": "tiny", "baseline": arms[0]["name"], "seeds": [1], "quickstart": True, "overrides": BUDGET}
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**content, "arms": arms, **more}), encoding="utf-8")
    return path


def give_base(base: Path, out: Path, *seeds: int) -> None:
    """The model and data that the study would make, made already."""
    for seed in seeds:
        shutil.copytree(base, out / "base" / f"seed_{seed}")
        (out / "base" / f"seed_{seed}" / "ready").touch()


def ablate(study: Path, out: Path, *arguments: str, environment: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        command("ablate", "--study", str(study), "--out", str(out), *arguments),
        capture_output=True, text=True, timeout=RUN_SECONDS, env=environment, cwd=study.parent,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def run_of(out: Path, arm: str, seed: int = 1) -> Run:
    return Run(out / "runs" / arm / f"seed_{seed}", 0, "")


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def wait_until_ended(scratch: Scratch) -> None:
    deadline = time.monotonic() + 240
    while scratch.processes() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not scratch.processes()


@pytest.mark.slow
def test_killed_failed_retried_and_evaluated(quickstart_base: Path, tmp_path: Path) -> None:
    """A study of two arms, each evaluated after its training; the second has a model of its own, which gets lost."""
    out, model = tmp_path / "out", tmp_path / "model_of_its_own"
    half = {**HALF, "against": "half", "overrides": [*HALF["overrides"], f"actor_rollout_ref.model.path={model}"]}
    study = write_study(
        tmp_path, [DR_GRPO, half], overrides=[*BUDGET[:-1], "trainer.save_freq=1"], benchmarks=["arithmetic"],
        eval_options=["--limit=10", "--max-tokens=16"],
    )  # fmt: skip
    give_base(quickstart_base, out, 1)
    shutil.copytree(quickstart_base / "model", model)
    scratch = Scratch()

    # kill -9 once the second run is under way
    process = subprocess.Popen(
        command("ablate", "--study", str(study), "--out", str(out)), env=scratch.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    first, second = (out / "runs" / arm / "seed_1" for arm in ("dr_grpo", "half"))
    deadline = time.monotonic() + RUN_SECONDS
    while not (second / "train.log").is_file():
        assert process.poll() is None, (first / "eval.log").read_text() if (first / "eval.log").is_file() else ""
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until_ended(scratch)
    before = contents(first)
    assert "summary.json" in before
    assert not (second / "summary.json").exists()
    assert not (second / "failed.json").exists(), "an interruption is no failure"

    # The first was evaluated, and has no more checkpoints.
    results = json.loads((first / "evaluation" / "results.json").read_text())
    assert results["benchmarks"]["arithmetic"]["n"] == 10
    assert not list(first.glob("global_step_*"))
    assert not (first / "exported").exists()

    # Again, without the model: the first is left alone, the second fails and is named.
    model.rename(tmp_path / "elsewhere")
    status, text = ablate(study, out, environment=scratch.environment)
    assert status == 1, text
    assert contents(first) == before
    assert "failed: half seed 1" in text
    assert "--retry-failed" in text
    assert "1 of 2 runs are done" in text
    assert "Traceback" not in text
    assert str(model.name) in json.loads((second / "failed.json").read_text())["cause"]

    # With it, the failed run is left alone until it is asked for.
    (tmp_path / "elsewhere").rename(model)
    status, text = ablate(study, out, environment=scratch.environment)
    assert status == 1, text
    status, text = ablate(study, out, "--retry-failed", environment=scratch.environment)
    assert status == 0, text
    assert f"2 of 2 runs are done; tables and figures: {out / 'results.md'}" in text
    assert "half" in (out / "results.md").read_text(encoding="utf-8")
    assert "dr_grpo, seed 1: done" not in text, "that is no news"
    assert run_of(out, "half").steps == [1, 2]
    assert not (second / "failed.json").exists()
    assert contents(first) == before
    scratch.check_clean()

    # Fair: the same prompts in the same order, and before the first update the same responses.
    arms = [run_of(out, arm).lines("prompts.jsonl") for arm in ("dr_grpo", "half")]
    order = [[(record["step"], record["prompt"]) for record in records] for records in arms]
    assert order[0] == order[1]
    rollouts = [
        [(record["answers"], record["rewards"], record["entropy"]) for record in records if record["step"] == 1]
        for records in arms
    ]
    assert len(rollouts[0]) == 8
    assert rollouts[0] == rollouts[1]
    weights = [{record["weight"] for record in records if record["step"] == 1} for records in arms]
    assert weights[0] != weights[1], "the arms are one and the same"


@pytest.fixture
def slurm() -> Iterator[Slurm]:
    reason = why_not()
    if reason:
        pytest.skip(f"no Slurm: {reason}")
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="no hydra-submitit-launcher")
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # sockets need a short path
    with running_slurm(folder, cpus=8) as cluster:
        yield cluster
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)


@pytest.mark.slow
def test_a_job_for_each_run_on_a_real_slurm(slurm: Slurm, quickstart_base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    lost = {"name": "lost", "against": "lost", "overrides": ["actor_rollout_ref.model.path=/nowhere"]}
    study = write_study(tmp_path, [DR_GRPO, lost])
    give_base(quickstart_base, out, 1)
    environment = {**slurm.environment, "PYTHONPATH": str(ROOT)}
    status, text = ablate(
        study, out, "--launcher", "slurm", "hydra.launcher.partition=all", "hydra.launcher.cpus_per_task=8",
        "hydra.launcher.timeout_min=10", environment=environment,
    )  # fmt: skip
    logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in out.glob("logs/*/**/*.err"))
    assert status == 1, text + logs
    assert "1 of 2 runs are done" in text, text + logs
    assert "failed: lost seed 1: /nowhere is not a model" in text
    assert run_of(out, "dr_grpo").steps == [1, 2]
    submitted = {path.name.split("_")[1] for path in out.glob("logs/*/.submitit/*_*") if path.is_dir()}
    assert len(submitted) == 2, "one job a run"
    assert slurm.run("squeue", "--noheader") == ""
