"""The method's own settings; `seed_grpo.settings` joins them with the settings of meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from seed_grpo.errors import UsageError
from seed_grpo.method.entropy import ESTIMATORS, MASSES, lookup
from seed_grpo.method.labels import GOLD, LABELS
from seed_grpo.method.weights import NoParameters, Uncertainty, check_names, default_parameters, read_parameters


@dataclass(frozen=True)
class MethodSettings:
    """What SEED-GRPO leaves to choose between clusters and advantages; the defaults are the paper's.

    Attributes:
        weights: the weights that multiply a prompt's advantages (`seed_grpo.method.weights.WEIGHTS`).
        weight_parameters: the parameters of each weight that has any, by its name.
        alpha: strength of the uncertainty, in [0, 1] (Eq. 6; Table 4b); 0 gives every prompt the weight 1.
        form: form of f (`seed_grpo.method.weighting.FORMS`; Table 4c).
        gamma: exponent of the form `focal`.
        estimator: semantic entropy from cluster masses (`seed_grpo.method.entropy.ESTIMATORS`; Eq. 4 and 5).
        mass: cluster mass (`seed_grpo.method.entropy.MASSES`).
        labels: what a response is rewarded for: `gold`, the gold answer, or a label that the group gives itself
            (`seed_grpo.method.labels.LABELS`).
        votes: with the label `majority`, how many responses vote; those that are trained on are among them. None: those
            alone.
        length_normalize: with `likelihood`, a response counts by its mean token log-probability, else by the sum.
    """

    weights: tuple[str, ...] = ("uncertainty",)
    weight_parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=default_parameters)
    alpha: float = 0.02
    form: str = "linear"
    gamma: float = 2.0
    estimator: str = "monte_carlo"
    mass: str = "count"
    labels: str = GOLD
    votes: int | None = None
    length_normalize: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.weights, str) or not isinstance(self.weights, Sequence):
            raise UsageError(f"weights is {self.weights!r}.", "give a list of names, such as [uncertainty].")
        if not isinstance(self.weight_parameters, Mapping):
            raise UsageError(f"weight_parameters is {self.weight_parameters!r}.", "give parameters by weight and name.")
        object.__setattr__(self, "weights", tuple(self.weights))
        check_names(self.weights)
        parameters = read_parameters(self.weight_parameters)
        object.__setattr__(self, "weight_parameters", {name: asdict(each) for name, each in parameters.items()})
        self.parameters_of("uncertainty")
        lookup(ESTIMATORS, self.estimator, "estimator")
        lookup(MASSES, self.mass, "mass")
        lookup({GOLD: None, **LABELS}, self.labels, "label")
        if self.votes is not None and (
            not isinstance(self.votes, int) or isinstance(self.votes, bool) or self.votes < 2
        ):
            raise UsageError(f"votes is {self.votes!r}.", "give a whole number of at least 2, or null.")
        if self.votes is not None and self.labels != "majority":
            raise UsageError(f"votes is {self.votes}, and labels is {self.labels}.", "votes go with labels=majority.")
        if not isinstance(self.length_normalize, bool):
            raise UsageError(f"length_normalize is {self.length_normalize!r}.", "give true or false.")

    def parameters_of(self, weight: str) -> Any:
        """The parameters of a weight, as the dataclass that its function takes."""
        if weight == "uncertainty":
            return Uncertainty(self.alpha, self.form, self.gamma)
        return read_parameters(self.weight_parameters).get(weight, NoParameters())
