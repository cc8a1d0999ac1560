"""What SEED-GRPO adds to verl's advantage stage: verl's own `_compute_advantage` with `grpo` and ours, in one process,
on the same rows of a real TransferQueue, in turn. Then how the added cost grows.

The stage of a training step is measured whole: fetching from TransferQueue, clusters, entropies, weights, the lines of
`prompts.jsonl` (a line a prompt, written in this stage), storing the advantages. The group rollout hands its answers
to the trainer in memory; behind verl's rollout path they are fetched, which is measured as well.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("VERL_PLATFORM", "cpu")

GROWTH = ((128, 16), (512, 16), (1024, 32), (2048, 64), (4096, 64))
STEP = 1

console = Console(stderr=True)
app = typer.Typer(add_completion=False)


@app.command()
def main(
    prompts: Annotated[int, typer.Option(help="Prompts of the batch.")] = 128,
    responses: Annotated[int, typer.Option(help="Responses to each prompt (G).")] = 16,
    tokens: Annotated[int, typer.Option(help="Tokens of each response.")] = 3000,
    level: Annotated[str, typer.Option(help="Cluster level: exact, normalized or symbolic.")] = "exact",
    repeats: Annotated[int, typer.Option(help="Alternating measurements of each.")] = 9,
    growth: Annotated[bool, typer.Option(help="Measure the growth to 4,096 × 64 as well.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers to this file.")] = None,
) -> None:
    """Measure SEED-GRPO's part of the advantage stage next to verl's own.

    Example: python benchmarks/advantage_step.py

    Example: python benchmarks/advantage_step.py --prompts 16 --responses 8 --tokens 200 --no-growth
    """
    result: dict[str, Any] = {"machine": machine(), "prompts": prompts, "responses": responses, "tokens": tokens}
    console.print(result["machine"])
    with transfer_queue():
        result |= measure_stage(prompts, responses, tokens, level, repeats)
    print(stage_table(result))
    if growth:
        result |= measure_growth(level)
        print(growth_table(result))
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


# ---- the stage ------------------------------------------------------------------------------------------------------


def measure_stage(prompts: int, responses: int, tokens: int, level: str, repeats: int) -> dict[str, Any]:
    """Medians of the alternating measurements, in seconds."""
    from transfer_queue.metadata import KVBatchMeta
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    from seed_grpo.runs.records import RunRecords
    from seed_grpo.verl_plugin.trainer import SeedGrpoTrainerSync

    with tempfile.TemporaryDirectory() as folder:
        manager, rows = graded_rollout(Path(folder), prompts, responses, tokens)
        batch = KVBatchMeta(
            partition_id="train", keys=[row.key for row in rows], tags=[{} for _ in rows], extra_info={}
        )
        verls = PPOTrainerSync(settings(folder, level, "grpo", "sync"))
        ours = SeedGrpoTrainerSync(settings(folder, level, "seed_grpo", "seed_grpo_sync"))
        ours.global_steps, ours.records, ours.tokenizer = STEP, RunRecords(folder), manager._reward.tokenizer
        seconds: dict[str, list[float]] = {"verl": [], "group path": [], "verl's path": []}
        known = dict(manager._graded)
        for repeat in track(range(repeats + 1), "stage", console=console):
            for name in seconds:
                trainer: PPOTrainer = verls if name == "verl" else ours
                trainer.agent_loop_manager = manager if name == "group path" else None
                manager._graded.update(known)  # taken once a step
                with timed_inside(PPOTrainer, "_compute_advantage") as inner:
                    stage = timed_call(lambda: trainer._compute_advantage(batch, {}))  # noqa: B023
                if repeat:  # the first is warm-up
                    seconds[name].append(stage if name == "verl" else stage - sum(inner))
    estimator = measure_estimator(prompts, responses, tokens, repeats)
    stage = statistics.median(seconds["verl"])
    result: dict[str, Any] = {
        "verl_stage_seconds": stage,
        "verl_stage_range": [min(seconds["verl"]), max(seconds["verl"])],
        "added_in_estimator_seconds": estimator,
    }
    for name, key in (("group path", "added"), ("verl's path", "added_when_fetched")):
        added_R = [before + estimator for before in seconds[name]]
        added = statistics.median(added_R)
        result |= {
            f"{key}_seconds": added, f"{key}_range": [min(added_R), max(added_R)], f"{key}_share": added / stage
        }  # fmt: skip
    return result


def measure_estimator(prompts: int, responses: int, tokens: int, repeats: int) -> float:
    """What the estimator takes beyond verl's `grpo`, which it calls, on the same tensors. The median."""
    import torch
    from verl.protocol import DataProto
    from verl.trainer.ppo.v1 import utils

    from seed_grpo.verl_plugin.estimator import BatchWeights, batch_weights

    rows = list(made_rows(prompts, responses))
    keys, uids = [row.key for row in rows], np.array([row.uid for row in rows], dtype=object)
    mask = torch.ones(len(rows), tokens, dtype=torch.int64)
    rewards = torch.zeros(len(rows), tokens)
    rewards[:, -1] = torch.tensor([row.reward for row in rows])
    weights = BatchWeights(keys, np.linspace(0.9, 1.0, len(rows)))
    config = settings("runs", "exact", "grpo", "sync").algorithm
    advantages_of = utils.compute_advantage_for_multi_trajectories
    data = DataProto.from_dict({"token_level_rewards": rewards, "response_mask": mask}, {"uid": uids})
    added = []
    for repeat in range(repeats + 1):
        with timed_inside(utils, "compute_advantage_for_multi_trajectories") as inner, batch_weights(weights):
            whole = timed_call(
                lambda: advantages_of(
                    data, batch_keys=keys, adv_estimator="seed_grpo", norm_adv_by_std_in_grpo=False, config=config
                )
            )
        if repeat:
            added.append(whole - sum(inner))
    return statistics.median(added)


