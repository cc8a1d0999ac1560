"""What a machine can do, measured: started by run.sh, which has installed everything.

A stage is a function of a `Machine` to what it measured. It gets its share of the time that is left, and whatever it
starts is ended when that is over; the runs' lines until then count. Results are written after each stage.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from machine import Machine, Run, StageError, about
from models import SIZES


def doctor(machine: Machine) -> dict[str, Any]:
    """What `seed-grpo doctor` finds; a check that fails is reported, and does not end the measurement."""
    status = machine.run("doctor", [sys.executable, "-m", "seed_grpo.cli", "doctor", *machine.overrides])
    if status is None:
        raise StageError("doctor did not end in time")
    return {"passed": status == 0, "output": (machine.out / "doctor.log").read_text(encoding="utf-8", errors="replace")}


LEARNING = (
    "experiment=quickstart",
    "trainer.total_training_steps=20",
    "trainer.test_freq=10",
    "trainer.save_freq=-1",
    "algorithm.rollout_correction.bypass_mode=false",
    "trainer.val_before_train=true",
)
"""Twenty steps of the quickstart's sums. The trainer computes the rollouts' probabilities anew: they are compared."""


def rollouts_by_hf(machine: Machine) -> dict[str, Any]:
    """FSDP2 with transformers' rollouts."""
    return _learn(machine, "hf", "actor_rollout_ref.rollout.name=hf")


def rollouts_by_vllm(machine: Machine) -> dict[str, Any]:
    """FSDP2 with vLLM's rollouts: weights by CUDA IPC, sleep and wake, bf16, graphs."""
    return _learn(machine, "vllm", "actor_rollout_ref.rollout.name=vllm")


def _learn(machine: Machine, name: str, engine: str) -> dict[str, Any]:
    base = machine.make("base")
    run = machine.train(f"quickstart_{name}", *LEARNING, f"quickstart_dir={base}", engine)
    return {**run.measured(), "validation_accuracy": run.curve}


def large_model(machine: Machine) -> dict[str, Any]:
    """SEED-GRPO and Dr.GRPO in turn, then stock verl's GRPO, on a model of 1.5B parameters with random weights."""
    end = machine.deadline
    results: dict[str, Any] = {"sizes": asdict(SIZES[machine.kind])}
    for number in range(4):
        name = ("seed_grpo", "dr_grpo")[number % 2]
        machine.deadline = time.monotonic() + (end - time.monotonic()) / (5 - number)
        run = machine.train(f"large_{number}_{name}", *large_run(machine), f"baseline={name}")
        results.setdefault(name, []).append(run.measured())
        print(f"  {name}: {results[name][-1]['seconds']['step']:.1f} s per step", flush=True)
    machine.deadline = end
    if machine.kind == "gpu":  # stock verl does not train on a CPU
        results["verl_grpo"] = [stock_verl(machine).measured()]
    for name in [name for name in ("seed_grpo", "dr_grpo", "verl_grpo") if name in results]:
        results[f"{name}_step"] = statistics.median(block["seconds"]["step"] for block in results[name])
    return results


def large_run(machine: Machine) -> list[str]:
    """Overrides of a run of the large model, which is made first."""
    sizes = SIZES[machine.kind]
    return [
        "experiment=quickstart",
        f"quickstart_dir={machine.make('large')}",
        f"data.train_batch_size={sizes.prompts}",
        f"data.max_prompt_length={sizes.prompt_length}",
        f"data.max_response_length={sizes.response_length}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={sizes.prompts}",
        f"actor_rollout_ref.rollout.n={sizes.responses}",
        f"trainer.total_training_steps={sizes.steps}",
        "trainer.test_freq=-1",
        "trainer.val_before_train=false",
        "trainer.save_freq=-1",
    ]


def stock_verl(machine: Machine) -> Run:
    """The same sizes by `python -m verl.trainer.main_ppo`: its trainer, its agent loop, its storage, its `grpo`."""
    from omegaconf import OmegaConf

    from seed_grpo.training.compose import compose_config
    from seed_grpo.verl_plugin.names import STOCK

    config: Any = compose_config(
        [
            *large_run(machine),
            *machine.overrides,
            *STOCK,
            f"trainer.default_local_dir={machine.out / 'verl'}",
        ]
    )
    OmegaConf.save(config, machine.out / "verl_config.yaml", resolve=True)
    metrics = machine.out / "verl.jsonl"
    status = machine.run(
        "verl",
        [
            sys.executable,
            "-m",
            "verl.trainer.main_ppo",
            "--config-dir",
            str(machine.out.resolve()),
            "--config-name",
            "verl_config",
            f"hydra.run.dir={machine.out / 'hydra'}",
        ],
        VERL_FILE_LOGGER_PATH=str(metrics),
        **{str(name): str(value) for name, value in config.ray_kwargs.ray_init.runtime_env.env_vars.items()},
    )
    return machine.finished("verl", status, metrics)


