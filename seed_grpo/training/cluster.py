"""Whether a Ray cluster that is there already has what a run asks for. verl would wait for ever for what it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seed_grpo.errors import UsageError
from seed_grpo.training.preflight import CPUS_PER_RANK, cpus_needed

if TYPE_CHECKING:
    from omegaconf import DictConfig


def check_cluster(config: DictConfig, nodes: Sequence[dict[str, Any]]) -> None:
    """Check the number of nodes, and their GPUs and CPUs.

    Args:
        config: the configuration of the run.
        nodes: as `ray.nodes()` lists them.

    Raises:
        UsageError: naming what the cluster has and what the run needs.
    """
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    ranks, wanted = config.trainer.n_gpus_per_node, config.trainer.nnodes
    fitting = [
        node for node in resources if node.get("GPU", 0) >= ranks and node.get("CPU", 0) >= CPUS_PER_RANK * ranks
    ]
    has = "; ".join(f"{node.get('GPU', 0):.0f} GPUs and {node.get('CPU', 0):.0f} CPUs" for node in resources) or "none"
    if len(fitting) < wanted:
        raise UsageError(
            f"The run needs {wanted} node(s) with {ranks} GPUs and {CPUS_PER_RANK * ranks} CPUs each, "
            f"and the Ray cluster has {has}.",
            f"give each node {CPUS_PER_RANK} CPUs a GPU and more, or lower trainer.nnodes or trainer.n_gpus_per_node.",
        )
    total = sum(node.get("CPU", 0) for node in resources)
    if total < cpus_needed(config):
        raise UsageError(
            f"The run needs {cpus_needed(config)} CPUs in all, and the Ray cluster has {total:.0f} ({has}).",
            "give the nodes more CPUs, or lower transfer_queue.backend.SimpleStorage.num_data_storage_units.",
        )


def nodes_at(address: str) -> list[dict[str, Any]]:
    """The nodes of the cluster at an address."""
    import ray

    ray.init(address=address, log_to_driver=False)
    try:
        return ray.nodes()
    finally:
        ray.shutdown()
