"""Our training loop compared with stock verl and TRL's GRPOTrainer, in one run and in turn: the same model, prompts,
reward, group size, lengths, learning rate, seed and samples per step, one update per step.

* ours: `seed-grpo train`, platform=cpu, as shipped;
* trl: GRPOTrainer (`loss_type=dr_grpo`, `scale_rewards=False`) in an environment of its own, made when first used, with
  one or two torch threads, whichever is faster at that size;
* verl: its own command and V1 trainer with `adv_estimator=grpo` and one request per response. It has no platform for a
  CPU and no server for transformers, so it runs on ours; its replay buffer looks every 0.02 s instead of every 2 s,
  which no setting of its own does (`_peer_verl.py`). What else its configuration can do for speed is set as for ours.

A block is a process of its own, from start to end. A step's time is the time between the ends of two steps, seen from
outside; memory is the peak of the summed PSS of the block's processes.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from _peers import OFFLINE, ROOT, SIDES, Block, Size, install_trl, run_block
from rich.console import Console

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.update(OFFLINE)

ALL_SIZES = "32x8,32x16,128x8,128x16"
WARM_UP = 2
STEPS = {"ours": 8, "trl": 8, "verl": 3}
"""Measured steps of a block."""
CALIBRATION_STEPS = 3
BLOCK_SECONDS = 600
NAMES = {"ours": "seed-grpo", "trl": "TRL", "verl": "verl, stock"}

console = Console(stderr=True)
app = typer.Typer(add_completion=False)


@app.command()
def main(
    quick: Annotated[bool, typer.Option("--quick", help="32 × 8 alone, two rounds, verl in the first.")] = False,
    sizes: Annotated[str, typer.Option(help="PROMPTSxRESPONSES of a step, with commas.")] = ALL_SIZES,
    sides: Annotated[str, typer.Option(help="Which of ours, trl, verl.")] = ",".join(SIDES),
    rounds: Annotated[int, typer.Option(help="Blocks of each side at each size.")] = 3,
    steps: Annotated[int, typer.Option(help="Measured steps of a block; 0: 8, and 3 of stock verl.")] = 0,
    limit: Annotated[float, typer.Option(help="Seconds after which a block is ended and has failed.")] = BLOCK_SECONDS,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write medians, ratios and blocks here.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for model and data.")] = ROOT / "runs" / "peers",
) -> None:
    """Compare our training loop with stock verl and TRL, in turn. All sizes take about an hour on two cores.

    Example: python benchmarks/peers.py --quick

    Example: python benchmarks/peers.py --sizes 128x16 --rounds 2 --json peers.json

    Example: python benchmarks/peers.py --sides ours,trl
    """
    if quick:
        sizes, rounds = "32x8", 2
    chosen, wanted = parse_sides(sides), parse_sizes(sizes)
    if "trl" in chosen:
        install_trl(console.print)
    base = prepare_base(out)
    console.print(machine(), markup=False, soft_wrap=True)
    measured: list[Block] = []
    threads: dict[str, int] = {}
    result: dict[str, Any] = {}
    for size in wanted:
        if "trl" in chosen:
            threads[str(size)] = calibrate_trl(size, base, limit)
        for turn in range(rounds):
            for side in chosen:
                if quick and side == "verl" and turn > 0:
                    continue
                block = run_block(side, size, WARM_UP + (steps or STEPS[side]), WARM_UP, base,
                                  threads.get(str(size), 1), limit)  # fmt: skip
                console.print(
                    f"{size} round {turn + 1}/{rounds} {NAMES[side]:12} {said(block)}", markup=False, soft_wrap=True
                )
                measured.append(block)
                result = summarize(measured, threads)
                if json_file is not None:
                    json_file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(table(result))
    failed = [block for block in measured if block.failure]
    if failed:
        console.print(f"{len(failed)} of {len(measured)} blocks failed; they are not in the table.", style="red")
        raise typer.Exit(1)


def parse_sizes(text: str) -> list[Size]:
    try:
        return [Size(*(int(number) for number in size.split("x"))) for size in text.split(",")]
    except (ValueError, TypeError):
        raise typer.BadParameter(f"--sizes {text} is no list of sizes such as 32x8,128x16") from None


def parse_sides(text: str) -> list[str]:
    chosen = [side for side in SIDES if side in text.split(",")]
    if unknown := set(text.split(",")) - set(SIDES):
        raise typer.BadParameter(f"--sides: {', '.join(sorted(unknown))} is none of {', '.join(SIDES)}")
    return chosen


def prepare_base(folder: Path) -> Path:
    """The quickstart's model and data; warm-started until it writes whole answers, of about 11 tokens."""
    from seed_grpo.quickstart.data import write_data
    from seed_grpo.quickstart.model import build_model
    from seed_grpo.quickstart.warm_start import warm_start

    folder = folder.absolute()
    if not (folder / "model").is_dir():
        unfinished = folder / f"model.{os.getpid()}"
        build_model(unfinished, seed=1)
        with console.status("warm start"):
            warm_start(unfinished, seed=1, target=0.3)
        unfinished.rename(folder / "model")
    write_data(folder / "data")
    return folder


