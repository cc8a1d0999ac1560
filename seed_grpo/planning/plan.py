"""A plan: what a composed configuration would cost, and whether it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.errors import UsageError
from seed_grpo.planning.assumptions import CONSTANTS, GIB, constant
from seed_grpo.planning.calibrate import Calibration, calibrate, measure
from seed_grpo.planning.devices import CPU, Gpu, find_gpu
from seed_grpo.planning.memory import Phase, Shortage, phases, shortages
from seed_grpo.planning.seconds import STAGES, Seconds, cpu_seconds, gpu_seconds
from seed_grpo.planning.shapes import ModelShape, find_shape
from seed_grpo.planning.workload import Workload, read_workload

if TYPE_CHECKING:
    from omegaconf import DictConfig

DEFAULT_GPU = "a100-80gb"


@dataclass(frozen=True)
class Plan:
    """What a run would cost.

    Attributes:
        device: name of the GPU, or of the CPU.
        shape, workload, seconds: the model, the work, the time.
        best: the time if training reaches the better of the two assumed shares; None on a CPU or after calibration.
        phases, shortages: the memory of a GPU; empty on a CPU.
        calibration: from runs on the machine, if any.
        remarks: what the plan had to assume.
    """

    device: str
    shape: ModelShape
    workload: Workload
    seconds: Seconds
    best: Seconds | None
    phases: tuple[Phase, ...]
    shortages: tuple[Shortage, ...]
    calibration: Calibration | None
    remarks: tuple[str, ...]

    @property
    def hours(self) -> float:
        """Hours of the whole run."""
        return self.seconds.run(self.workload) / 3600

    @property
    def best_hours(self) -> float | None:
        """Hours of the whole run at the lower end of the estimate."""
        return None if self.best is None else self.best.run(self.workload) / 3600

    def as_json(self) -> dict[str, Any]:
        """The whole plan as plain JSON types."""
        gpus = self.workload.gpus if self.phases else 0
        best = self.best_hours
        return {
            "device": self.device,
            "model": {**asdict(self.shape), "parameters": self.shape.parameters},
            "workload": asdict(self.workload),
            "seconds_per_step": {**{name: getattr(self.seconds, name) for name in STAGES}, "all": self.seconds.step},
            "seconds_per_validation": self.seconds.validation,
            "seconds_at_start": self.seconds.start,
            "seconds_communication": self.seconds.communication,
            "hours": self.hours,
            "hours_at_best": best,
            "gpu_hours": self.hours * gpus,
            "gpu_hours_at_best": None if best is None else best * gpus,
            "memory_gib": {
                phase.name: {
                    "available": phase.available / GIB,
                    "needed": phase.needed / GIB,
                    "parts": {name: size / GIB for name, size in phase.parts.items()},
                }
                for phase in self.phases
            },
            "fits": not self.shortages,
            "shortages": [
                {"phase": each.phase, "part": each.part, "missing_gib": each.missing / GIB, "remedy": each.remedy}
                for each in self.shortages
            ],
            "calibration": None if self.calibration is None else {
                "runs": list(map(str, self.calibration.runs)), "factors": self.calibration.factors,
            },
            "remarks": list(self.remarks),
            "assumptions": {name: asdict(each) for name, each in CONSTANTS.items()},
        }  # fmt: skip


def make_plan(
    config: DictConfig,
    *,
    device: str | None = None,
    model_config: Path | None = None,
    prompt_tokens: float | None = None,
    response_tokens: float | None = None,
    runs: Sequence[Path] = (),
) -> Plan:
    """Plan a run.

    Args:
        config: its composed configuration.
        device: name of a GPU, or of the CPU; by default the one that the configuration is for.
        model_config: a `config.json` of the model.
        prompt_tokens, response_tokens: mean lengths; assumed, or as in `runs`, by default.
        runs: folders of finished runs on the same machine, whose times correct the estimate.

    Raises:
        UsageError: something is unknown, or the arguments contradict each other.
    """
    on_cpu = config.trainer.device == "cpu"
    device = device or (CPU if on_cpu else DEFAULT_GPU)
    if (device == CPU) != on_cpu:
        raise UsageError(
            f"--gpu is {device}, but the configuration is for {'a CPU' if on_cpu else 'GPUs'}.",
            f"add platform={'gpu' if on_cpu else 'cpu'} to the overrides, or choose another --gpu.",
        )
    shape = find_shape(config.actor_rollout_ref.model.path, model_config, "quickstart_dir" in config)
    gpu = None if on_cpu else find_gpu(device)
    calibration, remarks = None, []
    if runs:
        measured = [measure(folder) for folder in runs]
        for each in measured:
            if (each.config.trainer.device == "cpu") != on_cpu:
                raise UsageError(
                    f"{each.folder} ran on another kind of device.", "calibrate with runs on the machine of the plan."
                )
        shapes = [
            find_shape(each.config.actor_rollout_ref.model.path, None, "quickstart_dir" in each.config)
            for each in measured
        ]
        if any(each.parameters != shape.parameters for each in shapes):
            remarks.append("Calibrated with runs of a model of another size.")
        calibration = calibrate(measured, lambda work: _seconds(work, shapes[0], gpu))
        prompt_tokens = prompt_tokens or min(calibration.prompt_tokens, config.data.max_prompt_length)
        response_tokens = response_tokens or calibration.response_share * config.data.max_response_length
    workload, supposed = read_workload(config, prompt_tokens=prompt_tokens, response_tokens=response_tokens)
    _check_layout(workload)
    seconds = _seconds(workload, shape, gpu)
    best = None
    if calibration is not None:
        seconds = calibration.apply(seconds)
    elif gpu is not None:
        best = gpu_seconds(workload, shape, gpu, constant("train_share_best"))
    return Plan(
        device,
        shape,
        workload,
        seconds,
        best,
        tuple(phases(workload, shape, gpu)) if gpu else (),
        tuple(shortages(workload, shape, gpu)) if gpu else (),
        calibration,
        (*supposed, *remarks),
    )


def _seconds(workload: Workload, shape: ModelShape, gpu: Gpu | None) -> Seconds:
    return cpu_seconds(workload, shape) if gpu is None else gpu_seconds(workload, shape, gpu)


def _check_layout(workload: Workload) -> None:
    if workload.gpus < 1:
        raise UsageError("The configuration has no GPU.", "set trainer.nnodes and trainer.n_gpus_per_node.")
    if workload.gpus % workload.tensor_parallel:
        raise UsageError(
            f"{workload.gpus} GPUs cannot be divided into engines of {workload.tensor_parallel}.",
            "set actor_rollout_ref.rollout.tensor_model_parallel_size to a divisor of the number of GPUs.",
        )
