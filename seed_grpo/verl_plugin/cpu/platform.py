"""verl's platform interface for a machine without an accelerator.

Ray places ranks by its logical resource `GPU` (set the number with `ray_kwargs.ray_init.num_gpus`), and processes
communicate over gloo. Choose the platform with the environment variable `VERL_PLATFORM=cpu`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import psutil
import torch
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry

from seed_grpo.verl_plugin.names import CPU_PLATFORM


def _device_module() -> ModuleType:
    """`torch.cpu`, plus the names that verl calls on `torch.cuda`."""
    module = ModuleType("seed_grpo_torch_cpu")
    module.__dict__.update({name: getattr(torch.cpu, name) for name in dir(torch.cpu) if not name.startswith("__")})

    def nothing(*args: Any, **kwargs: Any) -> None:
        return None

    def resident_bytes(*args: Any, **kwargs: Any) -> int:
        return psutil.Process().memory_info().rss

    def free_and_total_bytes(*args: Any, **kwargs: Any) -> tuple[int, int]:
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    module.__dict__.update(
        empty_cache=nothing,
        ipc_collect=nothing,
        set_per_process_memory_fraction=nothing,
        reset_peak_memory_stats=nothing,
        memory_allocated=resident_bytes,
        memory_reserved=resident_bytes,
        max_memory_allocated=resident_bytes,
        max_memory_reserved=resident_bytes,
        mem_get_info=free_and_total_bytes,
        get_rng_state=lambda device=None: torch.get_rng_state(),
        set_rng_state=lambda state, device=None: torch.set_rng_state(state),
        manual_seed=torch.manual_seed,
        manual_seed_all=torch.manual_seed,
        get_device_name=lambda device=None: "cpu",
        Event=torch.Event,
    )
    return module


@PlatformRegistry.register(CPU_PLATFORM)
class PlatformCPU(PlatformBase):
    """A CPU as verl's device: one "device" per process, no streams, no device memory to release."""

    _module = _device_module()

    @property
    def device_name(self) -> str:
        return "cpu"

    @property
    def vendor_name(self) -> str:
        return "cpu"

    @property
    def device_module(self) -> ModuleType:
        return self._module

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        # Every machine has a CPU, so this platform must be chosen and is never detected.
        return False

    def current_device(self) -> int:
        # torch returns the string "cpu", and verl passes it to `Tensor.to`, where a number would mean an accelerator.
        return torch.cpu.current_device()  # type: ignore[return-value]

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        return None

    def synchronize(self, device_index: int | None = None) -> None:
        return None

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        return None

    def empty_cache(self) -> None:
        return None

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> Any:
        return None

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        return None

    def profiler_stop(self) -> None:
        return None