def calibrate_trl(size: Size, base: Path, limit: float) -> int:
    """The number of torch threads with which TRL is faster here."""
    blocks = {
        threads: run_block("trl", size, 1 + CALIBRATION_STEPS, 1, base, threads, limit)
        for threads in range(1, min(2, len(os.sched_getaffinity(0))) + 1)
    }
    working = {threads: block.step for threads, block in blocks.items() if not block.failure}
    best = min(working, key=working.__getitem__, default=1)
    seconds = ", ".join(f"{threads}: {step:.2f} s" for threads, step in working.items())
    console.print(f"{size} TRL's step by torch threads: {seconds}; {best} it is", markup=False, soft_wrap=True)
    return best


# ---- results --------------------------------------------------------------------------------------------------------


def summarize(blocks: list[Block], threads: dict[str, int]) -> dict[str, Any]:
    """Medians over blocks, and how many times as long our step takes as the others'."""
    groups: dict[str, dict[str, list[Block]]] = {}
    for block in blocks:
        if not block.failure:
            groups.setdefault(block.size, {}).setdefault(block.side, []).append(block)
    medians = {size: {side: _medians(size, found) for side, found in sides.items()} for size, sides in groups.items()}

    def ratios(what: str, side: str) -> dict[str, float]:
        return {
            size: sides["ours"][what] / sides[side][what]
            for size, sides in medians.items()
            if "ours" in sides and side in sides
        }

    return {
        "machine": machine(),
        "trl_torch_threads": threads,
        "step_ratio_vs_trl": ratios("step", "trl"),
        "step_ratio_vs_verl": ratios("step", "verl"),
        "start_up_ratio_vs_trl": ratios("first", "trl"),
        "start_up_ratio_vs_verl": ratios("first", "verl"),
        "medians": medians,
        "blocks": [block.as_dict() for block in blocks],
    }


def _medians(size: str, blocks: list[Block]) -> dict[str, Any]:
    step_B = [block.step for block in blocks]
    step = statistics.median(step_B)
    every = [seconds for block in blocks for seconds in block.steps]
    names = dict.fromkeys(name for block in blocks for name in block.stages)
    return {
        "blocks": len(blocks),
        "step": step,
        "step_of_blocks": step_B,
        "step_range": [min(every), max(every)],
        "samples_per_second": parse_sizes(size)[0].samples / step,
        "begin": statistics.median(block.begin for block in blocks),
        "first": statistics.median(block.first for block in blocks),
        "total": statistics.median(block.total for block in blocks),
        "memory_mib": statistics.median(block.memory for block in blocks),
        "stages": {name: statistics.median(block.stages.get(name, 0.0) for block in blocks) for name in names},
    }


def said(block: Block) -> str:
    if block.failure:
        return f"failed: {block.failure}"
    return (
        f"{block.step:.2f} s a step ({min(block.steps):.2f} to {max(block.steps):.2f}), first step after "
        f"{block.first:.1f} s, {block.memory:.0f} MiB, load {block.load:.1f}"
    )


def table(result: dict[str, Any]) -> str:
    """Two tables in Markdown: times and memory; the split of a step by each side's own clock."""
    lines = [
        f"\n{result['machine']}\n",
        "| size | | s/step, median of blocks | each block | all steps | samples/s | our step is | first step begins | "
        "first step ends | memory, MiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    splits = ["", "| size | | seconds of a step by stage |", "|---|---|---|"]
    for size, sides in result["medians"].items():
        for side, numbers in sides.items():
            ratio = result.get(f"step_ratio_vs_{side}", {}).get(size)
            blocks = ", ".join(f"{step:.2f}" for step in numbers["step_of_blocks"])
            low, high = numbers["step_range"]
            lines.append(
                f"| {size} | {NAMES[side]} | {numbers['step']:.2f} | {blocks} | {low:.2f} to {high:.2f} "
                f"| {numbers['samples_per_second']:.0f} | {f'{ratio:.2f} times' if ratio else ''} "
                f"| {numbers['begin']:.1f} s | {numbers['first']:.1f} s | {numbers['memory_mib']:.0f} |"
            )
            stages = {name: seconds for name, seconds in numbers["stages"].items() if name != "step"}
            told = ", ".join(f"{name} {seconds:.2f}" for name, seconds in stages.items() if seconds >= 0.005)
            rest = numbers["step"] - sum(stages.values())
            splits.append(f"| {size} | {NAMES[side]} | {told}, rest {max(rest, 0):.2f} |")
    return "\n".join(lines + splits)


def machine() -> str:
    names = ("seed-grpo", "verl", "ray", "torch", "transformers")
    pins = (ROOT / "requirements" / "trl.txt").read_text(encoding="utf-8").splitlines()
    trl = next(pin for pin in pins if pin.startswith("trl==")).replace("==", " ")
    return (
        f"{date.today()}, {len(os.sched_getaffinity(0))} cores ({platform.machine()}, no GPU), "
        f"load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, "
        f"{', '.join(f'{name} {version(name)}' for name in names)}, {trl}"
    )


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)  # the block under way is ended with all its processes, as on Ctrl-C
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
