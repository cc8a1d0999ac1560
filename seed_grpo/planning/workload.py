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
SIXTEEN_BITS = ("bf16", "bfloat16", "fp16", "float16")


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

    @property
    def forward_passes(self) -> int:
        """Passes over the tokens before the update."""
        return int(self.log_probs) + int(self.reference)

    @property
    def update_passes(self) -> int:
        """The update's work in forward passes: backward costs two, checkpointing one more."""
        return 4 if self.checkpointing else 3


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a prompt and of a response; None for what has to be assumed."""

    prompt: float | None = None
    response: float | None = None


def read_workload(config: DictConfig, lengths: Lengths | None = None) -> tuple[Workload, list[str]]:
    """The work of a composed configuration, and remarks on what had to be assumed.

    Raises:
        UsageError: the number of steps or the lengths do not allow a plan.
    """
    ref = config.actor_rollout_ref
    actor, rollout, model, fsdp = ref.actor, ref.rollout, ref.model, ref.actor.fsdp_config
    steps = config.trainer.total_training_steps
    if steps is None:
        raise UsageError(
            "trainer.total_training_steps is null, and a plan needs a number.", "set it to the run's steps."
        )
    prompt_tokens, response_tokens, remarks = _lengths(config, lengths or Lengths())
    packed, how = _packed(config)
    problems, unknown = _test_problems(config)
    length = config.data.max_prompt_length + config.data.max_response_length
    by_tokens = actor.use_dynamic_bsz
    workload = Workload(
        prompts=config.data.train_batch_size,
        group_size=rollout.n,
        steps=steps,
        minibatches=max(config.data.train_batch_size // actor.ppo_mini_batch_size, 1) * actor.ppo_epochs,
        prompt_tokens=prompt_tokens,
        response_tokens=response_tokens,
        max_prompt=config.data.max_prompt_length,
        max_response=config.data.max_response_length,
        validations=_validations(config, steps),
        test_problems=problems * rollout.val_kwargs.n,
        gpus=config.trainer.n_gpus_per_node * config.trainer.nnodes,
        machines=config.trainer.nnodes,
        tensor_parallel=rollout.tensor_model_parallel_size,
        sequence_parallel=actor.ulysses_sequence_parallel_size,
        log_probs=not config.algorithm.rollout_correction.bypass_mode,
        reference=bool(actor.use_kl_loss or config.algorithm.use_kl_in_reward),
        checkpointing=bool(model.enable_gradient_checkpointing),
        packed=packed,
        fused_logits=bool(model.use_fused_kernels),
        update_tokens=actor.ppo_max_token_len_per_gpu
        if by_tokens
        else length * (actor.ppo_micro_batch_size_per_gpu or 1),
        log_prob_tokens=rollout.log_prob_max_token_len_per_gpu
        if by_tokens
        else length * (rollout.log_prob_micro_batch_size_per_gpu or 1),
        sequences=rollout.max_num_seqs,
        memory_utilization=float(rollout.gpu_memory_utilization),
        sleeps=bool(rollout.free_cache_engine),
        weight_bytes=2 if str(fsdp.model_dtype) in SIXTEEN_BITS else 4,
        parameters_offloaded=bool(fsdp.param_offload),
        optimizer_offloaded=bool(fsdp.optimizer_offload),
    )
    _check_layout(workload)
    return workload, [*remarks, *how, *unknown]


def is_quickstart(config: DictConfig) -> bool:
    """Whether the run is the quickstart's, whose model and data need not be there yet."""
    return "quickstart_dir" in config


def _lengths(config: DictConfig, given: Lengths) -> tuple[float, float, list[str]]:
    """Mean lengths of prompts and responses, with a remark if the second is assumed."""
    limits = (config.data.max_prompt_length, config.data.max_response_length)
    if is_quickstart(config):
        assumed = (QUICKSTART_LENGTHS[0], min(QUICKSTART_LENGTHS[1], limits[1]))
    else:
        assumed = (min(constant("prompt_tokens"), limits[0]), constant("response_share") * limits[1])
    remarks = []
    if given.response is None and not is_quickstart(config):
        remarks.append(f"Mean response length: {assumed[1]:.0f} tokens (assumed; --response-tokens sets it).")
    found = []
    for option, length, default, limit in zip(
        ("--prompt-tokens", "--response-tokens"), (given.prompt, given.response), assumed, limits, strict=True
    ):
        length = default if length is None else length
        if not (math.isfinite(length) and 0 < length <= limit):
            raise UsageError(f"{option} is {length}.", f"give a mean length above 0 and up to the limit, {limit}.")
        found.append(float(length))
    return found[0], found[1], remarks


def _packed(config: DictConfig) -> tuple[bool, list[str]]:
    """Whether the update computes no padding, with a remark if that depends on the machine."""
    from omegaconf import OmegaConf

    written: Any = OmegaConf.to_container(config, resolve=False)
    if written["actor_rollout_ref"]["model"]["use_remove_padding"] == "${flash_attention:}":
        return True, ["Assumes that flash-attention is installed on the run's machine, so that nothing is padded."]
    # The CPU's constants are measured with the padding that the quickstart has.
    return bool(config.actor_rollout_ref.model.use_remove_padding) or config.trainer.device == "cpu", []


def _validations(config: DictConfig, steps: int) -> int:
    frequency = config.trainer.test_freq
    return (-(-steps // frequency) if frequency > 0 else 0) + int(config.trainer.val_before_train)


def _test_problems(config: DictConfig) -> tuple[int, list[str]]:
    """The number of validation problems, from the files or, for known data sets, from the registry; a remark on those
    that are neither."""
    import pyarrow.parquet

    from seed_grpo.data.registry import DATASETS, TEST

    known = {f"{name}_{split}": rows.start for name, each in DATASETS.items() for split, rows in each.rows.items()}
    known |= {name: each.rows[TEST].start for name, each in DATASETS.items() if TEST in each.rows}
    files = config.data.val_files
    total, unknown = 0, []
    for path in map(Path, [files] if isinstance(files, str) else files):
        if path.expanduser().is_file():
            total += pyarrow.parquet.read_metadata(path.expanduser()).num_rows
        elif path.stem in known:
            total += known[path.stem]
        else:
            unknown.append(path.name)
    return total, [
        f"Validation on {', '.join(unknown)} is not counted: the data has not been prepared."
    ] if unknown else []


def _check_layout(workload: Workload) -> None:
    if workload.gpus % workload.tensor_parallel:
        raise UsageError(
            f"{workload.gpus} GPUs cannot be divided into engines of {workload.tensor_parallel}.",
            "set actor_rollout_ref.rollout.tensor_model_parallel_size to a divisor of the number of GPUs.",
        )
