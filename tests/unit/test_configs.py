"""Every shipped configuration, composed and validated against the installed verl."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import seed_grpo.configs
import yaml
from omegaconf import DictConfig, OmegaConf

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.settings import Settings
from seed_grpo.training.compose import compose_config
from seed_grpo.training.resolvers import attention_note, minibatch_prompts

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(seed_grpo.configs.__file__).parent


def names(group: str) -> list[str]:
    return sorted(path.name.removesuffix(".yaml") for path in (FOLDER / group).glob("*.yaml"))


ON_A_LAPTOP = ("quickstart", "smollm2_gsm8k", "splits")
PAPER_RUNS = [name for name in names("experiment") if name not in ON_A_LAPTOP]
# Every file of every group, and every baseline on both kinds of machine.
RUNS = [[f"experiment={run}", "platform=gpu"] for run in PAPER_RUNS]
RUNS += [["experiment=qwen2.5_math_7b", "platform=gpu", f"baseline={name}"] for name in names("baseline")]
RUNS += [["experiment=quickstart", "platform=cpu", f"baseline={name}"] for name in names("baseline")]
RUNS += [["experiment=qwen2.5_math_7b_g16", f"platform={name}"] for name in names("platform")]
RUNS += [["experiment=qwen2.5_math_7b", "platform=gpu", f"ablation={name}"] for name in names("ablation")]
RUNS += [["experiment=qwen2.5_math_7b", "platform=gpu", f"method={name}"] for name in names("method")]

# What Dr.GRPO's scripts and defaults say, in verl's words; verl's own defaults differ in most of them.
DR_GRPO = {
    "algorithm.gamma": 1.0,
    "algorithm.lam": 1.0,
    "algorithm.norm_adv_by_std_in_grpo": False,
    "algorithm.use_kl_in_reward": False,
    "algorithm.filter_groups.enable": False,
    "algorithm.rollout_correction.bypass_mode": False,
    "algorithm.rollout_correction.rollout_is": None,
    "data.train_batch_size": 128,
    "data.max_prompt_length": 1024,
    "data.max_response_length": 3000,
    "data.filter_overlong_prompts": True,
    "actor_rollout_ref.hybrid_engine": True,
    "actor_rollout_ref.actor.ppo_mini_batch_size": 16,
    "actor_rollout_ref.actor.ppo_epochs": 1,
    "actor_rollout_ref.actor.shuffle": True,
    "actor_rollout_ref.actor.clip_ratio": 0.2,
    "actor_rollout_ref.actor.clip_ratio_low": 0.2,
    "actor_rollout_ref.actor.clip_ratio_high": 0.2,
    "actor_rollout_ref.actor.clip_ratio_c": 1e4,
    "actor_rollout_ref.actor.loss_agg_mode": "seq-mean-token-sum-norm",
    "actor_rollout_ref.actor.loss_scale_factor": 3000,
    "actor_rollout_ref.actor.policy_loss.loss_mode": "vanilla",
    "actor_rollout_ref.actor.entropy_coeff": 0,
    "actor_rollout_ref.actor.use_kl_loss": False,
    "actor_rollout_ref.actor.optim.lr": 1e-6,
    "actor_rollout_ref.actor.optim.lr_scheduler_type": "constant",
    "actor_rollout_ref.actor.optim.lr_warmup_steps": -1,
    "actor_rollout_ref.actor.optim.lr_warmup_steps_ratio": 0.0,
    "actor_rollout_ref.actor.optim.optimizer": "AdamW",
    "actor_rollout_ref.actor.optim.betas": [0.9, 0.95],
    "actor_rollout_ref.actor.optim.weight_decay": 0.0,
    "actor_rollout_ref.actor.optim.clip_grad": 1.0,
    "actor_rollout_ref.actor.fsdp_config.model_dtype": "fp32",
    "actor_rollout_ref.actor.fsdp_config.dtype": "bfloat16",
    "actor_rollout_ref.rollout.n": 8,
    "actor_rollout_ref.rollout.temperature": 1.0,
    "actor_rollout_ref.rollout.top_p": 1.0,
    "actor_rollout_ref.rollout.top_k": -1,
    "actor_rollout_ref.rollout.prompt_length": 1024,
    "actor_rollout_ref.rollout.response_length": 3000,
    "actor_rollout_ref.rollout.tensor_model_parallel_size": 1,
    "actor_rollout_ref.rollout.val_kwargs.temperature": 0,
    "actor_rollout_ref.rollout.val_kwargs.top_p": 1.0,
    "actor_rollout_ref.rollout.val_kwargs.n": 1,
    "actor_rollout_ref.rollout.val_kwargs.do_sample": False,
    "reward.reward_manager.name": "seed_grpo",
    "trainer.test_freq": 16,
    "trainer.total_epochs": 20,
    "trainer.val_before_train": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that stands in for the ones on the hub."""
    from seed_grpo.quickstart.model import build_model

    folder = tmp_path_factory.mktemp("model")
    build_model(folder, hidden_size=32, layers=1)
    return folder


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from seed_grpo.quickstart.data import write_data

    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder / "arithmetic_test.parquet"