@contextmanager
def timed_inside(owner: Any, name: str) -> Iterator[list[float]]:
    """Seconds of each call of `owner.name` within the block. What calls it takes the rest of its own time itself."""
    function, seconds = getattr(owner, name), []

    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - start)

    setattr(owner, name, timed)
    try:
        yield seconds
    finally:
        setattr(owner, name, function)


@dataclass(frozen=True)
class Row:
    """A graded response as the rollout left it."""

    uid: str
    session: int
    answer: str
    gold: str

    @property
    def reward(self) -> float:
        return float(self.answer == self.gold)

    @property
    def key(self) -> str:
        return f"{self.uid}_{self.session}_0"


def made_rows(prompts: int, responses: int) -> Iterator[Row]:
    """Prompts of every degree of uncertainty: the share of the right answer grows from none to all."""
    random = np.random.default_rng(0)
    for prompt in range(prompts):
        right_G = random.random(responses) < prompt / max(prompts - 1, 1)
        wrong_G = random.integers(1, 1 + responses, size=responses)
        for session, (right, wrong) in enumerate(zip(right_G, wrong_G, strict=True)):
            number = 1000 + prompt + (0 if right else int(wrong))
            yield Row(f"prompt-{prompt}", session, f"\\frac{{{number}}}{{7}}", f"\\frac{{{1000 + prompt}}}{{7}}")


def graded_rollout(folder: Path, prompts: int, responses: int, tokens: int) -> tuple[Any, list[Row]]:
    """A group rollout that has graded and stored the batch: what stands in TransferQueue is what a run leaves there."""
    from seed_grpo.quickstart.model import build_model
    from seed_grpo.verl_plugin.group_rollout import GroupRolloutManager
    from seed_grpo.verl_plugin.trajectories import Response

    build_model(folder / "model")
    config = settings(str(folder), "exact", "seed_grpo", "seed_grpo_colocate_async")  # looks for no server here
    config.actor_rollout_ref.model.path = str(folder / "model")
    config.actor_rollout_ref.rollout.response_length = tokens
    manager = GroupRolloutManager(config, None)
    tokenizer = manager._reward.tokenizer
    rows = list(made_rows(prompts, responses))
    reports = {"global_steps": 0, "min_global_steps": 0, "max_global_steps": 0}
    for start in track(range(0, len(rows), responses), "filling TransferQueue", console=console):
        group = rows[start : start + responses]
        graded = []
        for row in group:
            ending = [*tokenizer.encode(f"\\boxed{{{row.answer}}}"), tokenizer.eos_token_id]
            token_ids = tokenizer.encode("so " * tokens)[: tokens - len(ending)] + ending
            graded.append(Response(token_ids, [-0.5] * tokens, dict(reports), seconds=0.0, num_preempted=0))
        prompt = {
            "uid": group[0].uid,
            "raw_prompt": [{"role": "user", "content": f"What is {group[0].uid}? " + "x" * 200}],
            "reward_model": {"style": "rule", "ground_truth": [group[0].gold]},
            "global_steps": STEP,
            "prompt_ids": tokenizer.encode("x" * 200),
        }
        failed = manager._store([prompt], responses, graded, "train")
        if failed:
            raise RuntimeError("the batch could not be stored; see the log above")
    assert [manager._graded[row.key].reward for row in rows] == [row.reward for row in rows]
    return manager, rows


