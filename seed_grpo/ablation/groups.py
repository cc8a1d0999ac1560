"""Which arms belong in one picture: those that differ in one setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from seed_grpo.ablation.load import Settings
from seed_grpo.ablation.results import ArmResult, Results

FACTORS = {
    "alpha": ("Strength α", ("alpha",)),
    "form": ("Form of f", ("form", "gamma")),
    "entropy": ("Entropy", ("estimator", "mass")),
    "rollouts": ("Responses per prompt, G", ("group_size", "prompts", "steps")),
    "clusters": ("Clusters", ("meaning", "no_answer")),
    "model": ("Model", ("model",)),
}
"""What a study can vary: its heading, and the settings that go with it."""
METHODS = "methods"
FEW = 4
"""Up to this many arms fit into one picture, whatever they vary."""


@dataclass(frozen=True)
class Group:
    """Arms that differ in one thing, in the order of the study, and what that is."""

    factor: str
    title: str
    arms: tuple[ArmResult, ...]


def groups(results: Results) -> list[Group]:
    """Divide the arms with results into groups; one may be in several, and none is left out."""
    arms = _begun(results)
    if len(arms) <= FEW:
        return [Group("all", "", tuple(arms))] if arms else []
    found = [each for each in [_methods(arms), *(varying(results, factor) for factor in FACTORS)] if each is not None]
    shown = {each.arm.name for group in found for each in group.arms}
    rest = tuple(each for each in arms if each.arm.name not in shown)
    return found + ([Group("others", "Others", rest)] if rest else [])


def _begun(results: Results) -> list[ArmResult]:
    return [each for each in results.arms if each.runs and each.settings is not None]


def _methods(arms: Sequence[ArmResult]) -> Group | None:
    """The baselines, and SEED-GRPO's first arm."""
    first = [each for each in arms if each.settings is not None and each.settings.weighted][:1]
    chosen = [each for each in arms if each.settings is not None and (not each.settings.weighted or each in first)]
    return Group(METHODS, "Method", tuple(chosen)) if len(chosen) > 1 else None


def varying(results: Results, factor: str) -> Group | None:
    """The largest set of SEED-GRPO's arms that differ in one factor alone; Dr.GRPO is α = 0."""
    arms = _begun(results)
    title, names = FACTORS[factor]
    sets: dict[tuple, list[ArmResult]] = {}
    for each in arms:
        if each.settings is not None and each.settings.weighted:
            sets.setdefault(_others(each.settings, names), []).append(each)
    largest = max(sets.values(), key=len, default=[])
    if len(largest) < 2:
        return None
    unweighted = [each for each in arms if each.settings is not None and each.settings.method == "dr_grpo"][:1]
    return Group(factor, title, (*(unweighted if factor == "alpha" else []), *largest))


def _others(settings: Settings, names: Sequence[str]) -> tuple:
    # Test files may lie in a folder of the seed's; what is in them is the study's to keep equal.
    return tuple(
        getattr(settings, field.name) for field in fields(settings) if field.name not in (*names, "test_files")
    )
