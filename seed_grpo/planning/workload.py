"""What a run has to do, from its configuration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.errors import UsageError
from seed_grpo.planning.assumptions import constant

if TYPE_CHECKING:
    from omegaconf import DictConfig

QUICKSTART_LENGTHS = (5.75, 11.0)
"""Mean tokens of the quickstart's prompts and responses, measured 2026-11-24."""


@dataclass(frozen=True)
class Workload:
    """A run's work and how it is laid out.

    Attributes:
        prompts, group_size, minibatches: prompts per step, responses per prompt, optimizer steps per step.
        steps: training steps of the run.
        prompt_tokens, response_tokens: mean lengths.
        max_prompt, max_response: limits.
        validations, test_problems: their number, and the problems in each.
        gpus, machines, tensor_parallel, sequence_parallel: the layout; without a GPU, `gpus` is the number of ranks.
        log_probs, reference: whether old log-probabilities, and those of a reference, are computed.
        checkpointing, packed, fused_logits: how the update runs; packed: without padding.
        update_tokens, log_prob_tokens: most tokens in a micro-batch on a GPU.
        sequences: most sequences that an engine generates at once.
        memory_utilization, sleeps: vLLM's share of the memory; whether vLLM releases it during the update.
        weight_bytes: bytes of a master weight, of its gradient, and of each of Adam's two moments.
        parameters_offloaded, optimizer_offloaded: whether they move to the machine's memory between uses.
    """

    prompts: int
    group_size: int
    steps: int
    minibatches: int
    prompt_tokens: float
    response_tokens: float
    max_prompt: int
    max_response: int
    validations: int
    test_problems: int
    gpus: int
    machines: int
    tensor_parallel: int = 1
    sequence_parallel: int = 1
    log_probs: bool = True
    reference: bool = False
    checkpointing: bool = True
    packed: bool = True
    fused_logits: bool = False
    update_tokens: int = 16384
    log_prob_tokens: int = 16384
    sequences: int = 256
    memory_utilization: float = 0.5
    sleeps: bool = True
    weight_bytes: int = 4
    parameters_offloaded: bool = False
    optimizer_offloaded: bool = False

    @property
    def responses(self) -> int:
        """Responses per step."""
        return self.prompts * self.group_size

    @property
    def tokens(self) -> float:
        """Tokens of a step's sequences that log-probabilities and updates see; with padding, all are of full length."""
        length = self.prompt_tokens + self.response_tokens if self.packed else self.max_prompt + self.max_response
        return self.responses * length


