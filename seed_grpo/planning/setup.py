"""What a plan is made for: a run's work, the model that it trains, and the device that it runs on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seed_grpo.planning.assumptions import GIB, constant
from seed_grpo.planning.devices import Gpu
from seed_grpo.planning.shapes import ModelShape
from seed_grpo.planning.workload import Workload


@dataclass(frozen=True)
class Setup:
    """A workload, a model and a GPU; None for the CPU that the constants were measured on."""

    workload: Workload
    shape: ModelShape
    gpu: Gpu | None = None

    @property
    def device(self) -> Gpu:
        """The GPU, of a setup that has one."""
        assert self.gpu is not None
        return self.gpu

    def changed(self, **changes: object) -> Setup:
        """The same with other values in its workload."""
        return replace(self, workload=replace(self.workload, **changes))  # type: ignore[arg-type]

    @property
    def cache_bytes(self) -> float:
        """vLLM's cache on a GPU: its share of the memory, without weights and its own needs. Negative: no room."""
        weights = 2 * self.shape.parameters / self.workload.tensor_parallel
        return self.workload.memory_utilization * self.device.memory - weights - constant("vllm_gib") * GIB

    @property
    def token_cache_bytes(self) -> float:
        """What one token takes of it."""
        return self.shape.cache_bytes / self.workload.tensor_parallel

    @property
    def sequences(self) -> float:
        """How many sequences of mean length an engine holds at once; at least one."""
        work = self.workload
        fitting = self.cache_bytes / self.token_cache_bytes / (work.prompt_tokens + work.response_tokens)
        return max(1.0, min(work.sequences, fitting))
