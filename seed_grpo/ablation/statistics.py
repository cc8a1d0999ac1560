"""The statistics of a study, from numbers alone: paired differences, their intervals and p-values, and power.

Axes: S seeds, K comparisons. Differences are of two arms at the same seed, so that what a seed sets (order of the
data, sampling) cancels. Where few seeds make a number meaningless it is None, never a guess.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from seed_grpo.errors import SeedGrpoError
from seed_grpo.evaluation.metrics import bootstrap_interval

Floats = NDArray[np.float64]
Interval = tuple[float, float]

LEVEL = 0.95
POWER = 0.80
EXACT_SEEDS = 14
"""Up to here all 2^n flips of sign are tried; beyond, `RANDOM_FLIPS` of them."""
RANDOM_FLIPS = 2 ** (EXACT_SEEDS + 1) - 1
MOST_SEEDS = 1_000_000


@dataclass(frozen=True)
class Paired:
    """The differences between two arms, seed by seed.

    Attributes:
        differences_S: arm minus the other, in the unit of the outcome; empty if no seed has both.
        mean, std: of the differences; std with n − 1, None for fewer than two.
        t_interval: the paired t interval; None for fewer than two seeds or a std of 0.
        bootstrap: percentile interval over resampled seeds; None as above.
        t_p, sign_flip_p: two-sided p-values of no difference; t_p None as above.
        sign_flip_floor: the smallest p-value that so many seeds can give, 2 / 2^n.
    """

    differences_S: tuple[float, ...]
    mean: float | None
    std: float | None
    t_interval: Interval | None
    bootstrap: Interval | None
    t_p: float | None
    sign_flip_p: float | None
    sign_flip_floor: float | None

    @property
    def n(self) -> int:
        return len(self.differences_S)

    @property
    def visible(self) -> float | None:
        """The smallest true difference that this many seeds detect with a power of 80 %; None without a spread."""
        return smallest_visible(self.std, self.n) if self.std else None


def compare(arm: Mapping[int, float], other: Mapping[int, float]) -> tuple[Paired, list[int]]:
    """Compare two arms on the seeds that both have.

    Args:
        arm, other: outcome by seed.

    Returns:
        The comparison, and the seeds that only one of the two has.

    Raises:
        SeedGrpoError: an outcome that is not a finite number.
    """
    for seed, value in [*arm.items(), *other.items()]:
        if not math.isfinite(value):
            raise SeedGrpoError(f"The outcome of seed {seed} is {value}.", "leave the run out, or run it again.")
    seeds = sorted(arm.keys() & other.keys())
    return paired(np.array([arm[seed] - other[seed] for seed in seeds])), sorted(arm.keys() ^ other.keys())


def paired(differences_S: ArrayLike) -> Paired:
    """What a set of paired differences says."""
    values_S = np.asarray(differences_S, dtype=np.float64)
    n = len(values_S)
    known = tuple(float(value) for value in values_S)
    if n == 0:
        return Paired(known, None, None, None, None, None, None, None)
    mean = float(values_S.mean())
    if n == 1:
        return Paired(known, mean, None, None, None, None, *sign_flip(values_S))
    std = _std(values_S)
    if std == 0.0:
        return Paired(known, mean, std, None, None, None, *sign_flip(values_S))
    test = stats.ttest_1samp(values_S, 0.0)
    t_low, t_high = (float(bound) for bound in test.confidence_interval(LEVEL))
    low, high = bootstrap_interval(values_S, level=LEVEL)
    return Paired(known, mean, std, (t_low, t_high), (low, high), float(test.pvalue), *sign_flip(values_S))


def sign_flip(differences_S: ArrayLike) -> tuple[float, float]:
    """(p, floor) of the paired permutation test: without an effect, each difference is as likely with either sign.

    Exact up to `EXACT_SEEDS` seeds. The floor is what the most extreme outcome gets: below five seeds it is above 0.1.
    """
    values_S = np.asarray(differences_S, dtype=np.float64)
    n = len(values_S)
    if n < 2:
        return 1.0, 1.0
    exact = n <= EXACT_SEEDS
    scale = float(np.abs(values_S).sum()) or 1.0

    def statistic(flipped: Floats, axis: int) -> Floats:
        # Sums of the same numbers in another order differ by rounding, and are still one outcome.
        return np.round(flipped.sum(axis=axis) / scale, 9)

    test = stats.permutation_test(
        (values_S,),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf if exact else RANDOM_FLIPS,
        rng=np.random.default_rng(0),
    )
    # Two-sided p-values are twice one-sided ones; of random flips, the observed outcome counts as one more.
    return float(test.pvalue), 2.0 / (2.0**n if exact else RANDOM_FLIPS + 1)


def holm(p_K: Sequence[float | None]) -> list[float | None]:
    """Holm's correction over the p-values that there are: the chance of any false finding stays below the level."""
    known = sorted((p, index) for index, p in enumerate(p_K) if p is not None)
    corrected: list[float | None] = [None] * len(p_K)
    highest = 0.0
    for rank, (p, index) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        corrected[index] = highest
    return corrected


