"""Uses of uncertainty: telling right from wrong, leaving problems unanswered, and sampling more where that pays.

Axis N: items; an item is one problem under one seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from seed_grpo.evaluation.metrics import Bools, Floats, Ints, bootstrap_interval, majority
from seed_grpo.method.entropy import group_entropy

LEFT_UNANSWERED = (0, 10, 20, 30, 40, 50)
"""Shares of problems, the most uncertain ones, that are left unanswered; in percent."""

ESTIMATORS = ("monte_carlo", "rao_blackwell", "disagreement")
"""Semantic entropy by the paper's Eq. 5 and Eq. 4 and, for comparison, 1 − the share of the largest cluster."""


def uncertainties(clusters_PK: Ints) -> dict[str, Floats]:
    """Uncertainty of each problem from the clusters of its K samples, by each of `ESTIMATORS`."""
    problems, samples = clusters_PK.shape
    groups_N = np.repeat(np.arange(problems), samples)
    found = {
        estimator: group_entropy(groups_N, clusters_PK.ravel(), estimator=estimator).entropy_P
        for estimator in ("monte_carlo", "rao_blackwell")
    }
    largest_P = np.array([np.bincount(clusters).max() for clusters in clusters_PK])
    return {**found, "disagreement": 1.0 - largest_P / samples}


def auroc(uncertainty_N: Floats, correct_N: Bools) -> float | None:
    """Chance that a wrong item is more uncertain than a right one (ties count half); None if one kind is missing."""
    return _finite(_auroc_rows(uncertainty_N[None], correct_N[None])[0])


def auroc_interval(uncertainty_PS: Floats, correct_PS: Bools, resamples: int = 1_000) -> list[float] | None:
    """95 % percentile interval of the AUROC over resampled problems; a problem keeps all its seeds."""
    if _finite(_auroc_rows(uncertainty_PS.reshape(1, -1), correct_PS.reshape(1, -1))[0]) is None:
        return None
    problems = len(uncertainty_PS)
    random = np.random.default_rng(0)
    scores = []
    for _ in range(0, resamples, 50):  # some at a time, to bound the memory
        chosen_RP = random.integers(0, problems, (50, problems))
        scores.append(_auroc_rows(uncertainty_PS[chosen_RP].reshape(50, -1), correct_PS[chosen_RP].reshape(50, -1)))
    return [float(bound) for bound in np.nanpercentile(np.concatenate(scores), [2.5, 97.5])]


def risk_coverage(uncertainty_N: Floats, correct_N: Bools) -> tuple[Floats, Floats]:
    """(coverage, risk) when the 1, 2, … N least uncertain items are answered; risk is the share of wrong answers.

    Items of equal uncertainty count in every order: each has the mean of its equals.
    """
    _, level_N, size_L = np.unique(uncertainty_N, return_inverse=True, return_counts=True)
    mean_L = np.bincount(level_N, weights=correct_N.astype(float)) / size_L
    accuracy_N = np.cumsum(np.repeat(mean_L, size_L)) / np.arange(1, len(correct_N) + 1)
    return np.arange(1, len(correct_N) + 1) / len(correct_N), 1.0 - accuracy_N


def quality(uncertainty_PS: Floats, correct_PS: Bools) -> dict[str, Any]:
    """AUROC, risk–coverage curve and its area, and accuracy if the most uncertain x % are left unanswered."""
    uncertainty_N, correct_N = uncertainty_PS.ravel(), correct_PS.ravel()
    coverage, risk = risk_coverage(uncertainty_N, correct_N)
    points = np.unique(np.linspace(0, len(risk) - 1, 101).round().astype(int))
    answered = {share: max(1, round(len(risk) * (100 - share) / 100)) for share in LEFT_UNANSWERED}
    return {
        "auroc": auroc(uncertainty_N, correct_N),
        "auroc_interval": auroc_interval(uncertainty_PS, correct_PS),
        "area_under_risk_coverage": float(risk.mean()),
        "accuracy_when_unanswered": {str(share): float(1.0 - risk[n - 1]) for share, n in answered.items()},
        "risk_coverage": {"coverage": coverage[points].tolist(), "risk": risk[points].tolist()},
    }


def adaptive_sampling(
    correct_PK: Bools, clusters_PK: Ints, answered_PK: Bools, orders: int = 20
) -> dict[str, Any] | None:
    """More samples for problems of high entropy, compared with equally many for all, at the same total budget.

    This is simulated on the K samples at hand. Fixed: the majority of b samples per problem. Adaptive: a first round
    of about b / 2 each, and the rest of the P·b samples for the problems of highest entropy (`rao_blackwell`), up to K
    each. The results are means over random orders of the samples; None for K < 4.

    Returns:
        budget (b per problem), first round, the two accuracies, their difference and its interval over problems.
    """
    problems, samples = correct_PK.shape
    if samples < 4:
        return None
    budget = max(3, samples // 2)
    first = max(2, budget // 2)
    random = np.random.default_rng(0)
    rows_P = np.arange(problems)[:, None]
    fixed_P, adaptive_P = np.zeros(problems), np.zeros(problems)
    for _ in range(orders):
        order_PK = random.permuted(np.tile(np.arange(samples), (problems, 1)), axis=1)
        correct, clusters, answered = (
            correct_PK[rows_P, order_PK],
            clusters_PK[rows_P, order_PK],
            answered_PK[rows_P, order_PK],
        )
        entropy_P = uncertainties(clusters[:, :first])["rao_blackwell"]
        given_P = np.full(problems, first)
        left = problems * (budget - first)
        # Ties in a random order, or the first benchmarks of the list would get everything.
        for p in np.lexsort(np.stack([random.random(problems), -entropy_P])):
            more = min(samples - first, left)
            given_P[p] += more
            left -= more
        for p in range(problems):
            fixed_P[p] += _majority_is_correct(correct[p], clusters[p], answered[p], budget)
            adaptive_P[p] += _majority_is_correct(correct[p], clusters[p], answered[p], given_P[p])
    gain_P = (adaptive_P - fixed_P) / orders
    return {
        "budget_per_problem": budget,
        "first_round": first,
        "fixed": float(fixed_P.mean() / orders),
        "adaptive": float(adaptive_P.mean() / orders),
        "gain": float(gain_P.mean()),
        "gain_interval": bootstrap_interval(gain_P),
    }


def _majority_is_correct(correct_K: Bools, clusters_K: Ints, answered_K: Bools, samples: int) -> bool:
    index = majority(clusters_K[:samples].tolist(), answered_K[:samples].tolist())
    return index is not None and bool(correct_K[index])


def _auroc_rows(uncertainty_RN: Floats, correct_RN: Bools) -> Floats:
    """AUROC of each row, by ranks (Mann–Whitney); NaN if a row has only right or only wrong items."""
    from scipy.stats import rankdata

    rank_RN = rankdata(uncertainty_RN, axis=1)
    wrong_R = (~correct_RN).sum(axis=1)
    right_R = correct_RN.sum(axis=1)
    rank_sum_R = np.where(correct_RN, 0.0, rank_RN).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (rank_sum_R - wrong_R * (wrong_R + 1) / 2) / (wrong_R * right_R)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
