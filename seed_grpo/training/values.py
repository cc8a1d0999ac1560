"""Which values a key may have: checked when a configuration is composed, before anything is read or run.

Hydra takes `data.train_batch_size=abc` and `trainer.total_epochs=null` as they are, and verl finds out minutes later,
in another process. Keys that the table does not name are left to verl's own checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seed_grpo.errors import UsageError

if TYPE_CHECKING:
    from omegaconf import DictConfig

MOST_STEPS = 10**9
MOST_TOKENS = 10**7
LOGGERS = (
    "wandb",
    "mlflow",
    "swanlab",
    "vemlp_wandb",
    "tensorboard",
    "console",
    "clearml",
    "trackio",
    "file",
    "rl_insight",
)


@dataclass(frozen=True)
class Kind:
    """The values that a key may have.

    Attributes:
        words: what they are, behind "set it to".
        holds: whether a value is one of them.
    """

    words: str
    holds: Callable[[Any], bool]

    def or_null(self) -> Kind:
        """The same, or null."""
        return Kind(f"{self.words}, or null", lambda value: value is None or self.holds(value))


def whole(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`."""
    return Kind(
        f"a whole number from {low} to {high}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
    )


def number(low: float, high: float, *, above: bool = False) -> Kind:
    """A number from `low` (or above it) to `high`."""

    def holds(value: Any) -> bool:
        plain = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return plain and (low < value if above else low <= value) and value <= high

    return Kind(f"a number {'above' if above else 'from'} {low:g} {'and up ' if above else ''}to {high:g}", holds)


def choice(*values: str) -> Kind:
    """One of a few words."""
    return Kind(f"one of {', '.join(values)}", lambda value: value in values)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _each(value: Any) -> list[Any]:
    return list(value) if not isinstance(value, str) and hasattr(value, "__iter__") else [value]


FLAG = Kind("true or false", lambda value: isinstance(value, bool))
TEXT = Kind("a name or a path", _is_text)
FILES = Kind(
    "a parquet file, or a list of them",
    lambda value: bool(_each(value)) and all(_is_text(each) for each in _each(value)),
)
BETAS = Kind(
    "two numbers from 0 to below 1, such as [0.9,0.95]",
    lambda value: len(_each(value)) == 2 and all(number(0, 1).holds(each) and each < 1 for each in _each(value)),
)

DTYPE = choice("fp32", "float32", "bf16", "bfloat16", "fp16", "float16")


def some_of(*values: str) -> Kind:
    """A list of a few words."""
    return Kind(
        f"a list of some of {', '.join(values)}",
        lambda value: bool(_each(value)) and all(isinstance(each, str) and each in values for each in _each(value)),
    )


_ACTOR, _ROLLOUT, _MODEL = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.model"
_FSDP = f"{_ACTOR}.fsdp_config"
KINDS: dict[str, Kind] = {
    "seed": whole(0, 2**32 - 1),
    # Files and names.
    f"{_MODEL}.path": TEXT,
    f"{_MODEL}.tokenizer_path": TEXT.or_null(),
    "data.train_files": FILES,
    "data.val_files": FILES,
    "trainer.default_local_dir": TEXT,
    "trainer.experiment_name": TEXT,
    "trainer.project_name": TEXT,
    "trainer.logger": Kind(
        f"one or more of {', '.join(LOGGERS)}", lambda value: bool(_each(value)) and set(_each(value)) <= set(LOGGERS)
    ),
    "trainer.resume_mode": choice("auto", "disable", "resume_path"),
    "trainer.device": choice("cpu", "cuda", "npu"),
    "data.truncation": choice("error", "left", "right", "middle"),
    "quickstart_dir": TEXT,
    f"{_ROLLOUT}.name": TEXT,
    f"{_ROLLOUT}.load_format": TEXT,
    f"{_ROLLOUT}.agent.agent_loop_manager_class": TEXT.or_null(),
    f"{_MODEL}.custom_chat_template": TEXT.or_null(),
    f"{_MODEL}.override_config.attn_implementation": TEXT,
    f"{_MODEL}.fused_kernel_options.impl_backend": choice("torch", "triton"),
    "trainer.v1.trainer_mode": TEXT,
    "transfer_queue.backend.storage_backend": TEXT,
    "reward.reward_manager.name": TEXT,
    "algorithm.filter_groups.metric": TEXT.or_null(),
    f"{_ACTOR}.strategy": TEXT,
    f"{_ACTOR}.policy_loss.loss_mode": TEXT,
    f"{_ACTOR}.loss_agg_mode": choice(
        "token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"
    ),
    f"{_ACTOR}.optim.lr_scheduler_type": choice("constant", "cosine"),
    f"{_ACTOR}.checkpoint.save_contents": some_of("model", "optimizer", "extra", "hf_model"),
    f"{_ACTOR}.checkpoint.load_contents": some_of("model", "optimizer", "extra", "hf_model"),
    f"{_FSDP}.dtype": DTYPE,
    f"{_FSDP}.model_dtype": DTYPE,
    f"{_FSDP}.mixed_precision.param_dtype": DTYPE,
    f"{_FSDP}.mixed_precision.reduce_dtype": DTYPE,
    f"{_FSDP}.mixed_precision.buffer_dtype": DTYPE,
    f"{_ROLLOUT}.dtype": DTYPE,
    # How much.
    "data.seed": whole(0, 2**32 - 1).or_null(),
    f"{_ACTOR}.data_loader_seed": whole(0, 2**32 - 1).or_null(),
    f"{_ROLLOUT}.seed": whole(0, 2**32 - 1),
    f"{_ROLLOUT}.agent.num_workers": whole(1, 1024),
    "reward.num_workers": whole(0, 1024),
    "data.train_batch_size": whole(1, MOST_TOKENS),
    "data.max_prompt_length": whole(1, MOST_TOKENS),
    "data.max_response_length": whole(1, MOST_TOKENS),
    "data.train_max_samples": whole(-1, MOST_STEPS),
    "data.val_max_samples": whole(-1, MOST_STEPS),
    "data.dataloader_num_workers": whole(0, 1024),
    f"{_ROLLOUT}.n": whole(1, 4096),
    f"{_ROLLOUT}.val_kwargs.n": whole(1, 4096),
    f"{_ROLLOUT}.max_num_seqs": whole(1, 10**6),
    f"{_ROLLOUT}.max_model_len": whole(1, MOST_TOKENS).or_null(),
    f"{_ROLLOUT}.max_num_batched_tokens": whole(1, MOST_TOKENS),
    f"{_ACTOR}.ppo_mini_batch_size": whole(1, MOST_TOKENS),
    f"{_ACTOR}.ppo_micro_batch_size_per_gpu": whole(1, MOST_TOKENS).or_null(),
    f"{_ACTOR}.ppo_max_token_len_per_gpu": whole(1, MOST_TOKENS),
    f"{_ROLLOUT}.log_prob_max_token_len_per_gpu": whole(1, MOST_TOKENS),
    f"{_ROLLOUT}.log_prob_micro_batch_size_per_gpu": whole(1, MOST_TOKENS).or_null(),
    f"{_ACTOR}.ppo_epochs": whole(1, 1000),
    "trainer.total_epochs": whole(1, MOST_STEPS),
    "trainer.total_training_steps": whole(1, MOST_STEPS).or_null(),
    "trainer.test_freq": whole(-1, MOST_STEPS),
    "trainer.save_freq": whole(-1, MOST_STEPS).or_null(),  # null if it follows a total_training_steps of null
    "trainer.max_actor_ckpt_to_keep": whole(1, MOST_STEPS).or_null(),
    "trainer.nnodes": whole(1, 10**4),
    "trainer.n_gpus_per_node": whole(1, 1024),
    f"{_ROLLOUT}.tensor_model_parallel_size": whole(1, 1024),
    f"{_ACTOR}.ulysses_sequence_parallel_size": whole(1, 1024),
    "ray_kwargs.ray_init.num_cpus": whole(1, 10**6).or_null(),
    "ray_kwargs.ray_init.num_gpus": whole(0, 10**6).or_null(),
    "transfer_queue.backend.SimpleStorage.num_data_storage_units": whole(1, 10**4),
    # Of the method of training.
    f"{_ROLLOUT}.temperature": number(0, 100, above=True),
    f"{_ROLLOUT}.top_p": number(0, 1, above=True),
    f"{_ROLLOUT}.top_k": whole(-1, MOST_TOKENS),
    f"{_ROLLOUT}.val_kwargs.temperature": number(0, 100),
    f"{_ROLLOUT}.val_kwargs.top_p": number(0, 1, above=True),
    f"{_ROLLOUT}.val_kwargs.top_k": whole(-1, MOST_TOKENS),
    f"{_ROLLOUT}.gpu_memory_utilization": number(0, 1, above=True),
    f"{_ACTOR}.optim.lr": number(0, 1),
    f"{_ACTOR}.optim.weight_decay": number(0, 100),
    f"{_ACTOR}.optim.clip_grad": number(0, 1e9, above=True),
    f"{_ACTOR}.optim.betas": BETAS,
    f"{_ACTOR}.optim.lr_warmup_steps": whole(-1, MOST_STEPS),
    f"{_ACTOR}.optim.lr_warmup_steps_ratio": number(0, 1),
    f"{_ACTOR}.clip_ratio": number(0, 1e9),
    f"{_ACTOR}.clip_ratio_low": number(0, 1e9),
    f"{_ACTOR}.clip_ratio_high": number(0, 1e9),
    f"{_ACTOR}.clip_ratio_c": number(1, 1e9, above=True),
    f"{_ACTOR}.entropy_coeff": number(-1e3, 1e3),
    f"{_ACTOR}.kl_loss_coef": number(0, 1e3),
    f"{_ACTOR}.loss_scale_factor": number(0, 1e9, above=True).or_null(),
    "algorithm.adv_estimator": TEXT,
    "algorithm.gamma": number(0, 1),
    "algorithm.lam": number(0, 1),
    **dict.fromkeys(
        (
            "data.shuffle", "data.filter_overlong_prompts", "trainer.val_before_train", "trainer.val_only",
            "algorithm.norm_adv_by_std_in_grpo", "algorithm.use_kl_in_reward", "algorithm.filter_groups.enable",
            "algorithm.rollout_correction.bypass_mode", f"{_ACTOR}.use_kl_loss", f"{_ACTOR}.shuffle",
            f"{_ACTOR}.use_dynamic_bsz", f"{_MODEL}.use_remove_padding", f"{_MODEL}.enable_gradient_checkpointing",
            f"{_MODEL}.use_fused_kernels", f"{_ROLLOUT}.calculate_log_probs", f"{_ROLLOUT}.val_kwargs.do_sample",
            f"{_ROLLOUT}.free_cache_engine", f"{_ROLLOUT}.enforce_eager", f"{_ROLLOUT}.enable_prefix_caching",
            f"{_ACTOR}.use_torch_compile", f"{_FSDP}.use_torch_compile", f"{_FSDP}.param_offload",
            f"{_FSDP}.optimizer_offload", "actor_rollout_ref.ref.use_torch_compile", "critic.enable",
            "ray_kwargs.ray_init.include_dashboard", f"{_ACTOR}.optim.override_optimizer_config.fused",
        ),
        FLAG,
    ),
}  # fmt: skip
"""By the key. Keys that others are worked out from stand before those."""
_ABSENT = object()


def check_values(config: DictConfig) -> None:
    """Check the type and the range of each value that a person is likely to type.

    Raises:
        UsageError: naming the first key whose value cannot be, and what it can be.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for key, kind in KINDS.items():
        try:
            value = OmegaConf.select(config, key, default=_ABSENT)
        except OmegaConfBaseException as error:
            raise UsageError(
                f"{key} cannot be worked out: {' '.join(str(error).split())}.",
                "correct the value that it follows from.",
            ) from error
        if value is not _ABSENT and not kind.holds(value):
            shown = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            raise UsageError(f"{key} is {'null' if shown is None else repr(shown)[:80]}.", f"set it to {kind.words}.")