def power(effect: float, std: float, n: int) -> float:
    """The chance that a paired t test at 5 % sees a true difference; exact, by the noncentral t distribution.

    Args:
        effect, std: of the paired differences, in one unit.
        n: seeds.
    """
    if n < 2:
        return 0.0
    if std == 0:
        return 1.0 if effect else 0.0
    shift = abs(effect) / std * math.sqrt(n)
    bound = float(stats.t.ppf(0.5 + LEVEL / 2, n - 1))
    # The tail on the wrong side; below 1e-11 from 7 on, where scipy's series for it ends in NaN.
    wrong = float(stats.nct.cdf(-bound, n - 1, shift)) if shift < 7 else 0.0
    return min(1.0, float(stats.nct.sf(bound, n - 1, shift)) + wrong)


def seeds_needed(effect: float, std: float) -> int | None:
    """The fewest seeds that see the difference with a power of 80 %; None for a difference of 0, or past a million."""
    if effect == 0 or power(effect, std, MOST_SEEDS) < POWER:
        return None
    low, high = 1, 2
    while power(effect, std, high) < POWER:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, std, middle) >= POWER else (middle, high)
    return high


def smallest_visible(std: float, n: int) -> float | None:
    """The smallest true difference that n seeds see with a power of 80 %; None for fewer than two seeds."""
    if n < 2:
        return None
    if std == 0:
        return 0.0
    root = optimize.brentq(lambda size: power(size, 1.0, n) - POWER, 1e-9, 100.0, xtol=1e-10)
    return float(root) * std


def std_interval(std: float, n: int) -> Interval | None:
    """The 95 % interval of a standard deviation that n seeds estimate, for normal differences."""
    if n < 2:
        return None
    tails = stats.chi2.ppf([0.5 + LEVEL / 2, 0.5 - LEVEL / 2], n - 1)
    low, high = std * np.sqrt((n - 1) / tails)
    return float(low), float(high)


def share_error(share: float, problems: int) -> float:
    """Half the 95 % interval of an accuracy measured on so many problems, as a share (normal approximation)."""
    return float(stats.norm.ppf(0.5 + LEVEL / 2)) * math.sqrt(max(share * (1 - share), 0.0) / problems)


@cache
def bootstrap_coverage(n: int, studies: int = 2_000, resamples: int = 1_000) -> float:
    """How often the percentile bootstrap's 95 % interval of n seeds holds the truth, by simulation.

    Normal differences with mean 0; fixed seed. At n = 5 it is nearer to 80 % than to 95 %: resampling five numbers
    shows less spread than there is, and knows nothing of the tails.
    """
    random = np.random.default_rng(0)
    weights_RS = random.multinomial(n, [1 / n] * n, size=resamples) / n
    means_MR = random.standard_normal((studies, n)) @ weights_RS.T
    low_M, high_M = np.percentile(means_MR, [50 * (1 - LEVEL), 50 * (1 + LEVEL)], axis=1)
    return float(np.mean((low_M <= 0) & (high_M >= 0)))


def _std(values_S: Floats) -> float:
    """With n − 1; exactly 0 where the values differ by rounding alone."""
    std = float(np.std(values_S, ddof=1))
    return 0.0 if std <= 1e-12 * max(1.0, float(np.abs(values_S).max())) else std