@pytest.mark.parametrize("overrides", RUNS, ids=" ".join)
def test_verl_takes_it(overrides: list[str], tiny_model: Path, rows: Path, tmp_path: Path) -> None:
    """Composed, resolved, made into verl's typed dataclasses, and passed by verl's checks and ours."""
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn, get_policy_loss_fn
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    from seed_grpo.training.preflight import check_run
    from seed_grpo.verl_plugin.group_rollout import check_supported
    from seed_grpo.verl_plugin.launch import check_names

    config = compose_config(
        [
            *overrides,
            f"actor_rollout_ref.model.path={tiny_model}",
            f"data.train_files={rows}",
            f"data.val_files={rows}",
            f"trainer.default_local_dir={tmp_path}",
        ]
    )
    resolved = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    nodes = [resolved.actor_rollout_ref[name] for name in ("actor", "rollout", "model")]
    resolved.critic.model.path = str(tiny_model)
    # Not `reward`: verl 0.9.1 leaves it untyped, and its own RewardManagerConfig cannot be instantiated.
    for node in [*nodes, resolved.critic, resolved.algorithm]:
        omega_conf_to_dataclass(node)
    assert not need_critic(resolved)
    assert not need_reference_policy(resolved)
    validate_config(resolved, use_reference_policy=False, use_critic=False)
    assert callable(get_adv_estimator_fn(resolved.algorithm.adv_estimator))
    assert callable(get_policy_loss_fn(resolved.actor_rollout_ref.actor.policy_loss.loss_mode))
    if "platform=cpu_vllm" in overrides:
        # Not installed here; and where it is, it does not compute heads as small as this model's.
        with pytest.raises(SeedGrpoError, match="vLLM"):
            check_run(resolved)
        return
    check_run(resolved)
    check_supported(resolved)
    check_names(resolved)


@pytest.mark.parametrize("run", PAPER_RUNS)
def test_the_values_of_dr_grpo_have_not_drifted(run: str) -> None:
    config = compose_config([f"experiment={run}", "platform=gpu"])
    expected = dict(DR_GRPO)
    if run.endswith("g16"):
        expected |= {"actor_rollout_ref.rollout.n": 16, "actor_rollout_ref.actor.ppo_mini_batch_size": 8}
    got = {key: value(config, key) for key in expected}
    assert got == expected
    assert Settings.from_config(config.seed_grpo) == Settings()
    assert config.actor_rollout_ref.rollout.name == "vllm"
    assert config.actor_rollout_ref.actor.strategy == "fsdp2"


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        ("seed_grpo", {"algorithm.adv_estimator": "seed_grpo"}),
        ("dr_grpo", {"algorithm.adv_estimator": "grpo"}),
        (
            "grpo",
            {
                "algorithm.adv_estimator": "grpo",
                "algorithm.norm_adv_by_std_in_grpo": True,
                "actor_rollout_ref.actor.loss_agg_mode": "seq-mean-token-mean",
            },
        ),
        (
            "dapo",
            {
                "algorithm.adv_estimator": "grpo",
                "algorithm.norm_adv_by_std_in_grpo": True,
                "algorithm.filter_groups.enable": True,
                "algorithm.filter_groups.metric": "acc",
                "actor_rollout_ref.actor.clip_ratio_high": 0.28,
                "actor_rollout_ref.actor.clip_ratio_c": 10.0,
                "actor_rollout_ref.actor.loss_agg_mode": "token-mean",
            },
        ),
        (
            "gpg",
            {
                "algorithm.adv_estimator": "gpg",
                "actor_rollout_ref.actor.policy_loss.loss_mode": "gpg",
                "actor_rollout_ref.actor.loss_agg_mode": "token-mean",
            },
        ),
        (
            "raft_pp",
            {
                "algorithm.adv_estimator": "raft_pp",
                "actor_rollout_ref.actor.loss_agg_mode": "seq-mean-token-mean",
            },
        ),
        ("maxrl", {"seed_grpo.weights": ["inverse_mean"]}),
        ("dgpo", {"seed_grpo.weights": ["inverse_mad", "difficulty"]}),
        ("mgpo", {"seed_grpo.weights": ["inverse_std", "target_rate"]}),
        ("empo", {"seed_grpo.weights": ["inverse_std", "entropy_band"], "seed_grpo.labels": "cluster_share"}),
        ("ttrl", {"seed_grpo.weights": ["inverse_std"], "seed_grpo.labels": "majority"}),
    ],
)
def test_a_baseline_differs_from_the_papers_run_in_nothing_else(baseline: str, expected: dict[str, Any]) -> None:
    paper = flat(compose_config(["experiment=qwen2.5_math_7b", "platform=gpu"]))
    other = flat(compose_config(["experiment=qwen2.5_math_7b", "platform=gpu", f"baseline={baseline}"]))
    labels = {"variant.baseline", "trainer.experiment_name", "trainer.default_local_dir"}
    follow = re.compile(r"\.(trace|profiler)\.|experiment_name$|^critic\.")
    changed = {
        key
        for key in paper.keys() | other.keys()
        if paper.get(key) != other.get(key) and key not in labels and not follow.search(key)
    }
    assert changed == {key for key, value in expected.items() if paper[key] != value}
    assert {key: other[key] for key in expected} == expected