def smollm2(machine: Machine) -> dict[str, Any]:
    """SmolLM2-135M-Instruct on GSM8K: a warm start, then as many steps as there is time for, with validations."""
    data = machine.bundle / "data"
    if not data.is_dir():
        raise StageError("the bundle holds no GSM8K: bundle it with --gsm8k FILE")
    run = machine.train(
        "smollm2_gsm8k",
        *("experiment=smollm2_gsm8k", f"actor_rollout_ref.model.path={machine.make('boxes')}/model"),
        *(f"data.train_files={data}/gsm8k_train.parquet", f"data.val_files={data}/gsm8k_test.parquet"),
        *(SHORT if machine.kind == "cpu" else ()),
    )
    return {**run.measured(), "validation_accuracy": run.curve, "train_accuracy": run.of("train/accuracy")}


SHORT = ("data.train_batch_size=2", "actor_rollout_ref.actor.ppo_mini_batch_size=2", "trainer.total_training_steps=2",
         "trainer.test_freq=-1", "trainer.val_before_train=false", "data.max_response_length=64")  # fmt: skip
"""On a CPU, to try the stage."""


STAGES: dict[str, tuple[float, Callable[[Machine], dict[str, Any]]]] = {
    "doctor": (2, doctor),
    "hf": (2, rollouts_by_hf),
    "vllm": (3, rollouts_by_vllm),
    "large": (10, large_model),
    "smollm2": (6, smollm2),
}
"""Name: its share of the time, and what it does; in this order."""


def measure(machine: Machine, seconds: float, names: list[str]) -> dict[str, Any]:
    """Run the stages; what fails is reported, and the next stage begins.

    Args:
        machine: where.
        seconds: for all of them.
        names: keys of `STAGES`.

    Returns:
        What is in `OUT/results.json`.
    """
    results: dict[str, Any] = {"about": about(machine), "stages": {}}
    end = time.monotonic() + seconds
    for number, name in enumerate(names):
        share = STAGES[name][0] / sum(STAGES[later][0] for later in names[number:])
        start = time.monotonic()
        machine.deadline = start + share * (end - start)
        print(f"{name}: at most {machine.deadline - start:.0f} s", flush=True)
        try:
            found = {"status": "done", **STAGES[name][1](machine)}
        except StageError as error:
            found = {"status": "failed", "reason": str(error)}
        except Exception as error:  # a later stage may do better
            found = {"status": "failed", "reason": f"{type(error).__name__}: {' '.join(str(error).split())}"}
        found["stage_seconds"] = time.monotonic() - start
        print(f"{name}: {found['status']} after {found['stage_seconds']:.0f} s {found.get('reason', '')}", flush=True)
        results["stages"][name] = found
        unfinished = machine.out / "results.json.unfinished"
        unfinished.write_text(json.dumps(results, indent=1), encoding="utf-8")
        unfinished.rename(machine.out / "results.json")
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure this machine; started by run.sh.")
    parser.add_argument("out", type=Path, help="folder of the results")
    parser.add_argument("seconds", type=float, help="time for all stages")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides of all runs (default: platform=gpu)")
    parser.add_argument("--bundle", type=Path, required=True, help="what run.sh unpacked")
    parser.add_argument("--only", default=",".join(STAGES), help=f"stages, of {', '.join(STAGES)}")
    asked = parser.parse_args()
    names = asked.only.split(",")
    if unknown := [name for name in names if name not in STAGES]:
        parser.error(f"{', '.join(unknown)} is not a stage: choose of {', '.join(STAGES)}")
    overrides = list(asked.overrides)
    if not any(override.startswith("platform=") for override in overrides):
        import torch

        if not torch.cuda.is_available():
            parser.error("torch sees no GPU here; to try the scripts without one, add platform=cpu_vllm")
        overrides += ["platform=gpu", f"trainer.n_gpus_per_node={torch.cuda.device_count()}"]
    asked.out.mkdir(parents=True, exist_ok=True)
    results = measure(Machine(asked.out.resolve(), asked.bundle.resolve(), overrides), asked.seconds, names)
    return int(any(stage["status"] != "done" for stage in results["stages"].values()))


if __name__ == "__main__":
    sys.exit(main())
