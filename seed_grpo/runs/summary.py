"""The numbers that a run ends with: `summary.json` and a short table."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from seed_grpo.errors import SeedGrpoError
from seed_grpo.runs.files import replace_file
from seed_grpo.runs.label_turn import label_turn
from seed_grpo.runs.names import METRICS, SUMMARY
from seed_grpo.runs.records import read_lines

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from rich.table import Table

PACKAGES = ("seed-grpo", "verl", "torch", "ray", "TransferQueue", "transformers", "vllm", "tensordict", "httpx")


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """The versions of packages, by default of what a run depends on; what is not installed is left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def code_commit() -> str | None:
    """The commit of this project's working tree, with `-dirty` if it was changed; None if there is none."""
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

    What was not measured is None: no accuracy stands for a validation that did not take place, and `base_step` and
    `final_step` are the steps after which the two accuracies were measured.

    Args:
        folder: the run's output folder.
        config: its configuration.
        wall_seconds: from the launch to the end, of this start of the run.

    Raises:
        SeedGrpoError: the run recorded no training step, and was not to validate alone.
    """
    from omegaconf import OmegaConf

    records = list(read_lines(Path(folder) / METRICS))
    steps = [record for record in records if "train/accuracy" in record]
    validated = {record["step"]: record["val/accuracy"] for record in records if "val/accuracy" in record}
    if not steps and not (config.trainer.val_only and validated):
        raise SeedGrpoError(f"{folder} records no training step.", "see its train.log for the reason.")
    final = max((step for step in validated if step > 0), default=None)
    sampled = {record["step"]: _sampled(record) for record in records if "val/pass@1" in record}
    return {
        "base_accuracy": validated.get(0),
        "base_step": 0 if 0 in validated else None,
        "final_accuracy": None if final is None else validated[final],
        "final_step": final,
        "base_sampled": sampled.get(0),
        "final_sampled": sampled.get(final),
        "label_turn": label_turn(steps),
        "steps": steps[-1]["step"] if steps else 0,
        "seed": config.seed,
        "adv_estimator": config.algorithm.adv_estimator,
        "trainer_mode": config.trainer.v1.trainer_mode,
        "method": OmegaConf.to_container(config.seed_grpo, resolve=True),
        "group_size": config.actor_rollout_ref.rollout.n,
        "train_accuracy_last": steps[-1]["train/accuracy"] if steps else None,
        "entropy": _mean(steps, "seed_grpo/entropy"),
        "entropy_mixed": _mean(steps, "seed_grpo/entropy_mixed"),
        "weight": _mean(steps, "seed_grpo/weight"),
        "weight_mixed": _mean(steps, "seed_grpo/weight_mixed"),
        "prompts_cut": int(sum(step.get("seed_grpo/prompts_cut", 0) for step in steps)) or None,
        "mixed_share": _mean(steps, "seed_grpo/mixed_share"),
        "step_seconds_median": _median(steps, "timing_s/step"),
        "samples_per_second": _median(steps, "perf/samples_per_second"),
        "training_seconds": records[-1]["wall_seconds"],
        "wall_seconds": round(wall_seconds, 1),
        "versions": versions(),
        "commit": code_commit(),
    }


def _sampled(record: dict[str, Any]) -> dict[str, float]:
    """What a validation with several samples measured: `pass@1`, `pass@k`, `distinct_right`, `entropy_right`."""
    names = ("val/pass@", "val/distinct_right", "val/entropy_right")
    return {name.removeprefix("val/"): value for name, value in record.items() if name.startswith(names)}


def write_summary(folder: str | Path, summary: dict[str, Any]) -> None:
    """Write `summary.json`."""
    replace_file(Path(folder) / SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


def summary_table(summary: dict[str, Any]) -> Table:
    """The summary as a table for the terminal; what was not measured has no row."""
    from rich.table import Table

    steps = summary["steps"]
    table = Table(show_header=False, title=f"{summary['adv_estimator']}, {steps} steps")
    for label, value in _accuracies(summary):
        table.add_row(label, value)
    for label, value in _sampled_rows(summary):
        table.add_row(label, value)
    if turn := summary.get("label_turn"):
        fall = f"{turn['accuracy']:.1%} to {turn['accuracy_last']:.1%}"
        table.add_row("true accuracy turns, its own reward still rises", f"after step {turn['step']}: {fall}")
    for label, key, form in (
        ("semantic entropy, all prompts", "entropy", "{:.3f} nats"),
        ("semantic entropy, mixed prompts", "entropy_mixed", "{:.3f} nats"),
        ("weight, all prompts", "weight", "{:.4f}"),
        ("weight, mixed prompts", "weight_mixed", "{:.4f}"),
        ("mixed prompts (right and wrong answers)", "mixed_share", "{:.0%}"),
        ("prompts cut to data.max_prompt_length", "prompts_cut", "{}"),
        ("time per step, median", "step_seconds_median", "{:.2f} s"),
        ("samples per second, median", "samples_per_second", "{:.0f}"),
        ("wall time", "wall_seconds", "{:.0f} s"),
    ):
        if summary.get(key) is not None:
            table.add_row(label, form.format(summary[key]))
    if steps:
        table.caption = f"means and medians over steps 1 to {steps}; wall time of this start"
    return table


def _accuracies(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows of the validations, each with its step."""
    base, final = summary["base_accuracy"], summary["final_accuracy"]
    rows = []
    if base is not None:
        rows.append(("validation accuracy before step 1", f"{base:.1%}"))
    if final is not None:
        gain = "" if base is None else f"  ({100 * (final - base):+.1f} points)"
        rows.append((f"validation accuracy after step {summary['final_step']}", f"{final:.1%}{gain}"))
    return rows


def _sampled_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows of validations with several samples: before and after."""
    base, final = summary.get("base_sampled") or {}, summary.get("final_sampled") or {}
    rows = []
    for name in {**base, **final}:
        form = "{:.1%}" if name.startswith("pass@") else "{:.2f}"
        shown = [form.format(each[name]) for each in (base, final) if name in each]
        rows.append((f"validation {name.replace('_', ' ')}", " → ".join(shown)))
    return rows


def _mean(records: list[dict[str, Any]], name: str) -> float | None:
    values = [record[name] for record in records if name in record]
    return fmean(values) if values else None


def _median(records: list[dict[str, Any]], name: str) -> float | None:
    values = [record[name] for record in records if name in record]
    return median(values) if values else None
