"""The time of a step by stage, in seconds, on GPUs and on a CPU.

Generation is bound by reading weights and cache; log-probabilities and updates are bound by arithmetic.
docs/planning.md has the formulas and their assumptions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from seed_grpo.planning.assumptions import GIB, constant
from seed_grpo.planning.devices import Gpu
from seed_grpo.planning.shapes import ModelShape
from seed_grpo.planning.workload import Workload

Floats = NDArray[np.float64]

STAGES = ("generation", "log_probs", "update", "rest")
ADAM_PASSES = 7
"""Master weight, gradient and two moments read; weight and moments written: passes over the memory of a parameter."""


@dataclass(frozen=True)
class Seconds:
    """The time of a step by stage, and of everything outside the steps.

    Attributes:
        generation, log_probs, update, rest: seconds of one step.
        communication: the part of these that moves weights and gradients between GPUs.
        validation: seconds of one validation.
        start: seconds before the first step.
    """

    generation: float
    log_probs: float
    update: float
    rest: float
    communication: float
    validation: float
    start: float

    @property
    def step(self) -> float:
        """A step without validation."""
        return self.generation + self.log_probs + self.update + self.rest

    def run(self, workload: Workload) -> float:
        """The whole run."""
        return self.start + workload.steps * self.step + workload.validations * self.validation


def gpu_seconds(workload: Workload, shape: ModelShape, gpu: Gpu, train_share: float | None = None) -> Seconds:
    """The time on GPUs.

    Args:
        workload, shape, gpu: the work, the model, and the GPU.
        train_share: the share of the GPU's peak that log-probabilities and updates reach; the fitted one by default.
    """
    share = constant("train_share") if train_share is None else train_share
    flops = workload.gpus * gpu.flops * share
    context = (workload.tokens / workload.responses) / 2  # causal: a token sees half the sequence on average
    forward = shape.forward_flops(workload.tokens, context) / flops
    gather = _gather_seconds(workload, shape, gpu)
    passes = (1 if workload.log_probs else 0) + (1 if workload.reference else 0)
    micro_batches = _micro_batches(workload, workload.log_prob_tokens, 1)
    log_probs = passes * (forward + gather * micro_batches)
    update_micro = _micro_batches(workload, workload.update_tokens, workload.minibatches)
    # Backward costs twice the forward pass, and checkpointing computes that once more. Weights are gathered for both
    # passes in 16 bits, and gradients are scattered in 32.
    arithmetic = forward * (4 if workload.checkpointing else 3)
    exchange = update_micro * 4 * gather
    adam = workload.minibatches * ADAM_PASSES * 4 * shape.parameters / (workload.gpus * gpu.bandwidth)
    return Seconds(
        generation=generation_seconds(workload, shape, gpu, workload.responses),
        log_probs=log_probs,
        update=arithmetic + exchange + adam,
        rest=constant("rest_seconds") + gather,
        communication=exchange + passes * gather * micro_batches + gather,
        validation=generation_seconds(workload, shape, gpu, workload.test_problems) if workload.test_problems else 0.0,
        start=constant("start_seconds"),
    )


def generation_seconds(workload: Workload, shape: ModelShape, gpu: Gpu, responses: int) -> float:
    """The time to generate this many responses, divided among the engines.

    Each iteration makes one token of all running sequences: it reads the weights once and each sequence's cache. The
    longest response sets the number of iterations; sequences that an engine has no room for wait.
    """
    engines = max(workload.gpus / workload.tensor_parallel, 1)
    each = responses / engines
    running_T = running(workload.response_tokens, workload.max_response)
    any_T = -np.expm1(each * np.log1p(-np.minimum(running_T, 1 - 1e-12)))  # the chance that one at least still runs
    waiting = max(0.0, each - room(workload, shape, gpu))
    iterations = float(any_T.sum()) + waiting * workload.response_tokens / room(workload, shape, gpu)
    bandwidth = gpu.bandwidth * constant("bandwidth_share") * workload.tensor_parallel
    arithmetic = gpu.flops * constant("decode_share") * workload.tensor_parallel
    read = iterations * (2 * shape.multiplied / bandwidth + constant("iteration_seconds"))
    length_T = workload.prompt_tokens + np.arange(len(running_T))
    cache = each * float((running_T * length_T).sum()) * shape.cache_bytes / bandwidth
    decode = shape.forward_flops(each * workload.response_tokens, float(length_T.mean())) / arithmetic
    prompts = each / workload.group_size  # vLLM shares the prefix of a group
    prefill = shape.forward_flops(prompts * workload.prompt_tokens, workload.prompt_tokens / 2) / arithmetic
    return read + cache + decode + prefill


def running(mean: float, limit: int) -> Floats:
    """The share of sequences that still run at each token, shape (limit,): exponential lengths, cut off at the limit,
    with the given mean."""
    if mean >= 0.999 * limit:
        return np.ones(limit)
    scale = math.exp(
        brentq(
            lambda x: -math.exp(x) * math.expm1(-limit / math.exp(x)) - mean, math.log(mean) - 1, math.log(limit) + 14
        )
    )
    return np.exp(-np.arange(limit) / scale)


def room(workload: Workload, shape: ModelShape, gpu: Gpu) -> float:
    """How many sequences of mean length an engine holds at once; at least one."""
    tokens = cache_bytes(workload, shape, gpu) / (shape.cache_bytes / workload.tensor_parallel)
    return max(1.0, min(workload.sequences, tokens / (workload.prompt_tokens + workload.response_tokens)))


def cache_bytes(workload: Workload, shape: ModelShape, gpu: Gpu) -> float:
    """vLLM's cache on a GPU: its share of the memory, without weights and its own needs. Negative: no room."""
    weights = 2 * shape.parameters / workload.tensor_parallel
    return workload.memory_utilization * gpu.memory - weights - constant("vllm_gib") * GIB


