"""Where a run that labels itself parts from the truth."""

from __future__ import annotations

from statistics import fmean
from typing import Any

TRUE, OWN = "seed_grpo/labels/true_accuracy", "seed_grpo/labels/reward"
TURN_WINDOW = 5
TURN_FALL = 0.05
"""The fall of the true accuracy that counts; the mean of five steps of 256 responses varies by about 0.015."""


def label_turn(steps: list[dict[str, Any]]) -> dict[str, float] | None:
    """Where rewards of a run's own making part from the truth: they still rise, and the true accuracy has turned.

    The turn is the highest point of the true accuracy, smoothed over `TURN_WINDOW` steps, if it falls by `TURN_FALL`
    or more afterwards while the smoothed reward does not.

    Args:
        steps: the records of the training steps; `TRUE` is in them where labels are the run's own and the data has
            gold answers.

    Returns:
        A dictionary with the `step` of the turn, the true accuracy and the model's own reward at that step (`accuracy`,
        `reward`), and both at the last step (`accuracy_last`, `reward_last`). None if accuracy never turns.
    """
    known = [record for record in steps if TRUE in record]
    if len(known) < 2 * TURN_WINDOW:
        return None
    true, reward = (_smooth([record[name] for record in known]) for name in (TRUE, OWN))
    top = max(range(len(true)), key=true.__getitem__)
    if true[top] - true[-1] < TURN_FALL or reward[-1] < reward[top]:
        return None
    return {
        "step": known[top]["step"],
        "accuracy": true[top],
        "accuracy_last": true[-1],
        "reward": reward[top],
        "reward_last": reward[-1],
    }


def _smooth(values: list[float]) -> list[float]:
    """Means over the last `TURN_WINDOW` values; over as many as there are at the beginning."""
    return [fmean(values[max(0, i + 1 - TURN_WINDOW) : i + 1]) for i in range(len(values))]