def read_workload(
    config: DictConfig, *, prompt_tokens: float | None = None, response_tokens: float | None = None
) -> tuple[Workload, list[str]]:
    """The work of a composed configuration, and remarks on what had to be assumed.

    Raises:
        UsageError: the number of steps or the lengths do not allow a plan.
    """
    from omegaconf import OmegaConf

    actor, rollout, model = (
        config.actor_rollout_ref.actor,
        config.actor_rollout_ref.rollout,
        config.actor_rollout_ref.model,
    )
    on_cpu = config.trainer.device == "cpu"
    steps = config.trainer.total_training_steps
    if not isinstance(steps, int) or steps < 1:
        raise UsageError(
            f"trainer.total_training_steps is {steps}, and a plan needs a number.", "set it to the run's steps."
        )
    remarks: list[str] = []
    quickstart = _quickstart(config)
    assumed_prompt = (
        QUICKSTART_LENGTHS[0] if quickstart else min(constant("prompt_tokens"), config.data.max_prompt_length)
    )
    assumed_response = (
        min(QUICKSTART_LENGTHS[1], config.data.max_response_length)
        if quickstart else constant("response_share") * config.data.max_response_length
    )  # fmt: skip
    if response_tokens is None and not quickstart:
        remarks.append(f"Mean response length: {assumed_response:.0f} tokens (assumed; --response-tokens sets it).")
    lengths = {
        "--prompt-tokens": (assumed_prompt if prompt_tokens is None else prompt_tokens, config.data.max_prompt_length),
        "--response-tokens": (
            assumed_response if response_tokens is None else response_tokens, config.data.max_response_length,
        ),
    }  # fmt: skip
    for option, (length, limit) in lengths.items():
        if not (math.isfinite(length) and 0 < length <= limit):
            raise UsageError(f"{option} is {length}.", f"give a mean length above 0 and up to the limit, {limit}.")
    packed = bool(model.use_remove_padding)
    written: Any = OmegaConf.to_container(config, resolve=False)
    if written["actor_rollout_ref"]["model"]["use_remove_padding"] == "${flash_attention:}":
        packed = True
        remarks.append("Assumes that flash-attention is installed on the run's machine, so that nothing is padded.")
    problems, unknown = _test_problems(config)
    if unknown:
        remarks.append(f"Validation on {', '.join(unknown)} is not counted: the data has not been prepared.")
    frequency = config.trainer.test_freq
    validations = (-(-steps // frequency) if frequency > 0 else 0) + int(config.trainer.val_before_train)
    minibatches = max(config.data.train_batch_size // actor.ppo_mini_batch_size, 1) * actor.ppo_epochs
    length = config.data.max_prompt_length + config.data.max_response_length
    if actor.use_dynamic_bsz:
        update_tokens, log_prob_tokens = actor.ppo_max_token_len_per_gpu, rollout.log_prob_max_token_len_per_gpu
    else:
        update_tokens = length * (actor.ppo_micro_batch_size_per_gpu or 1)
        log_prob_tokens = length * (rollout.log_prob_micro_batch_size_per_gpu or 1)
    fsdp = actor.fsdp_config
    workload = Workload(
        prompts=config.data.train_batch_size,
        group_size=rollout.n,
        steps=steps,
        minibatches=minibatches,
        prompt_tokens=float(lengths["--prompt-tokens"][0]),
        response_tokens=float(lengths["--response-tokens"][0]),
        max_prompt=config.data.max_prompt_length,
        max_response=config.data.max_response_length,
        validations=validations,
        test_problems=problems * rollout.val_kwargs.n,
        gpus=config.trainer.n_gpus_per_node * config.trainer.nnodes,
        machines=config.trainer.nnodes,
        tensor_parallel=rollout.tensor_model_parallel_size,
        sequence_parallel=actor.ulysses_sequence_parallel_size,
        log_probs=not config.algorithm.rollout_correction.bypass_mode,
        reference=bool(actor.use_kl_loss or config.algorithm.use_kl_in_reward),
        checkpointing=bool(model.enable_gradient_checkpointing),
        # The CPU's constants are measured with the padding that the quickstart has.
        packed=packed or on_cpu,
        fused_logits=bool(model.use_fused_kernels),
        update_tokens=update_tokens,
        log_prob_tokens=log_prob_tokens,
        sequences=rollout.max_num_seqs,
        memory_utilization=float(rollout.gpu_memory_utilization),
        sleeps=bool(rollout.free_cache_engine),
        weight_bytes=2 if str(fsdp.model_dtype) in ("bf16", "bfloat16", "fp16", "float16") else 4,
        parameters_offloaded=bool(fsdp.param_offload),
        optimizer_offloaded=bool(fsdp.optimizer_offload),
    )
    return workload, remarks


def _quickstart(config: DictConfig) -> bool:
    return "quickstart_dir" in config


def _test_problems(config: DictConfig) -> tuple[int, list[str]]:
    """The number of validation problems, from the files or, for known data sets, from the registry; names of others."""
    import pyarrow.parquet

    from seed_grpo.data.registry import DATASETS, TEST

    known = {}
    for name, dataset in DATASETS.items():
        for split, rows in dataset.rows.items():
            known[f"{name}_{split}"] = rows.start
            if split == TEST:
                known[name] = rows.start
    files = config.data.val_files
    total, unknown = 0, []
    for file in [files] if isinstance(files, str) else list(files or []):
        path = Path(file).expanduser()
        if path.is_file():
            total += pyarrow.parquet.read_metadata(path).num_rows
        elif path.stem in known:
            total += known[path.stem]
        else:
            unknown.append(path.name)
    return total, unknown