@contextmanager
def transfer_queue() -> Iterator[None]:
    """Ray with TransferQueue in a scratch folder."""
    import ray
    import transfer_queue as tq
    import verl  # noqa: F401

    with tempfile.TemporaryDirectory(prefix="sg-", dir="/tmp", ignore_cleanup_errors=True) as scratch:
        with console.status("starting Ray and TransferQueue"):
            ray.init(num_cpus=4, include_dashboard=False, _temp_dir=scratch, log_to_driver=False)
            tq.init(settings(scratch, "exact", "grpo", "sync").transfer_queue)
        try:
            yield
        finally:
            tq.close()
            ray.shutdown()


def settings(folder: str, level: str, estimator: str, mode: str) -> Any:
    """The paper's method settings on the CPU."""
    from omegaconf import OmegaConf

    from seed_grpo.training.compose import compose_config

    config = compose_config(
        [
            f"algorithm.adv_estimator={estimator}",
            f"trainer.v1.trainer_mode={mode}",
            f"trainer.default_local_dir='{folder}'",
            f"seed_grpo.meaning={level}",
        ]
    )
    OmegaConf.resolve(config)
    return config


# ---- growth ---------------------------------------------------------------------------------------------------------


def measure_growth(level: str) -> dict[str, Any]:
    """The method's own work, from answers to weights, metrics and written records, at growing sizes. Seconds."""
    from seed_grpo.meaning.by_answer import ByAnswer
    from seed_grpo.meaning.protocol import Sample
    from seed_grpo.measuring import measure_responses
    from seed_grpo.method.settings import MethodSettings
    from seed_grpo.runs.records import RunRecords
    from seed_grpo.verl_plugin.batches import weight_of_rows

    method, meaning = MethodSettings(), ByAnswer(level)
    seconds: dict[str, float] = {}
    for prompts, responses in track(GROWTH, "growth", console=console):
        rows = list(made_rows(prompts, responses))
        uids, samples = [row.uid for row in rows], [Sample(None, row.answer) for row in rows]
        rewards, keys = [row.reward for row in rows], [row.key for row in rows]

        def work() -> None:
            measured = measure_responses(uids, samples, rewards, meaning, method)  # noqa: B023
            measured.metrics()
            records.write_prompts(STEP, measured.records())  # noqa: B023
            weight_of_rows(keys, measured)  # noqa: B023

        with tempfile.TemporaryDirectory() as folder:
            records = RunRecords(folder)
            work()
            seconds[f"{prompts}x{responses}"] = min(timed_call(work) for _ in range(3))
    sizes = [prompts * responses for prompts, responses in GROWTH]
    slope, _ = np.polyfit(np.log(sizes), np.log(list(seconds.values())), 1)
    return {"growth_seconds": seconds, "growth_slope": float(slope)}


# ---- output ---------------------------------------------------------------------------------------------------------


def stage_table(result: dict[str, Any]) -> str:
    low, high = result["verl_stage_range"]
    lines = [
        f"\n{result['prompts']} × {result['responses']} responses of {result['tokens']} tokens, milliseconds\n",
        "| | median | range | share of verl's stage |",
        "|---|---|---|---|",
        f"| verl's stage with grpo | {ms(result['verl_stage_seconds'])} | {ms(low)} to {ms(high)} | |",
    ]
    for name, key in (
        ("SEED-GRPO adds", "added"),
        ("SEED-GRPO adds behind verl's rollout path", "added_when_fetched"),
    ):
        low, high = result[f"{key}_range"]
        share = f"{result[f'{key}_share']:.1%}"
        lines.append(f"| {name} | {ms(result[f'{key}_seconds'])} | {ms(low)} to {ms(high)} | {share} |")
    lines.append(f"\nOf both, {ms(result['added_in_estimator_seconds'])} in the estimator.")
    return "\n".join(lines)


def growth_table(result: dict[str, Any]) -> str:
    sizes = result["growth_seconds"]
    return (
        f"\nFrom answers to weights and records, milliseconds; log-log slope {result['growth_slope']:.2f}\n\n"
        f"| {' | '.join(sizes)} |\n|{'---|' * len(sizes)}\n| {' | '.join(ms(value) for value in sizes.values())} |"
    )


def ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g}"


def timed_call(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def machine() -> str:
    names = ("verl", "TransferQueue", "torch", "numpy")
    return (
        f"{date.today()}, {len(os.sched_getaffinity(0))} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in names)}"
    )


if __name__ == "__main__":
    app()
