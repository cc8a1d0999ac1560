"""Weights of prompts: from what is known of a prompt to w(q) ≥ 0, by which its advantages are multiplied.

SEED-GRPO, GRPO, MaxRL, DGPO and MGPO are one family, Â_i = (r_i − r̄) · Π_j w_j(q). Each weight is a function of
`PromptStatistics` and of parameters of its own; docs/method.md puts them side by side. A new one is one function and
one line in `WEIGHTS`.

Weights that divide by the spread of the rewards are 0 where there is none: the advantages are 0 there as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.method.entropy import lookup
from seed_grpo.method.groups import Floats
from seed_grpo.method.statistics import PromptStatistics
from seed_grpo.method.weighting import FORMS, check_weighting, is_number, share_of_maximum, uncertainty_weight

# ---- parameters -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoParameters:
    """A weight that leaves nothing to choose."""


@dataclass(frozen=True)
class Uncertainty:
    """alpha, form and gamma of `uncertainty_weight`; among the settings they stand by themselves."""

    alpha: float = 0.02
    form: str = "linear"
    gamma: float = 2.0

    def __post_init__(self) -> None:
        check_weighting(self.alpha, self.form, self.gamma)


@dataclass(frozen=True)
class Difficulty:
    """temperature: of the softmax over the prompts; the smaller, the more the hardest prompts count."""

    temperature: float = 2.0

    def __post_init__(self) -> None:
        if not is_number(self.temperature) or self.temperature <= 0.0:
            raise UsageError(f"temperature is {self.temperature!r}.", "give a number above 0.")


@dataclass(frozen=True)
class TargetRate:
    """target: the success rate with the highest weight, between 0 and 1. strength: how fast the weight falls (λ)."""

    target: float = 0.5
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not is_number(self.target) or not 0.0 < self.target < 1.0:
            raise UsageError(f"target is {self.target!r}.", "give a number between 0 and 1, such as 0.5.")
        if not is_number(self.strength) or self.strength < 0.0:
            raise UsageError(f"strength is {self.strength!r}.", "give a number of at least 0, such as 1.")


@dataclass(frozen=True)
class EntropyBand:
    """low, high: the entropies, as shares of log G, between which a prompt takes part."""

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not is_number(self.low) or not is_number(self.high) or not 0.0 <= self.low < self.high <= 1.0:
            raise UsageError(
                f"low is {self.low!r} and high {self.high!r}.", "give two shares of log G, 0 <= low < high <= 1."
            )


# ---- weights --------------------------------------------------------------------------------------------------------


def none(prompts: PromptStatistics, _: NoParameters) -> Floats:
    """1: Dr.GRPO (2503.20783)."""
    return np.ones(len(prompts.size_P))


def uncertainty(prompts: PromptStatistics, chosen: Uncertainty) -> Floats:
    """f(α · SE / log G): SEED-GRPO (2505.12346, Eq. 6)."""
    return uncertainty_weight(
        prompts.entropy.entropy_P,
        prompts.entropy.max_entropy_P,
        alpha=chosen.alpha,
        form=chosen.form,
        gamma=chosen.gamma,
    )


def inverse_std(prompts: PromptStatistics, _: NoParameters) -> Floats:
    """1 / (σ + 1e-6), with verl's constant: GRPO (2402.03300)."""
    return np.where(prompts.mixed_P, 1.0 / (prompts.std_P + 1e-6), 0.0)


def inverse_mean(prompts: PromptStatistics, _: NoParameters) -> Floats:
    """1 / r̄, and 0 where nothing is right: MaxRL (2602.02710), which is derived for rewards of 0 and 1 alone."""
    rewards_N = prompts.rewards_N
    wrong_N = (rewards_N != 0.0) & (rewards_N != 1.0)
    if wrong_N.any():
        raise SeedGrpoError(
            f"The weight inverse_mean met a reward of {rewards_N[wrong_N][0]:g}: it is made for rewards of 0 and 1.",
            "use a reward of 0 or 1, or another weight, such as inverse_mad.",
        )
    return np.divide(1.0, prompts.mean_P, out=np.zeros_like(prompts.mean_P), where=prompts.mean_P > 0)


def inverse_mad(prompts: PromptStatistics, _: NoParameters) -> Floats:
    """G / (Σ |r_i − r̄| + 1e-4), with the constant of its authors' code: DGPO (2601.20614), first of its two parts."""
    return np.where(prompts.mixed_P, prompts.size_P / (prompts.mad_P * prompts.size_P + 1e-4), 0.0)


def difficulty(prompts: PromptStatistics, chosen: Difficulty) -> Floats:
    """n · softmax(−r̄ / T) over the n mixed prompts of the batch, so that their mean weight is 1: DGPO's second part."""
    mixed_P = prompts.mixed_P
    weight_P = np.zeros(len(mixed_P))
    if mixed_P.any():
        scores = -prompts.mean_P[mixed_P] / chosen.temperature
        scores = np.exp(scores - scores.max())
        weight_P[mixed_P] = mixed_P.sum() * scores / scores.sum()
    return weight_P