def test_runs_that_differ_go_to_different_folders() -> None:
    folders = [
        compose_config([f"experiment={run}", f"baseline={baseline}", f"ablation={ablation}"]).trainer.default_local_dir
        for run in PAPER_RUNS[:2]
        for baseline in ("seed_grpo", "dr_grpo")
        for ablation in ("none", "alpha_0.5")
    ]
    assert len(set(folders)) == len(folders)


@pytest.mark.parametrize("name", names("ablation"))
def test_an_ablation_changes_one_setting(name: str) -> None:
    node = yaml.safe_load((FOLDER / "ablation" / f"{name}.yaml").read_text(encoding="utf-8"))
    label = node.pop("variant")["ablation"]
    assert label == ("" if name == "none" else f"_{name}")
    changes = flat(OmegaConf.create(node)) if node else {}
    assert len(changes) == (0 if name == "none" else 1)
    before = flat(compose_config(["experiment=qwen2.5_math_7b"]))
    assert all(before[key] != changed for key, changed in changes.items())


@pytest.mark.parametrize(
    ("responses", "group_size", "prompts", "expected"),
    [(128, 8, 128, 16), (128, 16, 128, 8), (128, 10, 128, 8), (128, 4, 128, 32), (128, 8, 12, 12), (128, 256, 128, 1)],
)
def test_dr_grpos_minibatch_in_prompts(responses: int, group_size: int, prompts: int, expected: int) -> None:
    assert minibatch_prompts(responses, group_size, prompts) == expected


def test_a_minibatch_without_prompts_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"rollout\.n"):
        minibatch_prompts(128, 0, 128)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not say which cores may be used")
@pytest.mark.parametrize(
    ("cores", "ranks", "threads"), [(1, 1, "1"), (2, 1, "2"), (8, 2, "4"), (64, 1, "4"), (2, 4, "1")]
)
def test_ranks_share_the_cores(cores: int, ranks: int, threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    config = compose_config(["platform=cpu", "experiment=quickstart", f"trainer.n_gpus_per_node={ranks}"])
    variables = config.ray_kwargs.ray_init.runtime_env.env_vars
    assert variables["SEED_GRPO_TORCH_THREADS"] == threads


def test_the_cluster_takes_its_size_from_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "4")
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "6")
    trainer = compose_config(["experiment=qwen2.5_math_7b", "platform=cluster"]).trainer
    assert (trainer.nnodes, trainer.n_gpus_per_node) == (4, 6)


