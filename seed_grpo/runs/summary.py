"""The numbers that a run ends with: `summary.json` and a short table."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from seed_grpo.errors import SeedGrpoError
from seed_grpo.runs.names import METRICS, SUMMARY
from seed_grpo.runs.records import read_lines

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from rich.table import Table

PACKAGES = ("seed-grpo", "verl", "torch", "ray", "TransferQueue", "transformers", "vllm", "tensordict", "httpx")


def versions() -> dict[str, str]:
    """The versions of what a run depends on; what is not installed is left out."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def code_commit() -> str | None:
    """The commit of this project's working tree, with `-dirty` if it was changed; None where there is none."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def summarize(folder: str | Path, config: DictConfig, wall_seconds: float) -> dict[str, Any]:
    """The summary of the run in `folder`.

    Args:
        folder: the run's output folder.
        config: its configuration.
        wall_seconds: from the launch to the end, of this start of the run.

    Raises:
        SeedGrpoError: the run recorded no training step.
    """
    records = list(read_lines(Path(folder) / METRICS))
    steps = [record for record in records if "train/accuracy" in record]
    if not steps:
        raise SeedGrpoError(f"{folder} records no training step.", "see its train.log for the reason.")
    validated = [record["val/accuracy"] for record in records if "val/accuracy" in record]
    return {
        "base_accuracy": validated[0] if validated else None,
        "final_accuracy": validated[-1] if validated else None,
        "steps": steps[-1]["step"],
        "seed": config.seed,
        "adv_estimator": config.algorithm.adv_estimator,
        "trainer_mode": config.trainer.v1.trainer_mode,
        "method": dict(config.seed_grpo),
        "group_size": config.actor_rollout_ref.rollout.n,
        "train_accuracy_last": steps[-1]["train/accuracy"],
        "entropy": _mean(steps, "seed_grpo/entropy"),
        "entropy_mixed": _mean(steps, "seed_grpo/entropy_mixed"),
        "weight": _mean(steps, "seed_grpo/weight"),
        "weight_mixed": _mean(steps, "seed_grpo/weight_mixed"),
        "mixed_share": _mean(steps, "seed_grpo/mixed_share"),
        "step_seconds_median": median(record["timing_s/step"] for record in steps),
        "samples_per_second": median(record["perf/samples_per_second"] for record in steps),
        "training_seconds": records[-1]["wall_seconds"],
        "wall_seconds": round(wall_seconds, 1),
        "versions": versions(),
        "commit": code_commit(),
    }


def write_summary(folder: str | Path, summary: dict[str, Any]) -> None:
    """Write `summary.json`."""
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    (Path(folder) / SUMMARY).write_text(text, encoding="utf-8")


def summary_table(summary: dict[str, Any]) -> Table:
    """The summary as a table for the terminal."""
    from rich.table import Table

    base, final = summary["base_accuracy"], summary["final_accuracy"]
    table = Table(show_header=False, title=f"{summary['adv_estimator']}, {summary['steps']} steps")
    if base is not None:
        table.add_row("validation accuracy before", f"{base:.1%}")
        table.add_row("validation accuracy after", f"{final:.1%}  ({100 * (final - base):+.1f} points)")
    for label, key, form in (
        ("semantic entropy, all prompts", "entropy", "{:.3f} nats"),
        ("semantic entropy, mixed prompts", "entropy_mixed", "{:.3f} nats"),
        ("weight, all prompts", "weight", "{:.4f}"),
        ("weight, mixed prompts", "weight_mixed", "{:.4f}"),
        ("mixed prompts (right and wrong answers)", "mixed_share", "{:.0%}"),
        ("time per step, median", "step_seconds_median", "{:.2f} s"),
        ("samples per second, median", "samples_per_second", "{:.0f}"),
        ("wall time", "wall_seconds", "{:.0f} s"),
    ):
        if summary[key] is not None:
            table.add_row(label, form.format(summary[key]))
    return table


def _mean(records: list[dict[str, Any]], name: str) -> float | None:
    values = [record[name] for record in records if name in record]
    return fmean(values) if values else None
