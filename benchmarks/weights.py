"""Tables and picture of docs/method.md: what each weight does to a prompt, and how far off each estimator is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from seed_grpo.method.advantage import prompt_weights
from seed_grpo.method.entropy import ESTIMATORS, group_entropy
from seed_grpo.method.groups import Floats, Groups
from seed_grpo.method.settings import MethodSettings
from seed_grpo.method.weighting import FORMS, uncertainty_weight
from seed_grpo.method.weights import WEIGHTS

G = 8
SIZES = (4, 8, 16, 64)
GROUPS = 20_000
DISTRIBUTIONS = {
    "2 answers, equally likely": np.full(2, 1 / 2),
    "8 answers, equally likely": np.full(8, 1 / 8),
    "one of 70 %, nine that share the rest": np.array([0.7, *[0.3 / 9] * 9]),
    "32 answers, the k-th as likely as 1/k": 1 / np.arange(1, 33) / np.sum(1 / np.arange(1, 33)),
}

COSTED = ((128, 16), (512, 16), (1024, 64), (4096, 64))
"""Prompts and responses of the batches whose weights are timed."""

app = typer.Typer(add_completion=False)


@app.command()
def main(
    figure: Annotated[Path | None, typer.Option(help="Draw the picture to this file.")] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Only measure what all weights together cost.")] = False,
) -> None:
    """Print the tables of docs/method.md.

    Example: python benchmarks/weights.py --figure docs/images/weights.svg
    """
    if cost:
        print(cost_table(costs(COSTED, repeats=21)))
        return
    print(weight_table())
    print()
    print(split_table())
    print()
    print(bias_table())
    if figure is not None:
        draw(figure)


# ---- weights --------------------------------------------------------------------------------------------------------


def by_success(names: list[str], right: list[int], **settings: Any) -> Floats:
    """The weights of one batch of prompts, one per count of right responses out of G; the wrong responses agree."""
    rewards = [float(row < count) for count in right for row in range(G)]
    groups = Groups.of([prompt for prompt in range(len(right)) for _ in range(G)])
    chosen = MethodSettings(weights=tuple(names), **settings)
    return prompt_weights(rewards, groups, [int(reward) for reward in rewards], chosen).weight_P


def weight_table() -> str:
    """Each weight at three success rates, in a batch of these three prompts."""
    lines = ["| weight | r̄ = 1/8 | r̄ = 4/8 | r̄ = 7/8 |", "| --- | --- | --- | --- |"]
    for name in WEIGHTS:
        cells = " | ".join(f"{value:.3f}" for value in by_success([name], [1, 4, 7], alpha=1.0))
        lines.append(f"| `{name}`{' at α = 1' if name == 'uncertainty' else ''} | {cells} |")
    return "\n".join(lines)


def split_table() -> str:
    """Entropy over log G, and the paper's weight, of groups of 8 that split in several ways."""
    splits = {"8": [8], "7–1": [7, 1], "4–4": [4, 4], "6–1–1": [6, 1, 1], "all different": [1] * 8}
    lines = [f"| estimator | {' | '.join(splits)} |", f"| --- |{' --- |' * len(splits)}"]
    for estimator in ESTIMATORS:
        cells = []
        for sizes in splits.values():
            found = group_entropy([0] * G, np.repeat(np.arange(len(sizes)), sizes), estimator=estimator)
            share = float(found.entropy_P[0] / found.max_entropy_P[0])
            weight = float(uncertainty_weight(found.entropy_P, found.max_entropy_P, alpha=1.0)[0])
            cells.append(f"{share:.3f} → {weight:.3f}")
        lines.append(f"| `{estimator}` | {' | '.join(cells)} |")
    return "\n".join(lines)


# ---- estimators -----------------------------------------------------------------------------------------------------


def bias(estimator: str, masses: Floats, size: int) -> float:
    """The mean error of an estimator over random groups, in nats, against the entropy of the distribution."""
    ids = np.random.default_rng(0).choice(len(masses), size=(GROUPS, size), p=masses)
    found = group_entropy(np.repeat(np.arange(GROUPS), size), ids.ravel(), estimator=estimator).entropy_P
    return float(found.mean() + (masses * np.log(masses)).sum())