@pytest.mark.parametrize("installed", [True, False])
def test_flash_attention_where_installed(installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if installed:
        (tmp_path / "flash_attn.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
    config = compose_config(["experiment=qwen2.5_math_7b", "platform=gpu"])
    model = config.actor_rollout_ref.model
    assert model.override_config.attn_implementation == ("flash_attention_2" if installed else "sdpa")
    assert model.use_remove_padding is installed
    assert ("not installed" in attention_note(config)) is not installed


def value(config: DictConfig, key: str) -> Any:
    found = OmegaConf.select(config, key, throw_on_missing=True)
    return OmegaConf.to_container(found) if OmegaConf.is_config(found) else found


def flat(config: DictConfig) -> dict[str, Any]:
    """All leaves by their dotted names; lists are leaves."""

    def walk(node: Any, prefix: str) -> dict[str, Any]:
        if not isinstance(node, dict) or not node:
            return {prefix: node}
        return {name: leaf for key, child in node.items() for name, leaf in walk(child, f"{prefix}.{key}").items()}

    return {key.removeprefix("."): leaf for key, leaf in walk(OmegaConf.to_container(config, resolve=True), "").items()}


def hyperparameters() -> list[tuple[str, str, str]]:
    """The rows of the documentation's table: key, value, verl's default."""
    text = (ROOT / "docs" / "paper_to_code.md").read_text(encoding="utf-8")
    table = text.split("## Hyperparameters", 1)[1].split("\n\n| what |", 1)[1].split("\n\n", 1)[0]
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return [(key, value, default) for _, key, value, default, _ in rows]


@pytest.fixture(scope="module")
def verl_defaults() -> DictConfig:
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_module(config_module="verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=["actor_rollout_ref.rollout.name=vllm"])


def test_the_documented_hyperparameters_are_the_configured_ones(verl_defaults: DictConfig) -> None:
    config = compose_config(["experiment=qwen2.5_math_7b", "platform=gpu"])
    rows = hyperparameters()
    assert len(rows) > 50
    wrong = []
    for short, documented, default in rows:
        key = re.sub(r"^(actor|rollout|model)\.", r"actor_rollout_ref.\1.", short)
        if value(config, key) != yaml.safe_load(documented):
            wrong.append(f"{key} is {value(config, key)}, documented {documented}")
        if default != "–" and value(verl_defaults, key) != yaml.safe_load(default):
            wrong.append(f"verl's {key} is {value(verl_defaults, key)}, documented {default}")
    assert not wrong


def test_every_dr_grpo_value_that_verl_would_change_is_documented(verl_defaults: DictConfig) -> None:
    documented = {re.sub(r"^(actor|rollout|model)\.", r"actor_rollout_ref.\1.", row[0]) for row in hyperparameters()}
    follow = {"actor_rollout_ref.rollout.prompt_length", "actor_rollout_ref.rollout.response_length"}
    differing = {key for key, wanted in DR_GRPO.items() if value(verl_defaults, key) != wanted}
    assert differing - follow - {"reward.reward_manager.name"} <= documented


def test_every_shipped_choice_is_documented() -> None:
    text = (ROOT / "docs" / "paper_to_code.md").read_text(encoding="utf-8")
    for group in ("experiment", "baseline", "ablation"):
        shipped = [name for name in names(group) if name not in ("none", *ON_A_LAPTOP)]
        missing = [name for name in shipped if not re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", text)]
        assert not missing


def documented_runs() -> list[str]:
    """Every training command of the pages, as it stands there."""
    pages = [ROOT / "docs" / "cluster.md", ROOT / "docker" / "README.md", ROOT / "recipe" / "seed_grpo" / "README.md"]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages).replace("\\\n", " ")
    commands = r"(?:sbatch [^`\n]*train\.sbatch|bash (?:examples|recipe)/\S+\.sh|(?<!`)seed-grpo:\S+ train)[^`\n]*"
    return sorted(set(re.findall(commands, text)))


@pytest.mark.parametrize("command", documented_runs())
def test_a_documented_run_can_be_composed(command: str) -> None:
    command = command.split("#")[0].split(";")[0]
    overrides = re.findall(r"(?<=\s)[\w.]+=\S+", command.replace("$seed", "1"))
    script = re.search(r"(?:examples|recipe)/\S+\.(?:sh|sbatch)", command)
    if script and script[0].endswith(".sh") and "quickstart" not in script[0]:
        name = Path(script[0]).name.removesuffix(".sh").removeprefix("run_")
        overrides = [f"experiment={name}", "platform=gpu", *overrides]
    if script:
        assert (ROOT / script[0]).is_file()
    compose_config(overrides)
