"""The figures of a study, as SVG and as PNG: in Okabe and Ito's colours, each with a line style of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seed_grpo.ablation.groups import Group, groups, varying
from seed_grpo.ablation.results import ArmResult, Comparison, Results, p_value, points
from seed_grpo.report.curves import series
from seed_grpo.report.style import BLUE, COLORS, INK, ORANGE, Figure, draw_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

Floats = NDArray[np.float64]

WIDTH = 9.0
STYLES: tuple[Any, ...] = ("--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
"""Of arms; the baseline's line is solid."""
MARKERS = ("o", "s", "^", "D", "v", "P")
LIGHT = "#DDDDDD"


def draw_all(results: Results) -> list[Figure]:
    """Every figure that the runs suffice for."""
    drawn = [
        training_curves(results),
        entropy_accuracy(results),
        weight_distribution(results),
        alpha_effect(results),
        differences(results),
    ]
    return [figure for figure in drawn if figure is not None]


def training_curves(results: Results) -> Figure | None:
    """Accuracy over the steps as in the paper's Fig. 4(f), with the spread over seeds."""
    found = [group for group in groups(results) if any(_validated(each) for each in group.arms)]
    if not found:
        return None
    pens = _pens(results, found)

    def panel(axis: Axes, group: Group) -> None:
        for each in filter(_validated, group.arms):
            step_V, accuracy_SV = _curves(each)
            color, style, _ = pens[group.factor, each.arm.name]
            accuracy_SV = 100 * accuracy_SV
            axis.fill_between(step_V, accuracy_SV.min(axis=0), accuracy_SV.max(axis=0), color=color, alpha=0.13, lw=0)
            axis.plot(step_V, accuracy_SV.mean(axis=0), color=color, linestyle=style, label=each.label, lw=1.6)
        axis.set_xlabel("step")
        axis.legend(loc="lower right", fontsize=8, handlelength=2.6)

    return _panels(
        "training_curves",
        "Validation accuracy over training: mean over seeds, and the range from the lowest to the highest seed.",
        found,
        panel,
        "validation accuracy (%)",
    )


def entropy_accuracy(results: Results) -> Figure | None:
    """Where training goes in the plane of entropy and accuracy."""
    found = [group for group in groups(results) if any(len(_path(each)[0]) > 1 for each in group.arms)]
    if not found:
        return None
    pens = _pens(results, found)

    def panel(axis: Axes, group: Group) -> None:
        for each in group.arms:
            entropy_V, accuracy_V = _path(each)
            if not len(entropy_V):
                continue
            color, style, marker = pens[group.factor, each.arm.name]
            axis.plot(entropy_V, accuracy_V, color=color, linestyle=style, lw=1.3, alpha=0.9)
            axis.plot(entropy_V[:1], accuracy_V[:1], marker, color=color, markerfacecolor="white", markersize=5)
            axis.plot(entropy_V[-1:], accuracy_V[-1:], marker, color=color, markersize=5)
            axis.plot([], [], color=color, linestyle=style, marker=marker, markersize=5, label=each.label)
        axis.set_xlabel("semantic entropy (nats)")
        columns = 2 if max(len(each.label) for each in group.arms) <= 14 else 1
        below = (0.5, -0.22)
        axis.legend(loc="upper center", bbox_to_anchor=below, fontsize=8, handlelength=2.6, ncols=columns)

    return _panels(
        "entropy_accuracy",
        "Semantic entropy of the training prompts against validation accuracy, from the first validation (hollow) to "
        "the last (filled); means over seeds. Entropies of different G and of different estimators are on different "
        "scales.",
        found,
        panel,
        "validation accuracy (%)",
    )


def weight_distribution(results: Results) -> Figure | None:
    """The weights that prompts got, by arm."""
    found = []
    for each in results.arms:
        if each.settings is not None and each.settings.acts:
            prompts = [p for run in each.runs.values() if (p := run.prompts) is not None]
            mixed = np.concatenate([p.weight_N[p.mixed_N] for p in prompts]) if prompts else np.array([])
            if len(mixed):
                found.append((each, mixed, np.concatenate([p.weight_N for p in prompts])))
    if not found:
        return None

    def draw(canvas: Canvas) -> None:
        axis = canvas.subplots()
        top = max(1.0, *(float(all_N.max()) for _, _, all_N in found))
        edges = np.linspace(0, top, 81)
        for row, (_, mixed_N, all_N) in enumerate(found):
            mixed_B, all_B = (np.histogram(weights_N, edges)[0] / len(all_N) for weights_N in (mixed_N, all_N))
            scale = 0.8 / all_B.max()
            axis.axhline(-row, color=INK, lw=0.5, alpha=0.4)
            axis.stairs(-row + mixed_B * scale, edges, baseline=-row, fill=True, color=BLUE, alpha=0.6, lw=0)
            outline_B = np.where(all_B > 0, -row + all_B * scale, np.nan)
            axis.stairs(outline_B, edges, baseline=-row, color=ORANGE, lw=1.0)
            low, middle, high = np.percentile(mixed_N, [5, 50, 95])
            axis.plot([low, high], [-row - 0.06] * 2, color=INK, lw=1.2, solid_capstyle="butt")
            axis.plot([middle], [-row - 0.06], "|", color=INK, markersize=5)
            axis.annotate(
                f"{low:.3f} to {high:.3f}", (1.015, -row + 0.18), xycoords=("axes fraction", "data"), fontsize=8
            )
        axis.set_yticks([-row for row in range(len(found))], [each.label for each, _, _ in found])
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(-len(found) + 0.75, 1.0)
        axis.set_xlim(0, top)
        if top > 1.0:
            axis.axvline(1.0, color=INK, lw=0.8, ls=":")
        axis.grid(axis="y", visible=False)
        axis.spines["left"].set_visible(False)
        axis.set_xlabel("weight of a prompt's advantages")
        axis.annotate("5 to 95 % of mixed", (1.015, 0.98), xycoords="axes fraction", fontsize=8, va="top")
        axis.stairs([], [0], fill=True, color=BLUE, alpha=0.55, label="mixed prompts (right and wrong responses)")
        axis.stairs([], [0], color=ORANGE, label="all prompts")
        canvas.legend(loc="outside upper center", ncols=2)

    return draw_figure(
        "weight_distribution",
        "Weights over all steps and seeds; black: 5th to 95th percentile and median of the mixed prompts, the only "
        "ones for which a weight acts. Each row is scaled to the same height.",
        draw,
        (WIDTH, 1.1 + 0.5 * len(found)),
    )


