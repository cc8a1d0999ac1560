"""Rewards that a group gives itself, by the clusters of its answers; no gold answer is needed.

* `cluster_share`: the share of the group that agrees with a response (EMPO, arXiv 2504.05812);
* `majority`: 1 for the largest cluster, 0 for the others (TTRL, arXiv 2504.16084).

A new one is one function and one line in `LABELS`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from seed_grpo.method import DROPPED
from seed_grpo.method.groups import Bools, Floats, Ints


def cluster_share(cluster_ids_G: Ints, answered_G: Bools) -> Floats:
    """|C(o_i)| / G for each response of one prompt, and 0 for one without an answer. Shape (G,)."""
    counted_G = answered_G & (cluster_ids_G != DROPPED)
    sizes_G = (cluster_ids_G[:, None] == cluster_ids_G[None, :])[:, counted_G].sum(axis=1)
    return np.where(counted_G, sizes_G / len(cluster_ids_G), 0.0)


def majority(cluster_ids_G: Ints, answered_G: Bools) -> Floats:
    """1 for the responses of the largest cluster, 0 for the others. Shape (G,).

    Two clusters of the largest size are no majority, and nothing is rewarded: which of them came first would decide
    otherwise.
    """
    shares_G = cluster_share(cluster_ids_G, answered_G)
    largest_G = (shares_G == shares_G.max()) & (shares_G > 0)
    return np.where(len(np.unique(cluster_ids_G[largest_G])) == 1, largest_G, False).astype(np.float64)


LABELS: dict[str, Callable[[Ints, Bools], Floats]] = {"cluster_share": cluster_share, "majority": majority}
GOLD = "gold"
"""Rewards by the gold answers: no labels of the model's own."""
