"""A run that gives itself its labels: no gold answers in its data, more votes than it trains on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from runs import Run, finished

pytestmark = pytest.mark.e2e


def test_a_run_without_gold_answers(quickstart_base: Path, tmp_path: Path) -> None:
    rows = pd.read_parquet(quickstart_base / "data" / "arithmetic_train.parquet")
    rows.drop(columns="reward_model").to_parquet(tmp_path / "no_golds.parquet")
    run = finished(
        tmp_path / "run", quickstart_base, "baseline=ttrl", "seed_grpo.votes=8", "trainer.test_freq=2",
        f"data.train_files={tmp_path}/no_golds.parquet",
    )  # fmt: skip
    assert run.steps == [1, 2]
    check_records(run)
    step = run.lines("metrics.jsonl")[0]
    assert 0 <= step["seed_grpo/labels/reward"] <= 1
    assert "seed_grpo/labels/true_accuracy" not in step
    assert run.summary["final_accuracy"] is not None, "validation has gold answers"


def check_records(run: Run) -> None:
    """Each prompt's rewards are the votes of its answers: those that are trained on are four of eight."""
    prompts = run.lines("prompts.jsonl")
    assert all(prompt["G"] == 4 for prompt in prompts)
    for prompt in prompts:
        rewarded = {cluster for cluster, reward in zip(prompt["cluster_ids"], prompt["rewards"], strict=True) if reward}
        assert len(rewarded) <= 1
        for cluster, reward in zip(prompt["cluster_ids"], prompt["rewards"], strict=True):
            assert reward == float(cluster in rewarded)
    assert any(1.0 in prompt["rewards"] for prompt in prompts)
