"""The prompts of an analysis in one table and one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seed_grpo.meaning.equivalence import LEVELS
from seed_grpo.method.entropy import ESTIMATORS
from seed_grpo.method.weighting import FORMS
from seed_grpo.report.style import BLUE, GREY, ORANGE, draw_png
from seed_grpo.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from rich.table import Table


def summary_table(prompts: pd.DataFrame, method: Settings) -> Table:
    """Means over the prompts, a column per level; entropies also over mixed prompts alone, since only these learn."""
    from rich.table import Table

    mixed = prompts[prompts["mixed"]]
    table = Table(
        title=f"{len(prompts)} prompts, {int(prompts['G'].sum())} responses, "
        f"accuracy {prompts['accuracy'].mean():.3f}, {len(mixed)} mixed, "
        f"{int(prompts['no_answer'].sum())} without an answer"
    )
    table.add_column("", no_wrap=True)
    for level in LEVELS:
        table.add_column(level, justify="right")

    def add(label: str, values: list[str]) -> None:
        table.add_row(label, *values)

    def means(frame: pd.DataFrame, name: str) -> list[str]:
        return [_number(frame[name.format(level=level)].mean()) for level in LEVELS]

    add("clusters per prompt", means(prompts, "clusters_{level}"))
    add("prompts with one cluster", [f"{(prompts[f'clusters_{level}'] == 1).mean():.1%}" for level in LEVELS])
    for estimator in ESTIMATORS:
        add(f"entropy, {estimator}", means(prompts, f"entropy_{estimator}_{{level}}"))
        add("  mixed prompts only", means(mixed, f"entropy_{estimator}_{{level}}"))
        add(
            "  Spearman with accuracy",
            [_number(_rank_correlation(prompts, f"entropy_{estimator}_{level}")) for level in LEVELS],
        )
    add("half-rewarded clusters", [str(int(prompts[f"half_rewarded_{level}"].sum())) for level in LEVELS])
    table.add_section()
    for form in FORMS:
        weight = prompts[f"weight_{form}"]
        for label, value in ((f"weight, {form}", weight.mean()), ("  lowest", weight.min())):
            add(label, [f"{value:.4f}" if level == method.meaning else "" for level in LEVELS])
    table.caption = f"entropy in nats; weights: {method.estimator}, alpha {method.alpha:g}"
    return table


def plot_accuracy(prompts: pd.DataFrame, method: Settings, path: Path) -> Path:
    """Accuracy of each prompt against its entropy, under each estimator, at the method's level."""

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots(1, len(ESTIMATORS), sharey=True)
        for axis, estimator in zip(axes, ESTIMATORS, strict=True):
            _scatter(axis, prompts, f"entropy_{estimator}_{method.meaning}")
            axis.set_title(f"{estimator}, clusters: {method.meaning}")
            axis.set_xlabel("semantic entropy (nats)")
        axes[0].set_ylabel("share of right answers to the prompt")
        axes[0].yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)

    return draw_png(path, draw, (9, 4))


def _scatter(axis: Axes, prompts: pd.DataFrame, column: str) -> None:
    """A disc for each pair of values, its area the number of prompts; and the mean accuracy by entropy."""
    points = prompts.assign(entropy=prompts[column].round(6)).groupby(["entropy", "accuracy"]).size()
    entropy, accuracy = (points.index.get_level_values(name) for name in ("entropy", "accuracy"))
    area = 12 + 600 * points / len(prompts)
    axis.scatter(entropy, accuracy, s=area, color=BLUE, alpha=0.35, linewidth=0, label="prompts (area: their number)")
    order = np.argsort(prompts[column].to_numpy(), kind="stable")
    bins = np.array_split(order, min(8, len(order)))
    centers = [prompts[column].iloc[rows].mean() for rows in bins]
    means = [prompts["accuracy"].iloc[rows].mean() for rows in bins]
    axis.plot(centers, means, "o-", color=ORANGE, markersize=4, label=f"mean of {len(bins)} equal parts, by entropy")
    limit = prompts["max_entropy"].max()
    axis.axvline(limit, color=GREY, linestyle=":", linewidth=1)
    axis.annotate("log G", (limit, 1.02), ha="right", xytext=(-3, 0), textcoords="offset points", color=GREY)
    axis.set_ylim(-0.06, 1.06)


def _rank_correlation(prompts: pd.DataFrame, column: str) -> float:
    """Spearman's correlation; not a number if either side is constant."""
    if prompts[column].nunique() < 2 or prompts["accuracy"].nunique() < 2:
        return float("nan")
    return float(prompts[column].rank().corr(prompts["accuracy"].rank()))


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"
