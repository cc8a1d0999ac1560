"""Whether this machine has the accelerators and the logical CPUs of a run that starts a Ray of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from seed_grpo.errors import UsageError
from seed_grpo.training.preflight import cpus_needed

if TYPE_CHECKING:
    from omegaconf import DictConfig

DEVICE_REMEDY = "choose platform=cpu, set trainer.n_gpus_per_node, or install a CUDA build of torch."


def check_machine(config: DictConfig) -> None:
    """Raise a `UsageError` if Ray would wait for devices or CPUs that this machine does not have."""
    ranks = config.trainer.n_gpus_per_node
    if config.trainer.device == "cuda" and (count := gpus_here()) < ranks:
        raise UsageError(f"The run needs {ranks} GPUs on each node, and this machine has {count}.", DEVICE_REMEDY)
    if config.ray_kwargs.ray_init.num_cpus is None and (cores := os.cpu_count() or 1) < cpus_needed(config):
        raise UsageError(
            f"The run needs {cpus_needed(config)} logical CPUs of Ray, and this machine has {cores}; verl would wait "
            "for ever.",
            f"set ray_kwargs.ray_init.num_cpus={cpus_needed(config)} (logical, not real, CPUs).",
        )


def gpus_here() -> int:
    """The GPUs that torch sees."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
