"""The pictures of a report of runs and evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seed_grpo.report.curves import series, smooth
from seed_grpo.report.style import BLUE, COLORS, GREY, ORANGE, Draw, Figure, draw_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from seed_grpo.report.load import Evaluation, Run

STYLES = ("-", "--", "-.", ":")


def training_curves(runs: Sequence[Run]) -> Figure | None:
    """The paper's Fig. 4(f), and what SEED-GRPO adds to it: accuracy, reward, entropy and weight over the steps."""
    every = [
        ("val/accuracy", "Accuracy on the validation set", False),
        ("train/accuracy", "Mean reward of the samples", True),
        ("seed_grpo/entropy", "Semantic entropy, all prompts (nats)", True),
        ("seed_grpo/weight", "Weight f, all prompts", True),
    ]
    recorded = {name for run in runs for record in run.metrics for name in record}
    if several := sorted(name for name in recorded if name.startswith("val/pass@") and name != "val/pass@1"):
        every += [(name, f"Validation, {name.removeprefix('val/')}", False) for name in several]
        every.append(("val/distinct_right", "Distinct right answers per problem", False))
    panels = [panel for panel in every if panel[0] in recorded]
    if not panels:
        return None

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots(-(-len(panels) // 2), min(len(panels), 2), squeeze=False)
        for axis in axes.flat[len(panels) :]:
            axis.set_axis_off()
        for axis, (name, title, noisy) in zip(axes.flat, panels, strict=False):
            for number, run in enumerate(runs):
                step, value = series(run.metrics, name)
                color, style = COLORS[number % len(COLORS)], STYLES[number // len(COLORS) % len(STYLES)]
                if noisy:
                    axis.plot(step, value, color=color, alpha=0.25, linewidth=0.8)
                axis.plot(step, smooth(value) if noisy else value, style, color=color, label=run.name,
                          marker=None if noisy else "o", markersize=3)  # fmt: skip
            axis.set_title(title)
            axis.set_xlabel("step")
            axis.ticklabel_format(axis="y", useOffset=False)
            if "accuracy" in name or "pass@" in name:
                axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
        if len(runs) > 1 or len(panels) == 1:
            axes.flat[0].legend()

    height = 2.9 * -(-len(panels) // 2)
    return _figure(
        "training",
        "Training, as in the paper's Fig. 4(f). Pale lines: each step; full lines: smoothed.",
        draw,
        (9, height),
    )


def run_entropy_histogram(runs: Sequence[Run]) -> Figure | None:
    """How the prompts' entropies are spread, in the first and in the last fifth of each run."""
    runs = [run for run in runs if run.prompts][:8]
    if not runs:
        return None

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots(1, len(runs), squeeze=False, sharey=True)[0]
        for axis, run in zip(axes, runs, strict=True):
            last = max(prompt["step"] for prompt in run.prompts)
            limit = max(prompt["max_entropy"] for prompt in run.prompts) or 1.0
            bins = np.linspace(0, limit * 1.0001, 16).tolist()
            for label, color, begin, end in (
                ("first fifth", GREY, 0, last / 5),
                ("last fifth", BLUE, 0.8 * last, last),
            ):
                entropies = [prompt["entropy"] for prompt in run.prompts if begin < prompt["step"] <= end]
                share = np.full(len(entropies), 1 / max(len(entropies), 1))
                axis.hist(entropies, bins=bins, weights=share, color=color, alpha=0.55, label=label)
            axis.set_title(run.name)
            axis.set_xlabel("semantic entropy (nats)")
            axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
        axes[0].set_ylabel("share of prompts")
        axes[0].legend()

    return _figure(
        "entropy_in_training", "Semantic entropy of the training prompts.", draw, (min(4.5 * len(runs), 14), 3)
    )


def entropy_histogram(evaluation: Evaluation) -> Figure | None:
    """The entropies of an evaluation's problems, by whether the majority's answer is right."""
    seeds = [seed for problem in evaluation.problems for seed in problem.get("seeds", [])]
    if not seeds:
        return None

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots(1, 2, sharey=True)
        for axis, key, title in zip(
            axes, ("entropy", "entropy_rao_blackwell"), ("monte_carlo (Eq. 5)", "rao_blackwell (Eq. 4)"), strict=True
        ):
            groups = [[seed[key] for seed in seeds if seed["majority_correct"] is right] for right in (True, False)]
            limit = max(seed["max_entropy"] for seed in seeds) or 1.0
            axis.hist(groups, bins=np.linspace(0, limit * 1.0001, 16).tolist(), stacked=True, color=[BLUE, ORANGE],
                      label=["right", "wrong"])  # fmt: skip
            axis.set_title(title)
            axis.set_xlabel("semantic entropy (nats)")
        axes[0].set_ylabel("problems × seeds")
        axes[1].legend(title="majority's answer")

    return _figure("entropy", f"{evaluation.name}: semantic entropy of the problems.", draw, (9, 3))


def risk_coverage(evaluations: Sequence[Evaluation]) -> Figure | None:
    """Risk against coverage: what is wrong among the answers, when only the most certain problems are answered."""
    evaluations = [each for each in evaluations if "uncertainty" in each.results]
    if not evaluations:
        return None

    def draw(canvas: Canvas) -> None:
        axis = canvas.subplots()
        for number, evaluation in enumerate(evaluations):
            for style, name in zip(STYLES, ("rao_blackwell", "monte_carlo", "disagreement"), strict=False):
                curve = evaluation.results["uncertainty"][name]["risk_coverage"]
                label = name if len(evaluations) == 1 else f"{evaluation.name}, {name}"
                axis.plot(curve["coverage"], curve["risk"], style, color=COLORS[number % len(COLORS)], label=label)
            axis.axhline(curve["risk"][-1], color=GREY, linestyle=":", linewidth=1)
        axis.set_xlabel("coverage: share of problems answered, the most certain first")
        axis.set_ylabel("risk: share of wrong answers")
        axis.set_ylim(bottom=0)
        axis.legend()

    return _figure("risk_coverage", "Risk and coverage. Dotted: all problems answered.", draw, (6.5, 3.6))


def _figure(name: str, caption: str, draw: Draw, size: tuple[float, float]) -> Figure:
    return draw_figure(name, caption, draw, size, transparent=True)
