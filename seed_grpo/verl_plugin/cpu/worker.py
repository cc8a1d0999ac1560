"""verl's actor worker for a CPU: a process group over plain gloo, and a fixed number of torch threads."""

from __future__ import annotations

import os
from typing import Any

from verl.utils.distributed import initialize_global_process_group_ray
from verl.workers.engine_workers import ActorRolloutRefWorker


def set_torch_threads(share: int = 1) -> None:
    """Give torch 1/`share` of the threads in `SEED_GRPO_TORCH_THREADS`; by default Ray gives an actor one thread."""
    import torch

    threads = int(os.environ.get("SEED_GRPO_TORCH_THREADS", "0"))
    if threads > 0:
        torch.set_num_threads(max(threads // share, 1))


class CPUActorRolloutRefWorker(ActorRolloutRefWorker):
    """`ActorRolloutRefWorker` for device `cpu`.

    The only change: the process group exists before verl's workers ask for one. verl would name the backends
    `cpu:gloo,cpu:gloo` here, which torch rejects; it leaves an existing group alone.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        set_torch_threads()
        super().__init__(*args, **kwargs)
        initialize_global_process_group_ray(backend="gloo")