def bias_table() -> str:
    """The bias of each estimator by distribution and group size."""
    lines = [
        f"| answers | entropy | estimator | {' | '.join(f'G = {size}' for size in SIZES)} |",
        f"| --- | --- | --- |{' --- |' * len(SIZES)}",
    ]
    for name, masses in DISTRIBUTIONS.items():
        entropy = -float((masses * np.log(masses)).sum())
        for estimator in ESTIMATORS:
            cells = " | ".join(f"{bias(estimator, masses, size):+.2f}".replace("-", "−") for size in SIZES)
            lines.append(f"| {name} | {entropy:.2f} | `{estimator}` | {cells} |")
    return "\n".join(lines)


# ---- the picture ----------------------------------------------------------------------------------------------------


def draw(path: Path) -> None:
    """Weight against success rate, and against entropy."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {"svg.hashsalt": "seed-grpo", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    counts = list(range(1, G))
    for name in WEIGHTS:
        label = "uncertainty (α = 1, Eq. 5)" if name == "uncertainty" else name
        left.plot([count / G for count in counts], by_success([name], counts, alpha=1.0), marker="o", ms=3, label=label)
    left.set_yscale("log")
    left.set_yticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
    left.minorticks_off()
    left.set_xticks([count / G for count in counts], [f"{count}/8" for count in counts])
    left.set_xlabel("success rate of the group")
    left.set_ylabel("weight")
    left.legend(fontsize=7, frameon=False, ncols=2)
    shares = np.linspace(0, 1, 101)
    for form in FORMS:
        right.plot(shares, uncertainty_weight(shares, np.ones(101), alpha=0.5, form=form), label=f"{form} (α = 0.5)")
    right.axhline(1.0, color="0.7", lw=1, ls=":", label="all other weights: no effect")
    right.set_xlabel("semantic entropy / log G")
    right.set_ylabel("weight relative to a certain prompt's")
    right.legend(fontsize=7, frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


# ---- cost -----------------------------------------------------------------------------------------------------------


def costs(sizes: tuple[tuple[int, int], ...], repeats: int) -> list[tuple[int, int, float, float]]:
    """Seconds for the paper's weight alone, and for all weights of the registry together, of a batch in memory.

    Args:
        sizes: prompts and responses per prompt of each batch.
        repeats: how often each of the two is timed; they take turns.

    Returns:
        Prompts, responses, and the medians of the two.
    """
    random = np.random.default_rng(0)
    found = []
    for prompts, responses in sizes:
        rewards = (random.random(prompts * responses) < 0.5).astype(float)
        ids = random.integers(0, 8, prompts * responses)
        groups = Groups.of(np.repeat(np.arange(prompts), responses).tolist())
        seconds: dict[str, list[float]] = {"one": [], "all": []}
        for _ in range(repeats):
            for name, settings in (("one", MethodSettings()), ("all", MethodSettings(weights=tuple(WEIGHTS)))):
                start = time.perf_counter()
                prompt_weights(rewards, groups, ids, settings)
                seconds[name].append(time.perf_counter() - start)
        found.append((prompts, responses, float(np.median(seconds["one"])), float(np.median(seconds["all"]))))
    return found


def cost_table(found: list[tuple[int, int, float, float]]) -> str:
    """The costs, and the growth of what the other weights add: 1 is linear in the number of responses."""
    added = [all_ - one for _, _, one, all_ in found]
    sizes = [prompts * responses for prompts, responses, _, _ in found]
    slope = float(np.polyfit(np.log(sizes), np.log(np.maximum(added, 1e-7)), 1)[0])
    lines = ["| prompts × responses | uncertainty alone | all weights | added |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {prompts} × {responses} | {1000 * one:.2f} ms | {1000 * all_:.2f} ms | {1000 * (all_ - one):.2f} ms |"
        for prompts, responses, one, all_ in found
    ]
    return "\n".join([*lines, "", f"What is added grows with the number of responses to the power of {slope:.2f}."])


if __name__ == "__main__":
    app()
