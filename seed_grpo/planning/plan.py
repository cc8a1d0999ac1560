"""A plan: what a composed configuration would cost, and whether it fits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.errors import UsageError
from seed_grpo.planning.assumptions import CONSTANTS, GIB, constant
from seed_grpo.planning.calibrate import Calibration, calibrate, measure
from seed_grpo.planning.devices import CPU, Gpu, find_gpu
from seed_grpo.planning.memory import Phase, Shortage, phases, shortages
from seed_grpo.planning.seconds import STAGES, Seconds, estimate, gpu_seconds
from seed_grpo.planning.setup import Setup
from seed_grpo.planning.shapes import ModelShape, find_shape
from seed_grpo.planning.workload import Lengths, Workload, is_quickstart, read_workload

if TYPE_CHECKING:
    from omegaconf import DictConfig

DEFAULT_GPU = "a100-80gb"


@dataclass(frozen=True)
class Wishes:
    """What a plan takes besides the run's configuration.

    Attributes:
        device: name of a GPU, or of the CPU; by default the one that the configuration is for.
        model_config: a `config.json` of the model.
        prompt_tokens, response_tokens: mean lengths; assumed, or as in `runs`, by default.
        runs: folders of finished runs on the same machine, whose times correct the estimate.
    """

    device: str | None = None
    model_config: Path | None = None
    prompt_tokens: float | None = None
    response_tokens: float | None = None
    runs: tuple[Path, ...] = ()


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


def make_plan(config: DictConfig, wishes: Wishes | None = None) -> Plan:
    """Plan the run of a composed configuration.

    Raises:
        UsageError: something is unknown, or the settings contradict each other.
    """
    wishes = wishes or Wishes()
    device, gpu = _device(config, wishes.device)
    shape = find_shape(config.actor_rollout_ref.model.path, wishes.model_config, is_quickstart(config))
    calibration, lengths, remarks = _calibrated(config, wishes, shape, gpu)
    workload, assumed = read_workload(config, lengths)
    setup = Setup(workload, shape, gpu)
    seconds, best = estimate(setup), None
    if calibration is not None:
        seconds = calibration.apply(seconds)
    elif gpu is not None:
        best = gpu_seconds(setup, constant("train_share_best"))
    return Plan(
        device,
        shape,
        workload,
        seconds,
        best,
        tuple(phases(setup)) if gpu else (),
        tuple(shortages(setup)) if gpu else (),
        calibration,
        (*assumed, *remarks),
    )


def _device(config: DictConfig, wished: str | None) -> tuple[str, Gpu | None]:
    """The device by its name, and the GPU that it is, if it is one."""
    on_cpu = config.trainer.device == "cpu"
    device = wished or (CPU if on_cpu else DEFAULT_GPU)
    if (device == CPU) != on_cpu:
        raise UsageError(
            f"--gpu is {device}, but the configuration is for {'a CPU' if on_cpu else 'GPUs'}.",
            f"add platform={'gpu' if on_cpu else 'cpu'} to the overrides, or choose another --gpu.",
        )
    return device, None if on_cpu else find_gpu(device)


def _calibrated(
    config: DictConfig, wishes: Wishes, shape: ModelShape, gpu: Gpu | None
) -> tuple[Calibration | None, Lengths, list[str]]:
    """What the runs that are to correct the model say, the lengths to plan with, and a remark if it is needed."""
    lengths = Lengths(wishes.prompt_tokens, wishes.response_tokens)
    if not wishes.runs:
        return None, lengths, []
    measured = [measure(folder.expanduser()) for folder in wishes.runs]
    shapes = []
    for each in measured:
        if (each.config.trainer.device == "cpu") != (gpu is None):
            raise UsageError(
                f"{each.folder} ran on another kind of device.", "calibrate with runs on the machine of the plan."
            )
        shapes.append(find_shape(each.config.actor_rollout_ref.model.path, None, is_quickstart(each.config)))
    calibration = calibrate(measured, lambda work: estimate(Setup(work, shapes[0], gpu)))
    lengths = Lengths(
        lengths.prompt or min(calibration.prompt_tokens, config.data.max_prompt_length),
        lengths.response or calibration.response_share * config.data.max_response_length,
    )
    other = any(each.parameters != shape.parameters for each in shapes)
    return calibration, lengths, ["Calibrated with runs of a model of another size."] if other else []
