"""Whether a Ray cluster that is there already answers, and has what a run asks for.

verl waits without a bound for a cluster that does not answer and for resources that it does not have.
`python -m seed_grpo.training.cluster ADDRESS` prints what a cluster has; `look_at` runs it, because a process cannot
interrupt its own attempt to connect.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.training.preflight import CPUS_PER_RANK, cpus_needed

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONNECT_SECONDS = 5.0
"""For the port to be open."""
ANSWER_SECONDS = 60.0
"""For the cluster to answer, the start of Python and Ray's own attempts included."""
REMEDY = "start the cluster, correct RAY_ADDRESS, or unset it: the run then starts a Ray of its own."


def cluster_address(config: DictConfig) -> str | None:
    """The address of the cluster that a run joins, from RAY_ADDRESS or the configuration; None if it starts its own."""
    address = os.environ.get("RAY_ADDRESS") or config.ray_kwargs.ray_init.get("address")
    return None if address in (None, "", "local") else str(address)


def check_cluster(config: DictConfig, nodes: Sequence[dict[str, Any]], free: Mapping[str, float] | None = None) -> None:
    """Check the number of nodes, and their GPUs and CPUs.

    Args:
        config: the configuration of the run.
        nodes: as `ray.nodes()` lists them.
        free: what nobody uses at the moment, as `ray.available_resources()` says.

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
            f"give each node {CPUS_PER_RANK} CPUs per GPU and more, or lower trainer.nnodes or "
            "trainer.n_gpus_per_node.",
        )
    total = sum(node.get("CPU", 0) for node in resources)
    if total < cpus_needed(config):
        raise UsageError(
            f"The run needs {cpus_needed(config)} CPUs in all, and the Ray cluster has {total:.0f} ({has}).",
            "give the nodes more CPUs, or lower transfer_queue.backend.SimpleStorage.num_data_storage_units.",
        )
    for name, needed in (("GPU", ranks * wanted), ("CPU", cpus_needed(config))):
        if free is not None and free.get(name, 0) < needed:
            raise UsageError(
                f"The run needs {needed} {name}s, and {free.get(name, 0):.0f} of the Ray cluster's are free.",
                "wait until the other jobs on the cluster have ended, or end them.",
            )


def check_cluster_at(config: DictConfig, address: str) -> list[dict[str, Any]]:
    """Check the cluster at an address; returns its nodes.

    Raises:
        SeedGrpoError: no cluster answers there in time. UsageError: it lacks something.
    """
    nodes, free = look_at(address)
    check_cluster(config, nodes, free)
    return nodes


def look_at(address: str) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """The nodes of the cluster at an address, and its free resources, in bounded time.

    Raises:
        SeedGrpoError: no cluster answers.
    """
    _check_port(address)
    command = [sys.executable, "-m", "seed_grpo.training.cluster", address]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=ANSWER_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise SeedGrpoError(f"No Ray cluster answers at {address} within {ANSWER_SECONDS:.0f} s.", REMEDY) from None
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"status {done.returncode}"
        raise SeedGrpoError(f"No Ray cluster answers at {address}: {reason[:300].rstrip('.')}.", REMEDY)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return found["nodes"], found["free"]


def _check_port(address: str) -> None:
    """Raise if nobody listens at `host:port`; other kinds of address are for Ray to understand."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS):
            pass
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SeedGrpoError(f"Nobody answers at the Ray address {address}: {reason}.", REMEDY) from error


def _print_cluster(address: str) -> None:
    import ray

    ray.init(address=address, log_to_driver=False, logging_level="ERROR")  # type: ignore[arg-type]
    try:
        nodes = [{"NodeID": node["NodeID"], "Alive": node["Alive"], "Resources": node["Resources"]}
                 for node in ray.nodes()]  # fmt: skip
        print(json.dumps({"nodes": nodes, "free": ray.available_resources()}))
    finally:
        ray.shutdown()


if __name__ == "__main__":
    _print_cluster(sys.argv[1])
