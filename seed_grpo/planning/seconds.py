"""The time of a step by stage, in seconds, on GPUs and on a CPU.

Generation is bound by reading weights and cache; log-probabilities and updates are bound by arithmetic.
docs/planning.md has the formulas and their assumptions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seed_grpo.planning.assumptions import constant
from seed_grpo.planning.setup import Setup
from seed_grpo.planning.workload import Workload

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


def estimate(setup: Setup) -> Seconds:
    """The time of a setup, on its GPUs or on the CPU."""
    return cpu_seconds(setup) if setup.gpu is None else gpu_seconds(setup)


def gpu_seconds(setup: Setup, train_share: float | None = None) -> Seconds:
    """The time on GPUs.

    Args:
        setup: what is trained, and on what.
        train_share: the share of the GPU's peak that log-probabilities and updates reach; the fitted one by default.
    """
    work, shape, gpu = setup.workload, setup.shape, setup.device
    share = constant("train_share") if train_share is None else train_share
    context = work.tokens / work.responses / 2  # causal: a token sees half the sequence on average
    forward = shape.forward_flops(work.tokens, context) / (work.gpus * gpu.flops * share)
    gather = _gather_seconds(setup)
    gathering = work.forward_passes * gather * _micro_batches(work, work.log_prob_tokens, 1)
    # Backward costs twice the forward pass, and checkpointing computes that once more. Weights are gathered for both
    # passes in 16 bits, and gradients are scattered in 32.
    exchange = _micro_batches(work, work.update_tokens, work.minibatches) * 4 * gather
    adam = work.minibatches * ADAM_PASSES * 4 * shape.parameters / (work.gpus * gpu.bandwidth)
    return Seconds(
        generation=generation_seconds(setup, work.responses),
        log_probs=work.forward_passes * forward + gathering,
        update=work.update_passes * forward + exchange + adam,
        rest=constant("rest_seconds") + gather,
        communication=exchange + gathering + gather,
        validation=generation_seconds(setup, work.test_problems) if work.test_problems else 0.0,
        start=constant("start_seconds"),
    )


def generation_seconds(setup: Setup, responses: int) -> float:
    """The time to generate this many responses, divided among the engines.

    Each iteration makes one token of all running sequences: it reads the weights once and each sequence's cache. The
    longest response sets the number of iterations; sequences that an engine has no room for wait.
    """
    work, shape, gpu = setup.workload, setup.shape, setup.device
    each = responses / max(work.gpus / work.tensor_parallel, 1)
    running_T = running(work.response_tokens, work.max_response)
    any_T = -np.expm1(each * np.log1p(-np.minimum(running_T, 1 - 1e-12)))  # the chance that one at least still runs
    waiting = max(0.0, each - setup.sequences)
    iterations = float(any_T.sum()) + waiting * work.response_tokens / setup.sequences
    bandwidth = gpu.bandwidth * constant("bandwidth_share") * work.tensor_parallel
    arithmetic = gpu.flops * constant("decode_share") * work.tensor_parallel
    read = iterations * (2 * shape.multiplied / bandwidth + constant("iteration_seconds"))
    length_T = work.prompt_tokens + np.arange(len(running_T))
    cache = each * float((running_T * length_T).sum()) * shape.cache_bytes / bandwidth
    decode = shape.forward_flops(each * work.response_tokens, float(length_T.mean())) / arithmetic
    prompts = each / work.group_size  # vLLM shares the prefix of a group
    prefill = shape.forward_flops(prompts * work.prompt_tokens, work.prompt_tokens / 2) / arithmetic
    return read + cache + decode + prefill


def running(mean: float, limit: int) -> NDArray[np.float64]:
    """The share of sequences that still run at each token, shape (limit,): exponential lengths, cut off at the limit,
    with the given mean."""
    from scipy.optimize import brentq

    if mean >= 0.999 * limit:
        return np.ones(limit)

    def excess(log_scale: float) -> float:
        return -math.exp(log_scale) * math.expm1(-limit / math.exp(log_scale)) - mean

    return np.exp(-np.arange(limit) / math.exp(brentq(excess, math.log(mean) - 1, math.log(limit) + 14)))


def _gather_seconds(setup: Setup) -> float:
    """Gathering all weights once, in 16 bits, on every GPU."""
    work = setup.workload
    if work.gpus == 1:
        return 0.0
    link = setup.device.link if work.machines == 1 else min(setup.device.link, constant("network_bytes"))
    return 2 * setup.shape.parameters * (1 - 1 / work.gpus) / (link * constant("link_share"))


def _micro_batches(work: Workload, most: int, minibatches: int) -> int:
    """Micro-batches per step on each GPU."""
    return minibatches * max(1, math.ceil(work.tokens / work.gpus / minibatches / most))


def cpu_seconds(setup: Setup) -> Seconds:
    """The time on the CPU that the constants were measured on, one rank."""
    work, shape, flops = setup.workload, setup.shape, constant("cpu_flops")
    forward = shape.forward_flops(work.tokens, work.tokens / work.responses / 2) / flops
    # The longest of many responses: all of the room if the mean is high, else some three times the mean.
    long = work.response_tokens > 0.5 * work.max_response
    iterations = work.max_response if long else min(work.max_response, 3 * work.response_tokens)

    def generate(responses: int) -> float:
        arithmetic = shape.forward_flops(responses * work.response_tokens, work.response_tokens / 2) / flops
        each = responses * constant("cpu_response_seconds")
        return iterations * constant("cpu_iteration_seconds") + each + arithmetic

    return Seconds(
        generation=generate(work.responses),
        log_probs=work.forward_passes * forward,
        update=work.update_passes * forward + work.minibatches * constant("cpu_update_seconds"),
        rest=constant("cpu_rest_seconds") + work.responses * constant("cpu_rest_response_seconds"),
        communication=0.0,
        validation=generate(work.test_problems) if work.test_problems else 0.0,
        start=constant("cpu_start_seconds"),
    )