def target_rate(prompts: PromptStatistics, chosen: TargetRate) -> Floats:
    """exp(−λ · KL(Bernoulli(r̄) ‖ Bernoulli(p₀))), highest where r̄ = p₀: MGPO (2511.06221)."""
    rate_P, target = _rates("target_rate", prompts), chosen.target
    divergence_P = _x_log(rate_P, rate_P / target) + _x_log(1.0 - rate_P, (1.0 - rate_P) / (1.0 - target))
    return np.exp(-chosen.strength * divergence_P)


def learnability(prompts: PromptStatistics, _: NoParameters) -> Floats:
    """4 · r̄ · (1 − r̄): the variance of a reward of 0 or 1, as a share of the largest."""
    rate_P = _rates("learnability", prompts)
    return 4.0 * rate_P * (1.0 - rate_P)


def entropy_band(prompts: PromptStatistics, chosen: EntropyBand) -> Floats:
    """1 where low ≤ SE / log G ≤ high, else 0: EMPO's filter (2504.05812)."""
    share_P = share_of_maximum(prompts.entropy.entropy_P, prompts.entropy.max_entropy_P)
    return ((share_P >= chosen.low - 1e-9) & (share_P <= chosen.high + 1e-9)).astype(np.float64)


def _rates(name: str, prompts: PromptStatistics) -> Floats:
    """The mean rewards as success rates."""
    outside_N = (prompts.rewards_N < 0.0) | (prompts.rewards_N > 1.0)
    if outside_N.any():
        raise SeedGrpoError(
            f"The weight {name} met a reward of {prompts.rewards_N[outside_N][0]:g}: it takes means for success rates.",
            "use rewards from 0 to 1, or another weight, such as inverse_mad.",
        )
    return np.clip(prompts.mean_P, 0.0, 1.0)


def _x_log(x: Floats, y: Floats) -> Floats:
    """x · log y, and 0 at x = 0."""
    return x * np.log(np.where(x > 0, y, 1.0))


# ---- the registry ---------------------------------------------------------------------------------------------------


class PromptWeight(NamedTuple):
    """A weight.

    Attributes:
        of: from the statistics of P prompts and the parameters to the weights, shape (P,).
        parameters: the dataclass of its parameters.
        exceeds_one: whether it can be above 1.
    """

    of: Callable[[PromptStatistics, Any], Floats]
    parameters: type = NoParameters
    exceeds_one: bool = False


WEIGHTS = {
    "none": PromptWeight(none),
    "uncertainty": PromptWeight(uncertainty, Uncertainty),
    "inverse_std": PromptWeight(inverse_std, exceeds_one=True),
    "inverse_mean": PromptWeight(inverse_mean, exceeds_one=True),
    "inverse_mad": PromptWeight(inverse_mad, exceeds_one=True),
    "difficulty": PromptWeight(difficulty, Difficulty, exceeds_one=True),
    "target_rate": PromptWeight(target_rate, TargetRate),
    "learnability": PromptWeight(learnability),
    "entropy_band": PromptWeight(entropy_band, EntropyBand),
}


def default_parameters() -> dict[str, dict[str, Any]]:
    """The parameters of all weights, but for those of `uncertainty`, which are settings of their own."""
    return {
        name: asdict(weight.parameters())
        for name, weight in WEIGHTS.items()
        if name != "uncertainty" and fields(weight.parameters)
    }


def check_names(names: tuple[str, ...]) -> None:
    """Raise a `UsageError` for no weight at all, an unknown one, or one that is named twice."""
    if not names:
        raise UsageError("weights is empty.", f"name one or more of {', '.join(WEIGHTS)}; none gives all prompts 1.")
    for name in names:
        lookup(WEIGHTS, name, "weight")
        if names.count(name) > 1:
            raise UsageError(f"The weight {name} is named twice.", "name each weight once.")


def read_parameters(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The parameters of each weight as its dataclass; what `values` leaves out has its default.

    Raises:
        UsageError: a weight or a parameter that does not exist, or a value out of range.
    """
    known = default_parameters()
    for name, given in values.items():
        if name not in known:
            raise UsageError(
                f"weight_parameters.{name} does not exist.",
                f"there are {', '.join(known)}; alpha, form and gamma of uncertainty are settings of their own.",
            )
        if not isinstance(given, Mapping):
            raise UsageError(f"weight_parameters.{name} is {given!r}.", f"give {', '.join(known[name])} by name.")
        for parameter in given:
            if parameter not in known[name]:
                raise UsageError(
                    f"weight_parameters.{name}.{parameter} does not exist.", f"there are {', '.join(known[name])}."
                )
    return {name: WEIGHTS[name].parameters(**{**known[name], **values.get(name, {})}) for name in known}


def may_exceed_one(names: tuple[str, ...], form: str) -> bool:
    """Whether a prompt can count for more than it does in Dr.GRPO."""
    return any(WEIGHTS[name].exceeds_one or (name == "uncertainty" and FORMS[form].rises) for name in names)


def product(weight_by_name: Mapping[str, Floats]) -> Floats:
    """The weights of each prompt multiplied, shape (P,)."""
    return np.asarray(math.prod(weight_by_name.values()), dtype=np.float64)
