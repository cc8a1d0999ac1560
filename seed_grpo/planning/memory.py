"""The memory of a GPU by phase and part, and what to change if it is too small.

Update and generation take turns, so each phase must fit by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from seed_grpo.planning.assumptions import GIB, constant
from seed_grpo.planning.devices import Gpu
from seed_grpo.planning.seconds import cache_bytes
from seed_grpo.planning.shapes import ModelShape
from seed_grpo.planning.workload import Workload

UPDATE, LOG_PROBS, GENERATION = "update", "log-probs", "generation"


@dataclass(frozen=True)
class Phase:
    """The bytes that a GPU needs during a phase, by part, and how many it has."""

    name: str
    parts: Mapping[str, float]
    available: float

    @property
    def needed(self) -> float:
        """All parts together."""
        return sum(self.parts.values())

    @property
    def fits(self) -> bool:
        return self.needed <= self.available


@dataclass(frozen=True)
class Shortage:
    """A phase that does not fit: its largest part, the missing bytes, and what to change."""

    phase: str
    part: str
    missing: float
    remedy: str


def phases(workload: Workload, shape: ModelShape, gpu: Gpu) -> list[Phase]:
    """The memory of a GPU in each phase."""
    per_parameter = shape.parameters / workload.gpus
    weights = 0.0 if workload.parameters_offloaded else workload.weight_bytes * per_parameter
    adam = 0.0 if workload.optimizer_offloaded else 2 * workload.weight_bytes * per_parameter
    asleep = constant("vllm_asleep_gib") * GIB if workload.sleeps else workload.memory_utilization * gpu.memory
    # FSDP2 holds two layers whole at a time, and the embedding and the output around them.
    gathered = 2 * (2 * shape.layer_parameters + shape.embedding_parameters) if workload.gpus > 1 else 0
    update = {
        "weights": workload.weight_bytes * per_parameter,
        "gradients": workload.weight_bytes * per_parameter,
        "Adam states": 2 * workload.weight_bytes * per_parameter,
        "gathered layers": gathered,
        "activations": _activations(workload, shape),
        "logits": _logits(workload, shape, workload.update_tokens, "logit_bytes"),
        "vLLM": asleep,
    }
    log_probs = {
        "weights": workload.weight_bytes * per_parameter,
        "Adam states": adam,
        "gathered layers": gathered,
        "activations": _layer_activations(shape) * _tokens(workload, workload.log_prob_tokens),
        "logits": _logits(workload, shape, workload.log_prob_tokens, "logit_bytes_forward"),
        "vLLM": asleep,
    }
    generation = {
        "weights": weights,
        "Adam states": adam,
        "vLLM weights": 2 * shape.parameters / workload.tensor_parallel,
        "vLLM activations and graphs": constant("vllm_gib") * GIB,
        "KV cache": max(cache_bytes(workload, shape, gpu), 0.0),
    }
    found = {UPDATE: update, GENERATION: generation}
    if workload.log_probs or workload.reference:
        found[LOG_PROBS] = log_probs
    return [Phase(name, {**parts, **_overhead(parts, name)}, gpu.memory) for name, parts in found.items()]


def shortages(workload: Workload, shape: ModelShape, gpu: Gpu) -> list[Shortage]:
    """The phases that do not fit, each with the setting that helps most."""
    found = []
    for phase in phases(workload, shape, gpu):
        if not phase.fits:
            part = max(phase.parts, key=lambda name: phase.parts[name])
            found.append(
                Shortage(phase.name, part, phase.needed - phase.available, _remedy(workload, shape, gpu, phase.name))
            )
    sequence = shape.cache_bytes / workload.tensor_parallel * (workload.max_prompt + workload.max_response)
    missing = sequence - cache_bytes(workload, shape, gpu)
    if missing > 0:
        found.append(
            Shortage(
                GENERATION, "KV cache", missing,
                "raise actor_rollout_ref.rollout.gpu_memory_utilization or "
                "actor_rollout_ref.rollout.tensor_model_parallel_size: one sequence must fit into vLLM's cache",
            )
        )  # fmt: skip
    return found


def _remedy(workload: Workload, shape: ModelShape, gpu: Gpu, phase: str) -> str:
    """The first change that makes the phase fit, or a last resort if no single change does."""
    shortest = workload.max_prompt + workload.max_response

    def fits(**change: object) -> bool:
        changed = replace(workload, **change)  # type: ignore[arg-type]
        return all(each.fits for each in phases(changed, shape, gpu) if each.name == phase)

    if phase == GENERATION:
        for hundredths in range(int(workload.memory_utilization * 100) - 5, 9, -5):
            lower = replace(workload, memory_utilization=hundredths / 100)
            if cache_bytes(lower, shape, gpu) < shape.cache_bytes * shortest:
                break
            if fits(memory_utilization=hundredths / 100):
                return f"set actor_rollout_ref.rollout.gpu_memory_utilization={hundredths / 100:g}"
    else:
        field, key = (
            ("update_tokens", "actor_rollout_ref.actor.ppo_max_token_len_per_gpu")
            if phase == UPDATE
            else ("log_prob_tokens", "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu")
        )
        for tokens in (12288, 8192, 6144, 5120, shortest):
            if shortest <= tokens < getattr(workload, field) and fits(**{field: tokens}):
                return f"set {key}={tokens}"
        if not workload.checkpointing and fits(checkpointing=True):
            return "set actor_rollout_ref.model.enable_gradient_checkpointing=true"
        if not workload.fused_logits and fits(fused_logits=True):
            return "set actor_rollout_ref.model.use_fused_kernels=true"
        if not workload.fused_logits and fits(fused_logits=True, **{field: shortest}):
            return f"set actor_rollout_ref.model.use_fused_kernels=true and {key}={shortest}"
    if not workload.optimizer_offloaded and phase != UPDATE and fits(optimizer_offloaded=True):
        return "set actor_rollout_ref.actor.fsdp_config.optimizer_offload=true"
    if phase != UPDATE and fits(optimizer_offloaded=True, parameters_offloaded=True):
        return (
            "set actor_rollout_ref.actor.fsdp_config.optimizer_offload=true and "
            "actor_rollout_ref.actor.fsdp_config.param_offload=true"
        )
    for factor in (2, 4, 8, 16, 32, 64):
        if fits(gpus=workload.gpus * factor):
            return f"use {workload.gpus * factor} GPUs (trainer.nnodes × trainer.n_gpus_per_node), or larger ones"
    return "use a GPU with more memory, or a smaller model"


def _tokens(workload: Workload, most: int) -> float:
    """Tokens of a micro-batch on one GPU: verl fills it to its limit, and it has at least one sequence."""
    in_step = workload.tokens / workload.gpus
    return max(min(most, in_step), workload.max_prompt + workload.max_response) / workload.sequence_parallel


def _layer_activations(shape: ModelShape) -> float:
    """Bytes per token that one layer keeps for its backward pass, in 16 bits: inputs and norms, query, key, value and
    attention output, and the four intermediate results of the gated feed-forward part."""
    q, kv = shape.heads * shape.head, shape.kv_heads * shape.head
    return 2.0 * (4 * shape.hidden + 2 * q + 2 * kv + 4 * shape.intermediate)


def _activations(workload: Workload, shape: ModelShape) -> float:
    tokens = _tokens(workload, workload.update_tokens)
    if workload.checkpointing:
        return tokens * (2.0 * shape.hidden * shape.layers + _layer_activations(shape))
    return tokens * shape.layers * _layer_activations(shape)


def _logits(workload: Workload, shape: ModelShape, most: int, per_logit: str) -> float:
    """Vocabulary × tokens: the largest single tensor of a small model. Fused kernels never hold it."""
    return 0.0 if workload.fused_logits else _tokens(workload, most) * shape.vocabulary * constant(per_logit)


def _overhead(parts: Mapping[str, float], phase: str) -> dict[str, float]:
    inside_vllm = ("vLLM weights", "KV cache", "vLLM activations and graphs", "vLLM")
    own = sum(size for name, size in parts.items() if name not in inside_vllm)
    return {"CUDA": constant("cuda_gib") * GIB, "fragmentation": constant("fragmentation") * own}
