"""Settings for how a run is driven: the config's `seed_grpo_runtime:` node. None of them changes what is learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from seed_grpo.errors import UsageError


@dataclass(frozen=True)
class RuntimeSettings:
    """How a run is driven.

    Attributes:
        poll_seconds: seconds between two looks for finished rollouts; verl waits 2 s.
        trainer_in_driver: run verl's trainer in the driver's own process rather than in a Ray actor, which saves
            starting one process. The driver must be on a machine of the cluster; it needs no accelerator.
        silent_seconds: a run that neither records a step nor logs a line for this long is ended: it waits for something
            that will not come.
    """

    poll_seconds: float = 0.5
    trainer_in_driver: bool = False
    silent_seconds: float = 7200.0

    @classmethod
    def from_config(cls, node: Mapping[str, Any] | None) -> RuntimeSettings:
        """Settings from a config node; settings that it leaves out keep their defaults.

        Raises:
            UsageError: the node has a setting that does not exist, or a value that cannot be.
        """
        values = {str(name): value for name, value in (node or {}).items()}
        unknown = sorted(values.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise UsageError(
                f"Unknown setting seed_grpo_runtime.{unknown[0]}.",
                f"the settings are {', '.join(field.name for field in fields(cls))}.",
            )
        settings = cls(**values)
        for name in ("poll_seconds", "silent_seconds"):
            seconds = getattr(settings, name)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
                raise UsageError(f"seed_grpo_runtime.{name} is {seconds!r}.", "set it to a number of seconds above 0.")
        if not isinstance(settings.trainer_in_driver, bool):
            raise UsageError(
                f"seed_grpo_runtime.trainer_in_driver is {settings.trainer_in_driver!r}.", "set it to true or false."
            )
        return settings
