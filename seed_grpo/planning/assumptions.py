"""Every number of the estimate that is not in the run's configuration, with its source.

docs/planning.md prints the same table; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30
ASSUMED = "assumed"
FITTED = "fitted to Dr.GRPO's 27 hours on 8 A100"
MEASURED = "fitted to the runs a and c of docs/planning.md"


@dataclass(frozen=True)
class Constant:
    """A number, what it is, and its source."""

    value: float
    unit: str
    what: str
    source: str


CONSTANTS: dict[str, Constant] = {
    "train_share": Constant(0.15, "of the peak", "log-probabilities and updates", FITTED),
    "train_share_best": Constant(0.40, "of the peak", "the same if all goes well: the lower end of a plan", ASSUMED),
    "decode_share": Constant(0.50, "of the peak", "generation, its arithmetic", ASSUMED),
    "bandwidth_share": Constant(0.70, "of the peak", "generation, reading weights and cache", ASSUMED),
    "iteration_seconds": Constant(0.004, "s", "vLLM's own time for one token of all sequences", ASSUMED),
    "link_share": Constant(0.60, "of the peak", "gathering weights, scattering gradients", ASSUMED),
    "network_bytes": Constant(50e9, "bytes/s per GPU", "between machines: 400 Gbit/s per GPU", ASSUMED),
    "rest_seconds": Constant(8.0, "s per step", "driver, grading, waking vLLM, handing it the weights", ASSUMED),
    "start_seconds": Constant(240.0, "s per run", "starting Ray, loading the model, vLLM's start", ASSUMED),
    "response_share": Constant(0.25, "of the limit", "mean length of a response (--response-tokens)", ASSUMED),
    "prompt_tokens": Constant(128, "tokens", "mean length of a prompt (--prompt-tokens)", ASSUMED),
    "logit_bytes": Constant(8, "bytes per logit", "bf16 logits, their fp32 softmax, the gradient", ASSUMED),
    "logit_bytes_forward": Constant(6, "bytes per logit", "without a gradient", ASSUMED),
    "cuda_gib": Constant(3.0, "GiB", "CUDA and NCCL contexts, workspaces", ASSUMED),
    "vllm_gib": Constant(3.0, "GiB", "vLLM's activations and CUDA graphs, within its share", ASSUMED),
    "vllm_asleep_gib": Constant(1.5, "GiB", "what a sleeping vLLM keeps", ASSUMED),
    "fragmentation": Constant(0.05, "of the parts", "memory that PyTorch cannot use", ASSUMED),
    "cpu_flops": Constant(6.7e10, "flop/s", "a process on the CPU, small matrices", MEASURED),
    "cpu_iteration_seconds": Constant(0.0032, "s", "generation, one token of all sequences", MEASURED),
    "cpu_response_seconds": Constant(
        0.00044, "s", "generation, what each response costs in addition to the model", MEASURED
    ),
    "cpu_update_seconds": Constant(0.094, "s", "an optimizer step", MEASURED),
    "cpu_rest_seconds": Constant(0.084, "s per step", "the rest of a step", MEASURED),
    "cpu_rest_response_seconds": Constant(0.00019, "s", "the rest, what each response costs", MEASURED),
    "cpu_start_seconds": Constant(17, "s per run", "starting Ray, loading the model", MEASURED),
}


def constant(name: str) -> float:
    """The value of one of `CONSTANTS`."""
    return CONSTANTS[name].value
