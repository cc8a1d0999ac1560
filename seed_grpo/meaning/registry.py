"""Meanings by name: `seed_grpo.meaning=exact`, or `package.module:factory` for one of your own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from operator import index
from typing import Any

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.meaning.by_answer import ByAnswer
from seed_grpo.meaning.equivalence.keys import LEVELS
from seed_grpo.meaning.protocol import Groups, Meaning, Options
from seed_grpo.method import DROPPED


def _by_answer(level: str, settings: Options) -> Meaning:
    return ByAnswer(level, settings.no_answer)


MEANINGS: dict[str, Callable[[Options], Meaning]] = {level: partial(_by_answer, level) for level in LEVELS}
"""The factory of each meaning, from the settings."""


def check_name(name: Any) -> None:
    """Raise a `UsageError` if `name` is neither in `MEANINGS` nor has the form `package.module:factory`."""
    module, colon, factory = name.partition(":") if isinstance(name, str) else ("", "", "")
    own = colon and factory.isidentifier() and all(part.isidentifier() for part in module.split("."))
    if name not in MEANINGS and not own:
        raise UsageError(
            f"Unknown meaning {name!r}.",
            f"choose one of {', '.join(MEANINGS)}, or name your own: package.module:factory.",
        )


def make_meaning(settings: Options) -> Meaning:
    """The meaning that the settings name.

    Raises:
        UsageError: the name is unknown, cannot be imported, or what it makes is not a `Meaning`.
    """
    name = settings.meaning
    check_name(name)
    if name in MEANINGS:
        return MEANINGS[name](settings)
    module, _, factory = name.partition(":")
    try:
        make = getattr(import_module(module), factory)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"The meaning {name} cannot be loaded: {error}.", "check the name, and install its package on every node."
        ) from error
    meaning = make(settings)
    missing = [part for part in ("needs_text", "clusters", "take_counts") if not hasattr(meaning, part)]
    if missing:
        raise UsageError(
            f"What {name} makes has no {missing[0]}.", "give it the attributes of seed_grpo.meaning.protocol.Meaning."
        )
    return meaning


def cluster_groups(meaning: Meaning, groups: Groups) -> list[list[int]]:
    """The meaning's cluster ids of a batch, checked and numbered 0..K−1 by first appearance.

    Raises:
        SeedGrpoError: the ids are not one integer of at least −1 per response.
    """
    clusters_PG = meaning.clusters(groups)
    if [len(ids) for ids in clusters_PG] != [len(group) for group in groups]:
        raise SeedGrpoError(f"{_name(meaning)} did not return one cluster id per response.", "correct that meaning.")
    return [_numbered(ids, meaning) for ids in clusters_PG]


def _numbered(ids: Sequence[int], meaning: Meaning) -> list[int]:
    numbers: dict[int, int] = {}
    numbered = []
    for raw in ids:
        try:
            cluster = index(raw)
        except TypeError:
            cluster = DROPPED - 1
        if isinstance(raw, bool) or cluster < DROPPED:
            raise SeedGrpoError(
                f"{_name(meaning)} returned the cluster id {raw!r}.", "ids are integers from 0, or −1 for no part."
            )
        numbered.append(DROPPED if cluster == DROPPED else numbers.setdefault(cluster, len(numbers)))
    return numbered


def _name(meaning: Meaning) -> str:
    return f"The meaning {type(meaning).__module__}.{type(meaning).__qualname__}"
