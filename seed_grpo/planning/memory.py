"""The memory of a GPU by phase and part, and what to change if it is too small.

Update and generation take turns, so each phase must fit by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from seed_grpo.errors import SeedGrpoError
from seed_grpo.planning.assumptions import GIB, constant
from seed_grpo.planning.setup import Setup
from seed_grpo.planning.shapes import ModelShape

UPDATE, LOG_PROBS, GENERATION = "update", "log-probs", "generation"
IN_VLLM = ("vLLM weights", "KV cache", "vLLM activations and graphs", "vLLM")
MICRO_BATCH = {
    UPDATE: ("update_tokens", "actor_rollout_ref.actor.ppo_max_token_len_per_gpu"),
    LOG_PROBS: ("log_prob_tokens", "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu"),
}
"""The workload's field and the configuration's key that limit a micro-batch."""
UTILIZATION = "actor_rollout_ref.rollout.gpu_memory_utilization"
OFFLOAD = "actor_rollout_ref.actor.fsdp_config.{}_offload=true"


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

    def as_error(self, device: str) -> SeedGrpoError:
        """The shortage as what a command fails with."""
        return SeedGrpoError(
            f"The run does not fit on {device}: {self.missing / GIB:.1f} GiB are missing in the phase "
            f"{self.phase}; the largest part is {self.part}.",
            f"{self.remedy}.",
        )


def phases(setup: Setup) -> list[Phase]:
    """The memory of a GPU in each phase."""
    work, shape, gpu = setup.workload, setup.shape, setup.device
    weights = work.weight_bytes * shape.parameters / work.gpus
    adam = 0.0 if work.optimizer_offloaded else 2 * weights
    asleep = constant("vllm_asleep_gib") * GIB if work.sleeps else work.memory_utilization * gpu.memory
    # FSDP2 holds two layers whole at a time, and the embedding and the output around them.
    gathered = 2 * (2 * shape.layer_parameters + shape.embedding_parameters) if work.gpus > 1 else 0
    update = {
        "weights": weights,
        "gradients": weights,
        "Adam states": 2 * weights,
        "gathered layers": gathered,
        "activations": _activations(setup),
        "logits": _logits(setup, work.update_tokens, "logit_bytes"),
        "vLLM": asleep,
    }
    log_probs = {
        "weights": weights,
        "Adam states": adam,
        "gathered layers": gathered,
        "activations": _layer_activations(shape) * _tokens(setup, work.log_prob_tokens),
        "logits": _logits(setup, work.log_prob_tokens, "logit_bytes_forward"),
        "vLLM": asleep,
    }
    generation = {
        "weights": 0.0 if work.parameters_offloaded else weights,
        "Adam states": adam,
        "vLLM weights": 2 * shape.parameters / work.tensor_parallel,
        "vLLM activations and graphs": constant("vllm_gib") * GIB,
        "KV cache": max(setup.cache_bytes, 0.0),
    }
    found = {UPDATE: update, GENERATION: generation, **({LOG_PROBS: log_probs} if work.forward_passes else {})}
    return [Phase(name, {**parts, **_overhead(parts)}, gpu.memory) for name, parts in found.items()]


def shortages(setup: Setup) -> list[Shortage]:
    """The phases that do not fit, each with the setting that helps most."""
    found = []
    for phase in phases(setup):
        if not phase.fits:
            part = max(phase.parts, key=lambda name: phase.parts[name])
            remedy = next(_remedies(setup, phase.name), "use a GPU with more memory, or a smaller model")
            found.append(Shortage(phase.name, part, phase.needed - phase.available, remedy))
    missing = setup.token_cache_bytes * _longest(setup) - setup.cache_bytes
    if missing > 0:
        remedy = (
            f"raise {UTILIZATION} or actor_rollout_ref.rollout.tensor_model_parallel_size: one sequence must fit into "
            "vLLM's cache"
        )
        found.append(Shortage(GENERATION, "KV cache", missing, remedy))
    return found


def _remedies(setup: Setup, phase: str) -> Iterator[str]:
    """The changes that make the phase fit, the smallest first."""
    work = setup.workload

    def fits(**change: object) -> bool:
        return all(each.fits for each in phases(setup.changed(**change)) if each.name == phase)

    if phase == GENERATION:
        for hundredths in range(int(work.memory_utilization * 100) - 5, 9, -5):
            share = hundredths / 100
            if setup.changed(memory_utilization=share).cache_bytes < setup.shape.cache_bytes * _longest(setup):
                break
            if fits(memory_utilization=share):
                yield f"set {UTILIZATION}={share:g}"
    else:
        field, key = MICRO_BATCH[phase]
        for tokens in (12288, 8192, 6144, 5120, _longest(setup)):
            if _longest(setup) <= tokens < getattr(work, field) and fits(**{field: tokens}):
                yield f"set {key}={tokens}"
        if not work.checkpointing and fits(checkpointing=True):
            yield "set actor_rollout_ref.model.enable_gradient_checkpointing=true"
        fused = "set actor_rollout_ref.model.use_fused_kernels=true"
        if not work.fused_logits and fits(fused_logits=True):
            yield fused
        if not work.fused_logits and fits(fused_logits=True, **{field: _longest(setup)}):
            yield f"{fused} and {key}={_longest(setup)}"
    if phase != UPDATE and not work.optimizer_offloaded and fits(optimizer_offloaded=True):
        yield f"set {OFFLOAD.format('optimizer')}"
    if phase != UPDATE and fits(optimizer_offloaded=True, parameters_offloaded=True):
        yield f"set {OFFLOAD.format('optimizer')} and {OFFLOAD.format('param')}"
    for factor in (2, 4, 8, 16, 32, 64):
        if fits(gpus=work.gpus * factor):
            yield f"use {work.gpus * factor} GPUs (trainer.nnodes × trainer.n_gpus_per_node), or larger ones"


def _longest(setup: Setup) -> int:
    """The tokens of the longest sequence."""
    return setup.workload.max_prompt + setup.workload.max_response


def _tokens(setup: Setup, most: int) -> float:
    """Tokens of a micro-batch on one GPU: verl fills it to its limit, and it has at least one sequence."""
    work = setup.workload
    return max(min(most, work.tokens / work.gpus), _longest(setup)) / work.sequence_parallel


def _layer_activations(shape: ModelShape) -> float:
    """Bytes per token that one layer keeps for its backward pass, in 16 bits: inputs and norms, query, key, value and
    attention output, and the four intermediate results of the gated feed-forward part."""
    q, kv = shape.heads * shape.head, shape.kv_heads * shape.head
    return 2.0 * (4 * shape.hidden + 2 * q + 2 * kv + 4 * shape.intermediate)


def _activations(setup: Setup) -> float:
    shape, tokens = setup.shape, _tokens(setup, setup.workload.update_tokens)
    if setup.workload.checkpointing:
        return tokens * (2.0 * shape.hidden * shape.layers + _layer_activations(shape))
    return tokens * shape.layers * _layer_activations(shape)


def _logits(setup: Setup, most: int, per_logit: str) -> float:
    """Vocabulary × tokens: the largest single tensor of a small model. Fused kernels never hold it."""
    fused = setup.workload.fused_logits
    return 0.0 if fused else _tokens(setup, most) * setup.shape.vocabulary * constant(per_logit)


def _overhead(parts: Mapping[str, float]) -> dict[str, float]:
    own = sum(size for name, size in parts.items() if name not in IN_VLLM)
    return {"CUDA": constant("cuda_gib") * GIB, "fragmentation": constant("fragmentation") * own}
