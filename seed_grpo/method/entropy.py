"""Semantic entropy of groups of responses, from the clusters that their answers fall into (paper, Eq. 4 and 5).

The functions work on a whole batch of prompts at once, with groups of any size. Axes: N responses in the batch,
P prompts (groups), C clusters over all prompts. Everything is in nats.

Two choices are open, and each is a registry of small functions:

* `MASSES`: how much probability p(C_k) a cluster holds (`count`, `likelihood`);
* `ESTIMATORS`: how the masses of a prompt become its entropy (`monte_carlo`, `rao_blackwell`, `chao_shen`).

A new one is one function and one line in its registry.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.method import DROPPED
from seed_grpo.method.groups import Floats, Groups, Ints


@dataclass(frozen=True)
class Clusters:
    """The clusters of a batch of prompts.

    Attributes:
        cluster_N: for each counted response, the index of its cluster, 0..C-1.
        prompt_C: for each cluster, the index of its prompt, 0..P-1.
        size_C: for each cluster, its number of responses.
        count_P: for each prompt, its number of counted responses (G).
    """

    cluster_N: Ints
    prompt_C: Ints
    size_C: Ints
    count_P: Ints

    def coverage_P(self) -> Floats:
        """C = 1 − f₁/G: the share of the answer distribution that the observed clusters hold, as Good and Turing
        estimate it from f₁, the number of clusters of one response. A group of nothing but such clusters counts as one
        of G − 1 (Chao & Shen 2003). Shape (P,)."""
        single_P = np.bincount(self.prompt_C, weights=self.size_C == 1, minlength=len(self.count_P))
        single_P = np.where(single_P == self.count_P, np.maximum(single_P - 1, 0), single_P)
        return 1.0 - single_P / np.maximum(self.count_P, 1)


def count_masses(clusters: Clusters, log_probs_N: Floats | None) -> Floats:
    """log p(C_k) with p(C_k) = |C_k| / G. Returns shape (C,)."""
    return np.log(clusters.size_C / clusters.count_P[clusters.prompt_C])


def likelihood_masses(clusters: Clusters, log_probs_N: Floats | None) -> Floats:
    """log p(C_k) with p(C_k) = the policy probabilities of its responses, normalised over the group's responses.

    A log-softmax: log-probabilities of any size give finite masses (Farquhar et al. 2024 normalise likewise).
    `log_probs_N` holds one number per response, the mean or the sum of its token log-probabilities. Returns shape (C,).
    """
    if log_probs_N is None:
        raise UsageError(
            "The cluster mass `likelihood` needs the log-probability of each response.",
            "pass log_probs, one number per response, or choose mass='count'.",
        )
    log_mass_C = _grouped_log_sum_exp(log_probs_N, clusters.cluster_N, len(clusters.prompt_C))
    log_total_P = _grouped_log_sum_exp(log_mass_C, clusters.prompt_C, len(clusters.count_P))
    return np.minimum(log_mass_C - log_total_P[clusters.prompt_C], 0.0)


def monte_carlo(log_mass_C: Floats, clusters: Clusters) -> Floats:
    """−(1/K) Σ_k log p(C_k): the paper's Eq. 5 (Kuhn et al. 2023). Returns shape (P,).

    With `count` it lies in [0, log G]. It ranks a 7–1 split above a 4–4 split, which `rao_blackwell` does not.
    """
    clusters_P = np.bincount(clusters.prompt_C, minlength=len(clusters.count_P))
    total_P = np.bincount(clusters.prompt_C, weights=log_mass_C, minlength=len(clusters.count_P))
    return -total_P / np.maximum(clusters_P, 1)


def rao_blackwell(log_mass_C: Floats, clusters: Clusters) -> Floats:
    """−Σ_k p(C_k) log p(C_k): the paper's Eq. 4 over the observed clusters (Farquhar et al. 2024). Shape (P,)."""
    terms_C = np.exp(log_mass_C) * log_mass_C
    return np.bincount(clusters.prompt_C, weights=-terms_C, minlength=len(clusters.count_P)).astype(np.float64)


