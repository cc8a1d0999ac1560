"""A run that gives itself its labels: no gold answers in its data, more votes than it trains on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from runs import Run, finished

pytestmark = pytest.mark.e2e
VALIDATION = "actor_rollout_ref.rollout.val_kwargs"
SAMPLED = ("n=3", "do_sample=true", "temperature=1")


def test_a_run_without_gold_answers(quickstart_base: Path, tmp_path: Path) -> None:
    rows = pd.read_parquet(quickstart_base / "data" / "arithmetic_train.parquet")
    rows.drop(columns="reward_model").to_parquet(tmp_path / "no_golds.parquet")
    run = finished(
        tmp_path / "run", quickstart_base, "baseline=ttrl", "seed_grpo.votes=8", "trainer.test_freq=2",
        f"data.train_files={tmp_path}/no_golds.parquet", *(f"{VALIDATION}.{each}" for each in SAMPLED),
    )  # fmt: skip
    assert run.steps == [1, 2]
    check_records(run)
    step = run.lines("metrics.jsonl")[0]
    assert 0 <= step["seed_grpo/labels/reward"] <= 1
    assert "seed_grpo/labels/true_accuracy" not in step
    assert run.summary["final_accuracy"] is not None, "validation has gold answers"
    check_sampled(run)


def check_sampled(run: Run) -> None:
    """Validation with three samples per problem, next to verl's own numbers."""
    [record] = [each for each in run.lines("metrics.jsonl") if "val/pass@1" in each]
    [mean] = [value for name, value in record.items() if name.endswith("/acc/mean@3")]
    assert record["val/pass@1"] == pytest.approx(mean)
    assert record["val/pass@1"] < record["val/pass@3"] < 1
    assert record["val/distinct_right"] == pytest.approx(record["val/pass@3"]), "a sum has one right answer"
    assert record["val/entropy_right"] == 0
    assert run.summary["final_sampled"]["pass@3"] == record["val/pass@3"]
    assert run.summary["base_sampled"] is None
    assert "validation pass@3" in run.output


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
