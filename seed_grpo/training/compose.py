"""The configuration of a run: verl's, ours, and what the command line overrides."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache
from typing import TYPE_CHECKING

from seed_grpo.errors import UsageError
from seed_grpo.overrides import quoted
from seed_grpo.settings import Settings, default_node
from seed_grpo.training.resolvers import register_resolvers
from seed_grpo.training.values import check_values

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONFIG_MODULE = "seed_grpo.configs"
ROOT = "train"
PATHS = (
    "quickstart_dir",
    "smollm2_dir",
    "data_dir",
    "data.train_files",
    "data.val_files",
    "actor_rollout_ref.model.path",
    "actor_rollout_ref.model.tokenizer_path",
    "trainer.default_local_dir",
    "trainer.rollout_data_dir",
    "trainer.validation_data_dir",
)
"""Keys of paths that a person may write with `~`."""


def register_defaults() -> None:
    """Put what the YAML files cannot hold where Hydra finds it: the method's defaults, which are in `Settings`
    alone, and the values that are worked out."""
    from hydra.core.config_store import ConfigStore

    register_resolvers()
    node = {"seed_grpo": default_node()}
    ConfigStore.instance().store(group="method", name="paper", node=node, package="_global_")


def compose_config(overrides: Sequence[str] = ()) -> DictConfig:
    """Compose the configuration of a run.

    Args:
        overrides: Hydra overrides, such as `experiment=qwen2.5_math_7b` or `seed_grpo.alpha=0.1`.

    Raises:
        UsageError: an override that Hydra cannot apply, or a value that cannot be used.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    register_defaults()
    try:
        config = deepcopy(_compose(tuple(_quote_home(text) for text in overrides)))
    except (HydraException, OmegaConfBaseException) as error:
        cause = " ".join(str(error).split())
        raise UsageError(
            f"The configuration cannot be composed: {cause.rstrip('.')}.",
            "check the overrides; a key that the configuration does not have needs a + in front.",
        ) from error
    _expand_home(config)
    config.seed_grpo = Settings.from_config(config.seed_grpo).as_dict()  # no former names in the records of a run
    check_values(config)
    return config


@lru_cache(maxsize=64)
def _compose(overrides: tuple[str, ...]) -> DictConfig:
    """What Hydra composes, a third of a second; a study asks for the same configuration more than once."""
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_module(config_module=CONFIG_MODULE, version_base=None):
        return compose(config_name=ROOT, overrides=list(overrides))


def as_yaml(config: DictConfig) -> str:
    """A configuration as YAML, with every value worked out.

    Raises:
        UsageError: a value that cannot be.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_yaml(config, resolve=True)
    except OmegaConfBaseException as error:
        cause = " ".join(str(error).split())
        raise UsageError(f"A value cannot be worked out: {cause.rstrip('.')}.", "correct the override.") from error


def _quote_home(override: str) -> str:
    """The override with a value, or items of a list, in quotes if they begin with `~`, which Hydra's grammar lacks."""
    key, equals, value = override.partition("=")
    if value.startswith("~"):
        return f"{key}={quoted(value)}"
    if value.startswith("["):
        return key + equals + re.sub(r"(?<=[\[,])\s*(~[^,\]]*)", lambda match: quoted(match[1]), value)
    return override


def _expand_home(config: DictConfig) -> None:
    """Put the home folder in the place of `~`, which neither verl nor transformers does everywhere."""
    from omegaconf import OmegaConf

    for key in PATHS:
        value = OmegaConf.select(config, key, throw_on_resolution_failure=False)
        if isinstance(value, str):
            if value.startswith("~"):
                OmegaConf.update(config, key, os.path.expanduser(value))
        elif OmegaConf.is_list(value) and any(isinstance(item, str) and item.startswith("~") for item in value):
            expanded = [os.path.expanduser(item) if isinstance(item, str) else item for item in value]
            OmegaConf.update(config, key, expanded)
