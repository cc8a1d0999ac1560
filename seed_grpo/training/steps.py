"""How many steps the training data gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seed_grpo.errors import UsageError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def possible_steps(config: DictConfig, rows: int) -> int:
    """The steps that `trainer.total_epochs` passes over so many rows give; verl drops an incomplete last batch.

    Raises:
        UsageError: not a single one.
    """
    batch = config.data.train_batch_size
    if _used(config, rows) < batch:
        raise UsageError(
            f"The training data has {_used(config, rows)} rows, fewer than data.train_batch_size={batch}.",
            "lower data.train_batch_size, or give more data.",
        )
    return _used(config, rows) // batch * config.trainer.total_epochs


def settle_steps(config: DictConfig, rows: int) -> str | None:
    """Set `trainer.total_training_steps` to the number of steps that the run can take.

    verl ends after `trainer.total_epochs` passes over the data even if the steps that were asked for are not done, and
    then neither saves nor validates, because that was not the last step.

    Args:
        config: the configuration of the run.
        rows: the rows of the training data.

    Returns:
        If the data gives fewer steps than were asked for: a line that says so.
    """
    possible, wanted = possible_steps(config, rows), config.trainer.total_training_steps
    config.trainer.total_training_steps = possible if wanted is None else min(wanted, possible)
    if wanted is None or wanted <= possible:
        return None
    batch, epochs, used = config.data.train_batch_size, config.trainer.total_epochs, _used(config, rows)
    return (
        f"The data gives {possible} steps ({used} rows, {batch} per step, {epochs} epoch(s)), fewer than "
        f"trainer.total_training_steps={wanted}: the run ends after step {possible}. For {wanted} steps, set "
        f"trainer.total_epochs={-(-wanted // (possible // epochs))}, or give {-(-wanted // epochs) * batch} rows."
    )


def _used(config: DictConfig, rows: int) -> int:
    most = config.data.get("train_max_samples", -1)
    return min(rows, most) if most > 0 else rows