def alpha_effect(results: Results) -> Figure | None:
    """The difference to the baseline against α."""
    group = varying(results, "alpha")
    by_arm = {each.arm: each for each in results.comparisons if each.paired.mean is not None}
    pairs = [
        (each.settings.alpha, by_arm[each.arm.name])
        for each in (group.arms if group else ())
        if each.settings is not None and each.settings.weighted and each.arm.name in by_arm
    ]
    others = {comparison.against for _, comparison in pairs}
    if len({alpha for alpha, _ in pairs}) < 2 or len(others) > 1:
        return None
    against = results.arm(others.pop()).label

    def draw(canvas: Canvas) -> None:
        axis = canvas.subplots()
        ordered = sorted(pairs, key=lambda pair: pair[0])
        for alpha, comparison in ordered:
            _whisker(axis, comparison, alpha, horizontal=False)
        axis.axhline(0, color=INK, lw=1)
        axis.set_xscale("log")
        alphas = [alpha for alpha, _ in ordered]
        axis.set_xticks(alphas, [f"{alpha:g}" for alpha in alphas])
        axis.set_xticks([], minor=True)
        axis.set_xlim(min(alphas) / 1.6, max(alphas) * 1.6)
        axis.set_xlabel("α (logarithmic)")
        axis.set_ylabel(f"accuracy, difference to {against} (points)")
        axis.grid(axis="x", visible=False)
        _explain(canvas, axis, results)

    return draw_figure(
        "alpha_effect",
        f"The effect of α: accuracy after the last step, minus that of {against} with the same seed.",
        draw,
        (WIDTH, 3.6),
    )


