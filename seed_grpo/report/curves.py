"""The curves of one run: accuracy, reward, semantic entropy and weight over its steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seed_grpo.report.style import BLUE, GREEN, GREY, ORANGE, draw_png
from seed_grpo.runs.names import CURVES, METRICS, PROMPTS
from seed_grpo.runs.records import read_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


def plot_curves(folder: str | Path, name: str = CURVES) -> Path:
    """Draw the run in `folder` into a picture next to its records; returns the picture's path."""
    folder = Path(folder)
    records = list(read_lines(folder / METRICS))
    prompts = list(read_lines(folder / PROMPTS))

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots(2, 2, sharex=True)
        _accuracy(axes[0, 0], records)
        _reward(axes[0, 1], records)
        _entropy(axes[1, 0], records, prompts)
        _weight(axes[1, 1], records, prompts)
        for axis in axes[1]:
            axis.set_xlabel("step")

    return draw_png(folder / name, draw, (9, 6))


def _accuracy(axis: Axes, records: list[dict[str, Any]]) -> None:
    step, accuracy = series(records, "val/accuracy")
    axis.plot(step, accuracy, "o-", color=BLUE, markersize=4)
    if len(accuracy):
        axis.axhline(accuracy[0], color=GREY, linestyle=":", linewidth=1)
        for at, up in ((0, -12), (-1, 7)):
            axis.annotate(f"{accuracy[at]:.1%}", (step[at], accuracy[at]), textcoords="offset points",
                          xytext=(0, up), ha="left" if at == 0 else "right", color=BLUE)  # fmt: skip
    axis.margins(y=0.2)
    axis.set_title("Accuracy on problems never trained on (greedy)")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")


def _reward(axis: Axes, records: list[dict[str, Any]]) -> None:
    step, reward = series(records, "train/accuracy")
    axis.plot(step, reward, color=BLUE, alpha=0.3, linewidth=1)
    axis.plot(step, smooth(reward), color=BLUE, label="reward, smoothed")
    step, mixed = series(records, "seed_grpo/mixed_share")
    axis.plot(step, smooth(mixed), color=GREEN, linestyle="--", label="mixed prompts, smoothed")
    axis.set_title("Mean reward; share of mixed prompts")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.legend()


def _entropy(axis: Axes, records: list[dict[str, Any]], prompts: list[dict[str, Any]]) -> None:
    for key, color, label in (("entropy", BLUE, "all prompts"), ("entropy_mixed", ORANGE, "mixed prompts")):
        step, entropy = series(records, f"seed_grpo/{key}")
        axis.plot(step, entropy, color=color, alpha=0.3, linewidth=1)
        axis.plot(step, smooth(entropy), color=color, label=label)
    if prompts:
        limit = max(prompt["max_entropy"] for prompt in prompts)
        axis.axhline(limit, color=GREY, linestyle=":", linewidth=1)
        axis.annotate("log G", (1, limit), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=GREY)
    axis.set_ylim(bottom=0)
    axis.set_title("Semantic entropy (nats)")
    axis.legend()


def _weight(axis: Axes, records: list[dict[str, Any]], prompts: list[dict[str, Any]]) -> None:
    by_step: dict[int, list[float]] = {}
    for prompt in prompts:
        by_step.setdefault(prompt["step"], []).append(prompt["weight"])
    if by_step:
        steps = sorted(by_step)
        low, high = np.array([np.percentile(by_step[step], [10, 90]) for step in steps]).T
        axis.fill_between(steps, low, high, color=BLUE, alpha=0.12, linewidth=0, label="10th to 90th percentile")
    for key, color, label in (("weight", BLUE, "all prompts"), ("weight_mixed", ORANGE, "mixed prompts")):
        step, weight = series(records, f"seed_grpo/{key}")
        axis.plot(step, smooth(weight), color=color, label=label)
    if any(prompt["weight"] > 1.0 for prompt in prompts):
        axis.axhline(1.0, color="0.6", linewidth=0.8, linestyle=":", label="1: as in Dr.GRPO")
    axis.ticklabel_format(axis="y", useOffset=False)
    axis.set_title("Weight of a prompt's advantages")
    axis.legend()


def series(records: list[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """(steps, values) of one metric, where it was recorded."""
    points = [(record["step"], record[name]) for record in records if name in record]
    steps, values = zip(*points, strict=True) if points else ((), ())
    return np.array(steps), np.array(values, dtype=float)


def smooth(values: np.ndarray, width: int = 5) -> np.ndarray:
    """Centred moving average; at the ends over what there is."""
    if len(values) < 3:
        return values
    kernel = np.ones(min(width, len(values)))
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")
