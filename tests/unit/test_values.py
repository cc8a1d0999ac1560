"""Values that cannot be are refused where they are typed, long before Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from seed_grpo.cli import main
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.training import launch
from seed_grpo.training.compose import as_yaml, compose_config
from seed_grpo.training.launch import run_training
from seed_grpo.training.values import KINDS, check_values

ROOT = Path(__file__).resolve().parents[2]
ACTOR, ROLLOUT, MODEL = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.model"
MAY_BE_NULL = {
    f"{MODEL}.tokenizer_path", f"{ROLLOUT}.max_model_len", f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu",
    f"{ACTOR}.ppo_micro_batch_size_per_gpu", f"{ACTOR}.loss_scale_factor", "trainer.total_training_steps",
    "trainer.save_freq", "trainer.max_actor_ckpt_to_keep", "ray_kwargs.ray_init.num_cpus",
    "ray_kwargs.ray_init.num_gpus", "data.seed", f"{ACTOR}.data_loader_seed", "algorithm.filter_groups.metric",
    f"{ROLLOUT}.agent.agent_loop_manager_class", f"{MODEL}.custom_chat_template",
}  # fmt: skip
MAY_BE_ANY_TEXT = {
    f"{MODEL}.path",
    f"{MODEL}.tokenizer_path",
    "data.train_files",
    "data.val_files",
    "trainer.default_local_dir",
    "trainer.experiment_name",
    "trainer.project_name",
    "algorithm.adv_estimator",
    "quickstart_dir",
    f"{ROLLOUT}.name",
    f"{ROLLOUT}.load_format",
    f"{ROLLOUT}.agent.agent_loop_manager_class",
    f"{MODEL}.custom_chat_template",
    f"{MODEL}.override_config.attn_implementation",
    "trainer.v1.trainer_mode",
    "reward.reward_manager.name",
    "transfer_queue.backend.storage_backend",
    "algorithm.filter_groups.metric",
    f"{ACTOR}.strategy",
    f"{ACTOR}.policy_loss.loss_mode",
}
"""Names: what exists is known to verl's registries, which launch.py asks, or to the files."""  # fmt: skip
MAY_BE_NEGATIVE = {f"{ACTOR}.entropy_coeff"}


@pytest.fixture(scope="module")
def config() -> DictConfig:
    return compose_config(["experiment=quickstart"])


@pytest.mark.parametrize("key", KINDS)
def test_null_text_negative_and_huge_values_are_refused(key: str, config: DictConfig) -> None:
    for value, allowed in (
        (None, MAY_BE_NULL), ("abc", MAY_BE_ANY_TEXT), (-7, MAY_BE_NEGATIVE), (10**30, ()), (float("nan"), ()),
        (True, {key} if isinstance(OmegaConf.select(config, key), bool) else ()),
    ):  # fmt: skip
        changed = config.copy()
        OmegaConf.update(changed, key, value)
        if key in allowed:
            check_values(changed)
            continue
        with pytest.raises(UsageError) as refused:
            check_values(changed)
        assert key in str(refused.value)
        assert "Remedy: set it to " in str(refused.value)
        assert len(str(refused.value)) < 300


def test_every_key_that_our_files_set_is_in_the_table() -> None:
    """And so can be typed wrongly without reaching Ray; the method's and the runtime's have checks of their own."""
    set_by_us = {
        key
        for path in (ROOT / "configs").rglob("*.yaml")
        if path.parent.name != "study"
        for key in keys_of(yaml.safe_load(path.read_text(encoding="utf-8")))
    }
    own = ("defaults", "hydra.", "variant.", "seed_grpo.", "seed_grpo_runtime", "data_dir", "smollm2_dir")
    engine = ("ray_kwargs.ray_init.runtime_env.", f"{ROLLOUT}.engine_kwargs.", f"{ROLLOUT}.enable_sleep_mode")
    assert sorted(key for key in set_by_us - set(KINDS) if not key.startswith((*own, *engine))) == []


def keys_of(node: Any, before: str = "") -> list[str]:
    if not isinstance(node, dict):
        return [before]
    return [key for name, value in node.items() for key in keys_of(value, f"{before}.{name}" if before else name)]


def test_every_key_of_the_table_is_one_of_the_configuration(config: DictConfig) -> None:
    nothing = object()
    assert [key for key in KINDS if OmegaConf.select(config, key, default=nothing) is nothing] == []


@pytest.mark.parametrize(
    "overrides",
    [
        # Within the range of the table, and impossible all the same.
        ["data.train_batch_size=1000000"],
        ["data.max_response_length=1000000"],
        ["data.max_prompt_length=5000"],
        ["trainer.n_gpus_per_node=1000"],
        ["trainer.nnodes=1000"],
        [f"{ACTOR}.ppo_mini_batch_size=1000000"],
        [f"{ACTOR}.ppo_mini_batch_size=5"],
        [f"{MODEL}.path=abc"],
        ["data.train_files=abc"],
        ["data.val_files=[abc]"],
        ["data.train_max_samples=5"],
        ["trainer.val_only=true", "trainer.val_before_train=false"],
        ["platform=gpu", "trainer.n_gpus_per_node=1000", f"{MODEL}.use_remove_padding=false"],
        ["+seed_grpo_runtime.silent_seconds=abc"],
        ["seed_grpo_runtime.poll_seconds=-1"],
        ["seed_grpo_runtime.trainer_in_driver=perhaps"],
        ["seed_grpo.alpha=null"],
        ["seed_grpo.alpha=abc"],
        ["seed_grpo.gamma=-1e30"],
    ],
    ids=" ".join,
)
def test_nothing_impossible_reaches_ray(
    overrides: list[str], untrained_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = []
    monkeypatch.setattr(launch, "_run", lambda *arguments: reached.append(arguments))
    common = ["experiment=quickstart", f"quickstart_dir={untrained_base}", f"trainer.default_local_dir={tmp_path}/run"]
    with pytest.raises(SeedGrpoError) as refused:
        run_training(compose_config([*common, *overrides]))
    assert not reached
    assert refused.value.remedy
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("command", "override", "words"),
    [
        ("train", "data.train_batch_size=abc", "data.train_batch_size is 'abc'"),
        ("train", f"{MODEL}.path=null", f"{MODEL}.path is null"),
        ("train", "data.val_files=null", "data.val_files is null"),
        ("doctor", f"{ROLLOUT}.n=abc", f"{ROLLOUT}.n is 'abc'"),
        ("plan", f"{ROLLOUT}.n=0", f"{ROLLOUT}.n is 0"),
        ("plan", "trainer.total_training_steps=1e3", "trainer.total_training_steps is 1000.0"),
    ],
)
def test_the_commands_say_it_in_one_line(
    command: str, override: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("sys.argv", ["seed-grpo", command, override])
    with pytest.raises(SystemExit) as ended:
        main()
    error = capsys.readouterr().err.strip()
    assert ended.value.code == 2
    assert words in error
    assert "\n" not in error


def test_the_shown_configuration_is_worked_out() -> None:
    shown = as_yaml(compose_config(["experiment=qwen2.5_math_7b_g16", "platform=gpu"]))
    assert "${" not in shown
    assert OmegaConf.create(shown).actor_rollout_ref.actor.ppo_mini_batch_size == 8


def test_a_value_that_cannot_be_worked_out_is_an_error() -> None:
    config: Any = compose_config(["experiment=quickstart", "+note=${no.such.key}"])
    with pytest.raises(UsageError, match="no"):
        as_yaml(config)
