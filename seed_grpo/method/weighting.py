"""The weight f of a prompt: how far its advantages are scaled for its semantic entropy (paper, Eq. 6).

With x = α · SE / SE_max, a form f maps x in [0, 1] to a weight, with f(0) = 1: in [0, 1] for the paper's forms, which
scale uncertain prompts down; from 1 upwards for those that rise. A new form is one function and one line in `FORMS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.method.entropy import lookup
from seed_grpo.method.groups import Bools, Floats


def linear(x: Floats) -> Floats:
    """1 − x: the paper's form."""
    return 1.0 - x


def exponential(x: Floats) -> Floats:
    """e^−x."""
    return np.exp(-x)


def focal(x: Floats, *, gamma: float) -> Floats:
    """(1 − x)^γ; the paper names the form and leaves γ open."""
    return (1.0 - x) ** gamma


def reciprocal(x: Floats) -> Floats:
    """1 / (1 + x): second-hand reports of the authors' unpublished code describe this form."""
    return 1.0 / (1.0 + x)


def linear_up(x: Floats) -> Floats:
    """1 + x: the opposite of the paper's, uncertain prompts count for more."""
    return 1.0 + x


def exponential_up(x: Floats) -> Floats:
    """e^x."""
    return np.exp(x)


class Form(NamedTuple):
    """A form of f.

    Attributes:
        f: from x, an array of any shape, to weights of the same shape.
        parameters: the settings that f takes besides x, by name; they are passed as keywords.
        rises: whether uncertain prompts count for more.
    """

    f: Callable[..., Floats]
    parameters: tuple[str, ...] = ()
    rises: bool = False


FORMS = {
    "linear": Form(linear),
    "exponential": Form(exponential),
    "focal": Form(focal, ("gamma",)),
    "reciprocal": Form(reciprocal),
    "linear_up": Form(linear_up, rises=True),
    "exponential_up": Form(exponential_up, rises=True),
}


def check_weighting(alpha: float, form: str, gamma: float) -> None:
    """Raise a `UsageError` that names the setting, if one of the three cannot be used."""
    lookup(FORMS, form, "form")
    if not is_number(alpha) or not 0.0 <= alpha <= 1.0:
        raise UsageError(f"alpha is {alpha!r}.", "give a number from 0 to 1; the paper's is 0.02.")
    if not is_number(gamma) or gamma < 0.0:
        raise UsageError(f"gamma is {gamma!r}.", "give a number of at least 0; the default is 2.")


@overload
def uncertainty_weight(
    entropy: float, max_entropy: float, *, alpha: float = ..., form: str = ..., gamma: float = ...
) -> float: ...
@overload
def uncertainty_weight(
    entropy: NDArray[np.floating],
    max_entropy: NDArray[np.floating],
    *,
    alpha: float = ...,
    form: str = ...,
    gamma: float = ...,
) -> Floats: ...
def uncertainty_weight(
    entropy: ArrayLike, max_entropy: ArrayLike, *, alpha: float = 0.02, form: str = "linear", gamma: float = 2.0
) -> float | Floats:
    """The weight f(α · SE / SE_max) of a prompt (paper, Eq. 6 and Table 4c).

    Args:
        entropy: semantic entropy, nats; a number or an array.
        max_entropy: log G, nats; of the same shape. If it is 0 (a single response), the weight is 1.
        alpha: how strongly uncertainty counts, in [0, 1]; 0 gives weight 1 to every prompt.
        form: a key of `FORMS`.
        gamma: the exponent of `focal`.

    Returns:
        The weight, in [0, 1] but for the forms that rise; a float for numbers, an array for arrays. An entropy above
        its maximum (possible with `monte_carlo` over `likelihood` masses, and with `chao_shen`) counts as the maximum;
        `exceeds_maximum` tells where.

    Raises:
        UsageError: alpha, form or gamma out of range. SeedGrpoError: an entropy that is negative or not a number.
    """
    check_weighting(alpha, form, gamma)
    entropies, maxima = np.broadcast_arrays(
        np.asarray(entropy, dtype=np.float64), np.asarray(max_entropy, dtype=np.float64)
    )
    for name, values in (("entropy", entropies), ("max_entropy", maxima)):
        if not np.isfinite(values).all() or (values < 0).any():
            raise SeedGrpoError(
                f"{name} holds a value that is negative or not finite.", "it is measured in nats, from 0."
            )
    ratios = share_of_maximum(entropies, maxima)
    settings = {"gamma": gamma}
    chosen = FORMS[form]
    weights = chosen.f(alpha * np.minimum(ratios, 1.0), **{name: settings[name] for name in chosen.parameters})
    return float(weights) if weights.ndim == 0 else weights


def share_of_maximum(entropies: Floats, maxima: Floats) -> Floats:
    """SE / SE_max, of any shape; 0 where the maximum is 0."""
    return np.divide(entropies, maxima, out=np.zeros(entropies.shape), where=maxima > 0)


def exceeds_maximum(entropy_P: Floats, max_entropy_P: Floats) -> Bools:
    """Whether each prompt's ratio SE / SE_max had to be clipped at 1 (beyond rounding), shape (P,)."""
    return entropy_P > max_entropy_P * (1 + 1e-9) + 1e-12


def is_number(value: object) -> bool:
    """Whether a value is a finite number."""
    return (
        isinstance(value, (int, float, np.floating, np.integer))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )
