"""The method's settings: one dataclass, the `seed_grpo:` node of the Hydra config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from typing import Any

from seed_grpo.errors import UsageError
from seed_grpo.method.entropy import ESTIMATORS, MASSES, lookup
from seed_grpo.method.weighting import check_weighting

CLUSTER_LEVELS = ("exact", "normalized", "symbolic")
NO_ANSWER_RULES = ("singleton", "shared", "drop")


@dataclass(frozen=True)
class MethodSettings:
    """What SEED-GRPO leaves to choose; the defaults are the paper's.

    Attributes:
        enabled: False gives every prompt the weight 1.
        alpha: strength of the uncertainty, in [0, 1] (Eq. 6; Table 4b).
        form: form of f (`seed_grpo.method.weighting.FORMS`; Table 4c).
        gamma: exponent of the form `focal`.
        estimator: semantic entropy from cluster masses (`seed_grpo.method.entropy.ESTIMATORS`; Eq. 4 and 5).
        mass: cluster mass (`seed_grpo.method.entropy.MASSES`).
        length_normalize: with `likelihood`, a response counts by its mean token log-probability, else by the sum.
        cluster_level: when two answers are the same: `exact`, `normalized` or `symbolic`.
        no_answer: a response without an answer is a cluster of its own (`singleton`), shares one with the others
            (`shared`), or takes no part in the entropy (`drop`).
        grade_level: the level at which an answer is compared with the gold answer; never finer than `cluster_level`,
            so that a cluster is right or wrong as a whole.
        answer_template: where a response holds its answer (`seed_grpo.meaning.answers`).
    """

    enabled: bool = True
    alpha: float = 0.02
    form: str = "linear"
    gamma: float = 2.0
    estimator: str = "monte_carlo"
    mass: str = "count"
    length_normalize: bool = True
    cluster_level: str = "exact"
    no_answer: str = "singleton"
    grade_level: str = "symbolic"
    answer_template: str = "boxed"

    def __post_init__(self) -> None:
        check_weighting(self.alpha, self.form, self.gamma)
        lookup(ESTIMATORS, self.estimator, "estimator")
        lookup(MASSES, self.mass, "mass")
        for name in ("enabled", "length_normalize"):
            if not isinstance(getattr(self, name), bool):
                raise UsageError(f"{name} is {getattr(self, name)!r}.", "give true or false.")
        for name, choices in (
            ("cluster_level", CLUSTER_LEVELS),
            ("grade_level", CLUSTER_LEVELS),
            ("no_answer", NO_ANSWER_RULES),
        ):
            if getattr(self, name) not in choices:
                raise UsageError(f"Unknown {name} {getattr(self, name)!r}.", f"choose one of {', '.join(choices)}.")
        if CLUSTER_LEVELS.index(self.grade_level) < CLUSTER_LEVELS.index(self.cluster_level):
            raise UsageError(
                f"grade_level {self.grade_level!r} is finer than cluster_level {self.cluster_level!r}: "
                "a cluster could be half rewarded.",
                "choose a grade_level at least as coarse as cluster_level.",
            )

    @classmethod
    def from_config(cls, node: Mapping[str, Any] | None) -> MethodSettings:
        """Settings from a config node; what it leaves out keeps its default.

        Raises:
            UsageError: a setting that does not exist, or a value out of range.
        """
        values = {str(name): value for name, value in (node or {}).items()}
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"the settings are {', '.join(known)}."
                raise UsageError(f"Unknown setting seed_grpo.{name}.", hint)
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values, for records."""
        return asdict(self)
