"""Whole runs of verl, Ray, TransferQueue and FSDP2 on the CPU."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import ROOT, RUN_SECONDS, SYNC_RUN, Run, tiny_run, train

pytestmark = pytest.mark.e2e


def test_every_step_and_prompt_is_on_record(sync_run: Run) -> None:
    assert sync_run.steps == [1, 2, 3, 4, 5, 6]
    prompts = sync_run.lines("prompts.jsonl")
    assert len(prompts) == 6 * 8
    for record in prompts:
        assert len(record["answers"]) == len(record["rewards"]) == len(record["cluster_ids"]) == record["G"] == 4
        assert record["K"] == len(set(record["cluster_ids"]))
        assert 0 <= record["entropy"] <= math.log(4) + 1e-9
        assert record["weight"] == pytest.approx(1 - 0.5 * record["entropy"] / math.log(4))
        left, right = record["prompt"].rstrip("=").split("+")
        assert record["gold"] == [str(int(left) + int(right))]
        for answer, reward in zip(record["answers"], record["rewards"], strict=True):
            assert reward == float(answer == record["gold"][0])
    assert any(0 < record["accuracy"] < 1 for record in prompts), "no mixed prompt: the method was not at work"


def test_a_step_has_the_metrics_of_the_method_and_of_verl(sync_run: Run) -> None:
    step = sync_run.lines("metrics.jsonl")[-1]
    assert step["seed_grpo/half_rewarded_share"] == 0
    assert step["training/rollout_probs_diff_max"] < 1e-4
    for name in ("seed_grpo/entropy", "seed_grpo/weight", "actor/grad_norm", "timing_s/step", "val/accuracy",
                 "seed_grpo/clusterer/timeouts", "seed_grpo/clusterer/guarded"):  # fmt: skip
        assert math.isfinite(step[name]), name


def test_what_a_run_leaves(sync_run: Run) -> None:
    summary = sync_run.summary
    for name in ("base_accuracy", "final_accuracy", "steps", "seed", "adv_estimator", "trainer_mode", "versions",
                 "wall_seconds", "samples_per_second"):  # fmt: skip
        assert summary[name] is not None, name
    assert (summary["adv_estimator"], summary["trainer_mode"]) == ("seed_grpo", "seed_grpo_sync")
    assert summary["versions"]["verl"] == "0.9.1"
    assert (sync_run.folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list((sync_run.folder / "tensorboard").rglob("events.out.tfevents.*"))
    assert (sync_run.folder / "config.yaml").is_file()
    assert "validation accuracy" in sync_run.output


def test_a_finished_run_is_not_run_again(sync_run: Run, quickstart_base: Path) -> None:
    start = time.monotonic()
    again = train(sync_run.folder, tiny_run(quickstart_base, sync_run.folder, *SYNC_RUN))
    assert again.status == 0, again.output
    assert again.steps == [1, 2, 3, 4, 5, 6]
    assert time.monotonic() - start < 30


def test_another_run_does_not_get_into_its_folder(sync_run: Run, quickstart_base: Path) -> None:
    other = train(sync_run.folder, tiny_run(quickstart_base, sync_run.folder, "seed_grpo.alpha=0.1"))
    assert other.status == 2
    assert "seed_grpo.alpha was 0.5 and is 0.1" in other.output
    assert "Traceback" not in other.output


def test_the_trained_model_is_a_plain_hugging_face_folder(sync_run: Run) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = sync_run.folder / "global_step_6" / "actor" / "huggingface"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    out = model.generate(torch.tensor([tokenizer.encode("2+3=")]), max_new_tokens=12, do_sample=False)
    assert "boxed" in tokenizer.decode(out[0])


def test_asynchronous_rollouts_on_the_same_devices(quickstart_base: Path, tmp_path: Path) -> None:
    run = train(
        tmp_path / "run",
        tiny_run(quickstart_base, tmp_path / "run", "trainer.v1.trainer_mode=seed_grpo_colocate_async",
                 "data.max_prompt_length=4"),
    )  # fmt: skip
    assert run.status == 0, run.output + run.log[-3000:]
    assert run.steps == [1, 2]
    assert run.summary["trainer_mode"] == "seed_grpo_colocate_async"
    # What is in flight at the end is given up, and starts no second Ray.
    assert run.log.count("Started a local Ray instance") == 1
    assert all(record["weight"] <= 1 for record in run.lines("prompts.jsonl"))
    # All prompts are longer: it is said where a person looks.
    assert run.summary["prompts_cut"] >= 16
    assert "prompts cut to data.max_prompt_length" in run.output


def test_two_ranks_see_what_one_sees(two_rank_run: Run, sync_run: Run) -> None:
    assert two_rank_run.steps == [1, 2]
    assert two_rank_run.lines("metrics.jsonl")[0]["val/accuracy"] == sync_run.lines("metrics.jsonl")[0]["val/accuracy"]


def test_the_drop_in_for_somebody_who_runs_verl_already(quickstart_base: Path, tmp_path: Path) -> None:
    """verl's own command, with the two overrides of the README; the rest is what a CPU needs."""
    from omegaconf import OmegaConf

    config = OmegaConf.load(ROOT / "configs" / "platform" / "cpu.yaml")
    config.reward.num_workers = 1  # what is worked out there is not known to verl's command
    config.ray_kwargs.ray_init.runtime_env.env_vars.SEED_GRPO_TORCH_THREADS = "1"
    cpu = [f"++{key}={value}" for key, value in flat(OmegaConf.to_container(config, resolve=False))]
    folder = tmp_path / "run"
    done = subprocess.run(
        [
            sys.executable, "-m", "verl.trainer.main_ppo",
            "trainer.v1.trainer_mode=seed_grpo_sync",
            "actor_rollout_ref.actor.strategy=fsdp2",
            "algorithm.adv_estimator=seed_grpo",
            "+seed_grpo.alpha=0.5",
            *cpu,
            f"data.train_files={quickstart_base}/data/arithmetic_train.parquet",
            f"data.val_files={quickstart_base}/data/arithmetic_test.parquet",
            f"actor_rollout_ref.model.path={quickstart_base}/model",
            "data.train_batch_size=8", "data.max_prompt_length=16", "data.max_response_length=16",
            "data.dataloader_num_workers=0",
            "actor_rollout_ref.rollout.tensor_model_parallel_size=1", "actor_rollout_ref.rollout.n=4",
            "actor_rollout_ref.actor.ppo_mini_batch_size=8",
            "reward.custom_reward_function.path=" + str(write_reward(tmp_path)),
            "trainer.total_training_steps=2", "trainer.val_before_train=false", "trainer.test_freq=-1",
            "trainer.logger=[console]", f"trainer.default_local_dir={folder}",
        ],
        capture_output=True, text=True, timeout=RUN_SECONDS, cwd=tmp_path,
        env={**os.environ, "VERL_PLATFORM": "cpu"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    run = Run(folder, 0, done.stdout)
    assert run.steps == [1, 2]
    for record in run.lines("prompts.jsonl"):
        assert record["weight"] == pytest.approx(1 - 0.5 * record["entropy"] / math.log(4))


def write_reward(folder: Path) -> Path:
    """Somebody's own reward function for verl, which knows nothing of answers or clusters."""
    path = folder / "reward.py"
    path.write_text(
        "def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):\n"
        "    return float('\\\\boxed{' + ground_truth[0] + '}' in solution_str)\n"
    )
    return path


def flat(node: dict, prefix: str = "") -> list[tuple[str, object]]:
    """Dotted keys and values of a nested configuration."""
    pairs: list[tuple[str, object]] = []
    for name, value in node.items():
        if isinstance(value, dict):
            pairs += flat(value, f"{prefix}{name}.")
        else:
            pairs.append(
                (prefix + name, "null" if value is None else f"'{value}'" if isinstance(value, str) else value)
            )
    return pairs