def chao_shen(log_mass_C: Floats, clusters: Clusters) -> Floats:
    """−Σ_k p̃_k log p̃_k / (1 − (1 − p̃_k)^G) with p̃ = C · p: corrected for answers that were not seen (Chao & Shen 2003).

    The plug-in entropy of Eq. 4 is too low at small G (arXiv 2509.14478); this one can exceed log G. Shape (P,).
    """
    mass_C = np.exp(log_mass_C) * clusters.coverage_P()[clusters.prompt_C]
    seen_C = 1.0 - (1.0 - mass_C) ** clusters.count_P[clusters.prompt_C]
    terms_C = np.divide(
        mass_C * np.log(np.maximum(mass_C, 1e-300)), seen_C, out=np.zeros_like(mass_C), where=seen_C > 0
    )
    return np.bincount(clusters.prompt_C, weights=-terms_C, minlength=len(clusters.count_P)).astype(np.float64)


MASSES: dict[str, Callable[[Clusters, Floats | None], Floats]] = {
    "count": count_masses,
    "likelihood": likelihood_masses,
}
ESTIMATORS: dict[str, Callable[[Floats, Clusters], Floats]] = {
    "monte_carlo": monte_carlo,
    "rao_blackwell": rao_blackwell,
    "chao_shen": chao_shen,
}


@dataclass(frozen=True)
class GroupEntropy:
    """Entropy of each prompt of a batch.

    Attributes:
        counted_P: responses that took part in the entropy (fewer than G only if some are `DROPPED`).
        clusters_P: number of clusters (K).
        entropy_P: semantic entropy, nats.
        max_entropy_P: log of `counted_P`, nats (0 for a prompt none of whose responses counted).
        expected_clusters_P: K / C, the clusters that the answer distribution has, seen or not, as far as the coverage
            of the observed ones tells (Good–Turing).
        largest_share_P: the share of the counted responses in the largest cluster; 0 where none counted.
    """

    counted_P: Ints
    clusters_P: Ints
    entropy_P: Floats
    max_entropy_P: Floats
    expected_clusters_P: Floats
    largest_share_P: Floats


def group_entropy(
    groups: Groups | Sequence[Hashable] | NDArray[np.generic],
    cluster_ids: ArrayLike,
    *,
    log_probs: ArrayLike | None = None,
    estimator: str = "monte_carlo",
    mass: str = "count",
) -> GroupEntropy:
    """Semantic entropy of every prompt of a batch.

    Args:
        groups: the batch's groups, or the prompt of each response as `Groups.of` takes them.
        cluster_ids: the cluster of each response within its prompt, integers, shape (N,); `DROPPED` leaves a
            response out of the entropy.
        log_probs: one log-probability per response, shape (N,); only for `mass="likelihood"`.
        estimator: a key of `ESTIMATORS`.
        mass: a key of `MASSES`.

    Raises:
        UsageError: an unknown estimator or mass, arrays of different length, ids that are not integers.
        SeedGrpoError: an empty batch, or log-probabilities that are not finite.
    """
    mass_of = lookup(MASSES, mass, "mass")
    estimate = lookup(ESTIMATORS, estimator, "estimator")
    groups = groups if isinstance(groups, Groups) else Groups.of(groups)
    prompt_N, prompts = groups.prompt_N, len(groups.ids)
    cluster_ids_N = _as_cluster_ids(cluster_ids, len(prompt_N))
    log_probs_N = _as_log_probs(log_probs, len(prompt_N))

    counted_N = cluster_ids_N != DROPPED
    counted_P = np.bincount(prompt_N[counted_N], minlength=prompts)
    clusters = _build_clusters(prompt_N[counted_N], cluster_ids_N[counted_N], counted_P)
    log_mass_C = mass_of(clusters, None if log_probs_N is None else log_probs_N[counted_N])
    # Rounding must not leave a minus sign on a zero; one cluster is certainty by definition.
    clusters_P = np.bincount(clusters.prompt_C, minlength=prompts)
    entropy_P = np.where(clusters_P <= 1, 0.0, np.maximum(estimate(log_mass_C, clusters), 0.0))
    largest_P = np.zeros(prompts)
    np.maximum.at(largest_P, clusters.prompt_C, clusters.size_C / np.maximum(counted_P, 1)[clusters.prompt_C])
    return GroupEntropy(
        counted_P,
        clusters_P,
        entropy_P,
        np.log(np.maximum(counted_P, 1)),
        clusters_P / clusters.coverage_P(),
        largest_P,
    )


