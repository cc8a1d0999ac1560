"""The numbers of an evaluation, from arrays. Axes: S seeds, P problems, K samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

RESAMPLES = 10_000
NUMBERS_AT_A_TIME = 5_000_000
"""In the bootstrap, so that its memory stays below 100 MB or so."""


def pass_at_k(correct_PK: Bools, k: int) -> float:
    """Chance that one of k samples is correct, without bias (Chen et al. 2021): the mean of 1 − C(n−c, k) / C(n, k).

    Args:
        correct_PK: whether each of n samples is correct, shape (problems, n).
        k: at most n.
    """
    n = correct_PK.shape[1]
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} needs at least {k} samples, and there are {n}")
    wrong_P = n - correct_PK.sum(axis=1)
    # C(w, k) / C(n, k) as a product, so that nothing overflows; 0 if fewer than k are wrong.
    factors_Pk = (wrong_P[:, None] - np.arange(k)) / (n - np.arange(k))
    return float(np.mean(1.0 - np.prod(np.maximum(factors_Pk, 0.0), axis=1)))


def majority(clusters_K: Sequence[int], answered_K: Sequence[bool]) -> int | None:
    """Index of the first sample of the largest cluster; None if no sample has an answer.

    Samples without an answer do not vote. Of clusters of equal size, the one that appeared first wins.
    """
    votes: dict[int, list[int]] = {}
    for index, (cluster, answered) in enumerate(zip(clusters_K, answered_K, strict=True)):
        if answered:
            votes.setdefault(cluster, []).append(index)
    return max(votes.values(), key=len)[0] if votes else None


def majority_correct(correct_PK: Bools, clusters_PK: Ints, answered_PK: Bools) -> Bools:
    """Whether the majority's answer is correct, shape (problems,)."""
    chosen = [majority(*rows) for rows in zip(clusters_PK.tolist(), answered_PK.tolist(), strict=True)]
    return np.array([index is not None and correct_PK[p, index] for p, index in enumerate(chosen)], dtype=bool)


def bootstrap_interval(values_P: Floats, *, level: float = 0.95, resamples: int = RESAMPLES) -> list[float]:
    """Percentile interval of the mean, over resampled problems. The same input gives the same numbers."""
    from scipy import stats

    if len(values_P) < 2:
        return [float(np.mean(values_P))] * 2
    found = stats.bootstrap(
        (values_P,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, min(resamples, NUMBERS_AT_A_TIME // len(values_P))),
        vectorized=True,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return [float(bound) for bound in found.confidence_interval]


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and standard deviation (n − 1) of a number over seeds; no deviation from one seed."""
    return {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1)) if len(values) > 1 else None}
