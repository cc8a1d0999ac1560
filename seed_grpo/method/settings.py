"""The method's own settings; `seed_grpo.settings` joins them with the settings of meaning."""

from __future__ import annotations

from dataclasses import dataclass

from seed_grpo.errors import UsageError
from seed_grpo.method.entropy import ESTIMATORS, MASSES, lookup
from seed_grpo.method.weighting import check_weighting


@dataclass(frozen=True)
class MethodSettings:
    """What SEED-GRPO leaves to choose between clusters and advantages; the defaults are the paper's.

    Attributes:
        alpha: strength of the uncertainty, in [0, 1] (Eq. 6; Table 4b); 0 gives every prompt the weight 1.
        form: form of f (`seed_grpo.method.weighting.FORMS`; Table 4c).
        gamma: exponent of the form `focal`.
        estimator: semantic entropy from cluster masses (`seed_grpo.method.entropy.ESTIMATORS`; Eq. 4 and 5).
        mass: cluster mass (`seed_grpo.method.entropy.MASSES`).
        length_normalize: with `likelihood`, a response counts by its mean token log-probability, else by the sum.
    """

    alpha: float = 0.02
    form: str = "linear"
    gamma: float = 2.0
    estimator: str = "monte_carlo"
    mass: str = "count"
    length_normalize: bool = True

    def __post_init__(self) -> None:
        check_weighting(self.alpha, self.form, self.gamma)
        lookup(ESTIMATORS, self.estimator, "estimator")
        lookup(MASSES, self.mass, "mass")
        if not isinstance(self.length_normalize, bool):
            raise UsageError(f"length_normalize is {self.length_normalize!r}.", "give true or false.")