def differences(results: Results) -> Figure | None:
    """All comparisons of the study as a forest plot."""
    found = [each for each in results.comparisons if each.paired.mean is not None]
    if not found:
        return None
    by_other: dict[str, list[Comparison]] = {}
    for each in found:
        by_other.setdefault(each.against, []).append(each)
    heights = [len(each) + 0.6 for each in by_other.values()]

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots(len(by_other), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        for axis, (other, comparisons) in zip(axes, by_other.items(), strict=True):
            for row, each in enumerate(comparisons):
                _whisker(axis, each, -row, horizontal=True)
                text = _numbers(each)
                axis.annotate(text, (1.015, -row), xycoords=("axes fraction", "data"), fontsize=8, va="center")
            axis.axvline(0, color=INK, lw=1)
            labels = [results.arm(each.arm).label for each in comparisons]
            axis.set_yticks([-row for row in range(len(comparisons))], labels)
            axis.tick_params(axis="y", length=0)
            axis.set_ylim(-len(comparisons) + 0.4, 0.6)
            axis.grid(axis="y", visible=False)
            axis.spines["left"].set_visible(False)
            axis.set_title(f"minus {results.arm(other).label}", loc="left")
        axes[-1].set_xlabel("difference of accuracy after the last step (points)")
        _explain(canvas, axes[0], results)

    return draw_figure(
        "differences",
        "Paired differences, same seed: mean, 95 % t interval and bootstrap interval; on the right, p of the t test "
        "after Holm's correction. With few seeds the bootstrap interval is too narrow.",
        draw,
        (WIDTH, 1.3 + 0.36 * sum(heights) + 0.2 * len(heights)),
    )


def _whisker(axis: Axes, each: Comparison, place: float, *, horizontal: bool) -> None:
    """One comparison at a place of the other axis."""
    paired = each.paired
    assert paired.mean is not None

    def line(bounds: Sequence[float], **how: Any) -> None:
        ends = [100 * bound for bound in bounds]
        axis.plot(*((ends, [place] * 2) if horizontal else ([place] * 2, ends)), solid_capstyle="butt", **how)

    def dots(values: Sequence[float], marker: str, **how: Any) -> None:
        scaled = [100 * value for value in values]
        places = [place] * len(scaled)
        axis.plot(*((scaled, places) if horizontal else (places, scaled)), marker, **how)

    if each.visible is not None:
        line((-each.visible, each.visible), color=LIGHT, lw=11, zorder=0.9)
    if paired.t_interval is not None and paired.bootstrap is not None:
        line(paired.t_interval, color=BLUE, lw=1.4, zorder=2)
        line(paired.bootstrap, color=BLUE, lw=3.6, zorder=2)
    dots(paired.differences_S, "o", color=ORANGE, markersize=3, alpha=0.9, zorder=3, markeredgewidth=0)
    dots([paired.mean], "D", color=BLUE, markeredgecolor="white", markersize=6.5, zorder=4)


def _explain(canvas: Canvas, axis: Axes, results: Results) -> None:
    """The legend of `_whisker`."""
    axis.plot([], [], "D", color=BLUE, label="mean")
    axis.plot([], [], color=BLUE, lw=1.4, label="95 % interval, t")
    axis.plot([], [], color=BLUE, lw=3.6, label="95 % interval, bootstrap")
    axis.plot([], [], "o", color=ORANGE, markersize=3, markeredgewidth=0, label="seeds")
    axis.plot([], [], color=LIGHT, lw=9, label="too small to be seen reliably")
    handles, labels = axis.get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside upper center", ncols=5, fontsize=8.5)


def _numbers(each: Comparison) -> str:
    """A row's numbers."""
    assert each.paired.mean is not None
    if each.paired.t_interval is None or each.holm_p is None:
        return f"{points(each.paired.mean)}, no interval"
    low, high = each.paired.t_interval
    p = p_value(each.holm_p)
    return f"{points(each.paired.mean)} ({points(low)} to {points(high)}), p {p if p.startswith('<') else '= ' + p}"


def _pens(results: Results, found: Sequence[Group]) -> dict[tuple[str, str], tuple[str, Any, str]]:
    """Colour, line style and marker of each arm in each group.

    An arm of several groups looks the same in all of them, and the study's baseline has the text's colour.
    """
    names = [each.arm.name for group in found for each in group.arms]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1 and name != results.study.baseline]
    pens: dict[tuple[str, str], tuple[str, Any, str]] = {}
    for group in found:
        free = iter(range(len(repeated), 10**6))
        for each in group.arms:
            name = each.arm.name
            if name == results.study.baseline:
                pens[group.factor, name] = (INK, "-", "X")
            else:
                number = repeated.index(name) if name in repeated else next(free)
                pen = (COLORS[number % len(COLORS)], STYLES[number % len(STYLES)], MARKERS[number % len(MARKERS)])
                pens[group.factor, name] = pen
    return pens


def _validated(each: ArmResult) -> bool:
    return any(run.steps_V for run in each.runs.values())


def _curves(each: ArmResult) -> tuple[NDArray[np.int64], Floats]:
    """(steps, accuracy by seed and step) at the steps that every seed validated."""
    curves = [dict(zip(run.steps_V, run.accuracies_V, strict=True)) for run in each.runs.values()]
    steps = sorted(set.intersection(*(set(curve) for curve in curves)))
    return np.array(steps, dtype=np.int64), np.array([[curve[step] for step in steps] for curve in curves])


def _path(each: ArmResult) -> tuple[Floats, Floats]:
    """(entropy, accuracy in percent) at each validation, means over seeds; the entropy of the steps nearest to it."""
    step_V, accuracy_SV = _curves(each)
    entropy_SV = []
    for run in each.runs.values():
        step_T, entropy_T = series(list(map(dict, run.metrics)), "seed_grpo/entropy")
        if not len(step_T) or not len(step_V):
            return np.array([]), np.array([])
        nearest_T = np.abs(step_T[:, None] - step_V[None, :]).argmin(axis=1)
        entropy_SV.append(
            [entropy_T[nearest_T == v].mean() if (nearest_T == v).any() else np.nan for v in range(len(step_V))]
        )
    entropy_V = np.mean(entropy_SV, axis=0)
    known_V = np.isfinite(entropy_V)
    return entropy_V[known_V], 100 * accuracy_SV.mean(axis=0)[known_V]


def _panels(
    name: str, caption: str, found: Sequence[Group], panel: Callable[[Axes, Group], None], label: str
) -> Figure:
    """A panel for each group, two or three in a row, with one scale of accuracy."""
    columns = min(len(found), 2 if len(found) in (2, 4) else 3)
    rows = -(-len(found) // columns)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots(rows, columns, squeeze=False, sharey=True)
        for axis in axes.flat[len(found) :]:
            axis.set_axis_off()
        for axis, group in zip(axes.flat, found, strict=False):
            panel(axis, group)
            axis.set_title(group.title)
        for axis in axes[:, 0]:
            axis.set_ylabel(label)

    return draw_figure(name, caption, draw, (WIDTH if columns > 1 else 6.0, 3.1 * rows if columns > 1 else 3.8))
