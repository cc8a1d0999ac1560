"""`seed-grpo analyze`: what the method sees in rollouts on disk."""

from __future__ import annotations

from seed_grpo.errors import SeedGrpoError


def analyze() -> None:
    """Not there yet."""
    raise SeedGrpoError("analyze is not built yet.", "wait for it.")
