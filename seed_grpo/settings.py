"""All settings of the method, the `seed_grpo:` node of the Hydra configuration."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from functools import cache
from typing import Any

from seed_grpo.errors import UsageError
from seed_grpo.meaning.settings import MeaningSettings
from seed_grpo.method.settings import MethodSettings

logger = logging.getLogger(__name__)

FORMER = ("enabled", "cluster_level")
"""Settings of the first version that `Settings.from_config` still takes."""


@dataclass(frozen=True)
class Settings(MeaningSettings, MethodSettings):
    """What SEED-GRPO leaves to choose, from a response's text to its prompt's weight."""

    def __post_init__(self) -> None:
        MeaningSettings.__post_init__(self)
        MethodSettings.__post_init__(self)

    @classmethod
    def from_config(cls, node: Mapping[str, Any] | None) -> Settings:
        """Settings from a config node; a setting that the node leaves out keeps its default.

        Raises:
            UsageError: a setting that does not exist, or a value out of range.
        """
        values = _renamed({str(name): value for name, value in (node or {}).items()})
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


def default_node() -> dict[str, Any]:
    """The defaults as a config node in which the former names can be set, too."""
    return {**Settings().as_dict(), **dict.fromkeys(FORMER)}


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    """The values under the names of today."""
    level, enabled = values.pop("cluster_level", None), values.pop("enabled", None)
    if level is not None:
        if values.get("meaning", MeaningSettings.meaning) not in (MeaningSettings.meaning, level):
            raise UsageError(
                f"cluster_level {level!r} and meaning {values['meaning']!r} are two names of one setting.",
                "set seed_grpo.meaning alone.",
            )
        _notice("The setting seed_grpo.cluster_level is now called seed_grpo.meaning.")
        values["meaning"] = level
    if enabled is not None:
        if not isinstance(enabled, bool):
            raise UsageError(f"enabled is {enabled!r}.", "give true or false.")
        if not enabled:
            _notice("seed_grpo.enabled=false is the same as seed_grpo.alpha=0, which is what this run records.")
            values["alpha"] = 0.0
    return values


@cache
def _notice(text: str) -> None:
    """Say something once per process."""
    logger.warning(text)
