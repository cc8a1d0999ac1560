"""Values of the configuration that are computed: `${name:arguments}` in the YAML files."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from seed_grpo.errors import UsageError

if TYPE_CHECKING:
    from omegaconf import DictConfig

FLASH_ATTENTION = "flash-attn==2.8.3"
MOST_THREADS = 4
"""More threads do not help with models of a size that one trains on a CPU."""


def register_resolvers() -> None:
    """Make the resolvers known to OmegaConf."""
    from omegaconf import OmegaConf

    for resolver in (
        package_folder, reward_workers, torch_threads, minibatch_prompts, pass_through, attention_implementation,
        flash_attention, sum_of,
    ):  # fmt: skip
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)


def package_folder(name: str) -> str:
    """Where a package is installed, found without importing it."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"{name} is not installed.", "pip install 'seed-grpo[train]'.")
    return spec.submodule_search_locations[0]


def reward_workers(agent_loop_manager_class: str | None) -> int:
    """The reward workers that the rollout path needs: our manager grades by itself, verl's path asks one."""
    return 0 if agent_loop_manager_class else 1


def torch_threads(ranks: int) -> str:
    """Torch's threads in each of several training ranks on this machine, as an environment variable's value."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return str(min(max(cores // max(ranks, 1), 1), MOST_THREADS))


def minibatch_prompts(responses: int, group_size: int, prompts: int) -> int:
    """The prompts of a minibatch of about `responses` responses.

    Dr.GRPO counts responses, verl prompts, and verl wants whole minibatches: the largest divisor of `prompts` (those of
    a step) whose groups together have at most `responses` responses, and at least one prompt.
    """
    if min(responses, group_size, prompts) < 1:
        raise UsageError(
            f"Minibatches of {responses}, groups of {group_size}, {prompts} prompts per step: one is below 1.",
            "set actor_rollout_ref.rollout.n and data.train_batch_size to 1 or more.",
        )
    most = max(responses // group_size, 1)
    return max(divisor for divisor in range(1, min(most, prompts) + 1) if prompts % divisor == 0)


def sum_of(*numbers: int) -> int:
    """The sum of numbers that the configuration holds elsewhere."""
    return sum(numbers)


def pass_through() -> str:
    """The chat template for prompts that `seed-grpo data prepare` stored as text."""
    from seed_grpo.data.templates import PASS_THROUGH

    return PASS_THROUGH


def flash_attention() -> bool:
    """Whether flash-attention is installed."""
    return find_spec("flash_attn") is not None


def attention_implementation() -> str:
    """The attention of transformers to use on a GPU."""
    return "flash_attention_2" if flash_attention() else "sdpa"


def attention_note(config: DictConfig) -> str:
    """A line for the log: which attention the update uses, and why."""
    model = config.actor_rollout_ref.model
    chosen = model.override_config.get("attn_implementation", "flash_attention_2")
    packing = "packed sequences" if model.use_remove_padding else "padded sequences"
    hint = ""
    if config.trainer.device == "cuda" and not flash_attention():
        hint = f" (flash-attention is not installed; pip install {FLASH_ATTENTION} saves the padding)"
    return f"Attention of the update: {chosen}, {packing}{hint}."
