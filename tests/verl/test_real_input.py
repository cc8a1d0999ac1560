"""The training command over real problems: real prompts, real golds, real (mostly zero) rewards."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from runs import Run, command, tiny_run, train

from seed_grpo import cluster_answers, semantic_entropy
from seed_grpo.quickstart.model import build_model

pytestmark = pytest.mark.e2e


def prepare(dataset: str, source: Path, out: Path) -> Path:
    arguments = ["--dataset", dataset, "--source", str(source), "--template", "none", "--out", str(out)]
    done = subprocess.run(command("data", "prepare", *arguments), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return out / f"{dataset}.parquet"


def test_gsm8k_and_math500(shared_data: Path, tmp_path: Path) -> None:
    train_file = prepare("gsm8k", shared_data / "gsm8k.jsonl", tmp_path / "data")
    test_file = prepare("math500", shared_data / "math500.jsonl", tmp_path / "data")
    build_model(tmp_path / "base" / "model", seed=1)
    run = train(
        tmp_path / "run",
        tiny_run(
            tmp_path / "base", tmp_path / "run",
            f"data.train_files=[{train_file},{test_file}]", f"data.val_files={test_file}",
            "data.max_prompt_length=512", "data.max_response_length=24", "data.filter_overlong_prompts=true",
            "data.train_batch_size=16",
        ),
    )  # fmt: skip
    assert run.status == 0, run.output + run.log[-3000:]
    check_records(run)


def check_records(run: Run) -> None:
    assert run.steps == [1, 2]
    prompts = run.lines("prompts.jsonl")
    assert len(prompts) == 32
    for record in prompts:
        assert record["prompt"]
        assert record["gold"]
        assert cluster_answers(record["answers"]) == record["cluster_ids"]
        assert record["entropy"] == pytest.approx(semantic_entropy(record["cluster_ids"]))
    step = run.lines("metrics.jsonl")[-1]
    assert step["seed_grpo/half_rewarded_share"] == 0