def semantic_entropy(
    cluster_ids: ArrayLike,
    *,
    log_probs: ArrayLike | None = None,
    estimator: str = "monte_carlo",
    mass: str = "count",
) -> float:
    """Semantic entropy of one prompt's responses, in nats (paper, Eq. 4 and 5).

    Args:
        cluster_ids: the cluster of each of the G responses, integers, shape (G,).
        log_probs: one log-probability per response (mean or sum over its tokens), shape (G,); for `mass="likelihood"`.
        estimator: `monte_carlo` (Eq. 5), `rao_blackwell` (Eq. 4 over the observed clusters) or `chao_shen` (Eq. 4,
            corrected for answers that were not seen).
        mass: `count` or `likelihood`.

    Returns:
        The entropy; 0 for a single response or a single cluster. With `mass="count"` it is at most log G, but for
        `chao_shen`.

    Raises:
        UsageError, SeedGrpoError: as `group_entropy`; an empty group is an error.
    """
    ids_G = np.asarray(cluster_ids)
    entropy = group_entropy(
        np.zeros(ids_G.shape[:1], dtype=np.int64), ids_G, log_probs=log_probs, estimator=estimator, mass=mass
    )
    return float(entropy.entropy_P[0])


def lookup(registry: dict, name: str, what: str) -> Callable:
    """The function registered under `name`; a `UsageError` names the choices."""
    try:
        return registry[name]
    except (KeyError, TypeError):
        raise UsageError(f"Unknown {what} {name!r}.", f"choose one of {', '.join(registry)}.") from None


def _as_cluster_ids(cluster_ids: ArrayLike, rows: int) -> Ints:
    ids_N = np.asarray(cluster_ids)
    if ids_N.shape != (rows,):
        raise UsageError(f"cluster_ids has shape {ids_N.shape}.", f"give one id per response, shape ({rows},).")
    if ids_N.dtype.kind not in "iu" or (ids_N < DROPPED).any():
        raise UsageError(
            "cluster_ids must be integers, 0 or above (−1 for a dropped response).", "number the clusters."
        )
    return ids_N.astype(np.int64)


def _as_log_probs(log_probs: ArrayLike | None, rows: int) -> Floats | None:
    if log_probs is None:
        return None
    log_probs_N = np.asarray(log_probs, dtype=np.float64)
    if log_probs_N.shape != (rows,):
        raise UsageError(f"log_probs has shape {log_probs_N.shape}.", f"give one number per response, shape ({rows},).")
    if not np.isfinite(log_probs_N).all():
        row = int(np.flatnonzero(~np.isfinite(log_probs_N))[0])
        raise SeedGrpoError(
            f"log_probs[{row}] is {log_probs_N[row]}.", "every log-probability must be a finite number."
        )
    return log_probs_N


def _build_clusters(prompt_N: Ints, cluster_ids_N: Ints, counted_P: Ints) -> Clusters:
    if not len(prompt_N):
        empty = np.zeros(0, dtype=np.int64)
        return Clusters(cluster_N=empty, prompt_C=empty, size_C=empty, count_P=counted_P)
    # A pair (prompt, cluster id) as one integer; ids may be large, so they are numbered first.
    _, dense_N = np.unique(cluster_ids_N, return_inverse=True)
    pairs_N = prompt_N * (int(dense_N.max()) + 1) + dense_N
    pairs_C, cluster_N, size_C = np.unique(pairs_N, return_inverse=True, return_counts=True)
    return Clusters(cluster_N=cluster_N, prompt_C=pairs_C // (int(dense_N.max()) + 1), size_C=size_C, count_P=counted_P)


def _grouped_log_sum_exp(values: Floats, group: Ints, groups: int) -> Floats:
    """log Σ exp(values) within each group; −inf for an empty group."""
    top = np.full(groups, -np.inf)
    np.maximum.at(top, group, values)
    with np.errstate(divide="ignore"):
        return top + np.log(np.bincount(group, weights=np.exp(values - top[group]), minlength=groups))
