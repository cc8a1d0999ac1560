"""What a GPU can do, from its maker's data sheets (dense bf16, SXM boards where there are several)."""

from __future__ import annotations

from dataclasses import dataclass

from seed_grpo.errors import UsageError
from seed_grpo.planning.assumptions import GIB


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        memory: bytes that a process can use.
        flops: dense bf16 operations per second.
        bandwidth: bytes per second from its own memory.
        link: bytes per second to another GPU of the machine, one way.
    """

    name: str
    memory: float
    flops: float
    bandwidth: float
    link: float


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("a100-40gb", 39.4 * GIB, 312e12, 1.555e12, 300e9),
        Gpu("a100-80gb", 79.1 * GIB, 312e12, 2.039e12, 300e9),
        Gpu("l40s", 44.4 * GIB, 362e12, 0.864e12, 32e9),
        Gpu("h100", 79.1 * GIB, 989e12, 3.35e12, 450e9),
        Gpu("h200", 139.8 * GIB, 989e12, 4.8e12, 450e9),
    )
}
CPU = "cpu-2-cores"
"""The machine that the CPU's constants were measured on."""


def find_gpu(name: str) -> Gpu:
    """A GPU by its name.

    Raises:
        UsageError: no GPU has this name.
    """
    if name not in GPUS:
        raise UsageError(f"Unknown GPU {name!r}.", f"choose one of {', '.join(GPUS)}, or {CPU}.")
    return GPUS[name]