def _gather_seconds(workload: Workload, shape: ModelShape, gpu: Gpu) -> float:
    """Gathering all weights once, in 16 bits, on every GPU."""
    if workload.gpus == 1:
        return 0.0
    link = gpu.link if workload.machines == 1 else min(gpu.link, constant("network_bytes"))
    return 2 * shape.parameters * (1 - 1 / workload.gpus) / (link * constant("link_share"))


def _micro_batches(workload: Workload, most: int, minibatches: int) -> int:
    """Micro-batches of a step on each GPU."""
    tokens = workload.tokens / workload.gpus / minibatches
    return minibatches * max(1, math.ceil(tokens / most))


def cpu_seconds(workload: Workload, shape: ModelShape) -> Seconds:
    """The time on the CPU that the constants were measured on, one rank."""
    flops = constant("cpu_flops")
    forward = shape.forward_flops(workload.tokens, workload.tokens / workload.responses / 2) / flops
    passes = (1 if workload.log_probs else 0) + (1 if workload.reference else 0)

    def generate(responses: int) -> float:
        iterations = workload.max_response if workload.response_tokens > 0.5 * workload.max_response else min(
            workload.max_response, 3 * workload.response_tokens
        )  # fmt: skip
        arithmetic = shape.forward_flops(responses * workload.response_tokens, workload.response_tokens / 2) / flops
        return (
            iterations * constant("cpu_iteration_seconds") + responses * constant("cpu_response_seconds") + arithmetic
        )

    return Seconds(
        generation=generate(workload.responses),
        log_probs=passes * forward,
        update=forward * (4 if workload.checkpointing else 3) + workload.minibatches * constant("cpu_update_seconds"),
        rest=constant("cpu_rest_seconds") + workload.responses * constant("cpu_rest_response_seconds"),
        communication=0.0,
        validation=generate(workload.test_problems) if workload.test_problems else 0.0,
        start=constant("cpu_start_seconds"),
    )
