"""The answers of rollouts under another grader: both accuracies and every disagreement.

Runs record final answers and not whole responses. So the other grader gets each answer in a box, and an empty text if
there was none: it is asked what an answer is worth, not where it stands.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seed_grpo.analysis.rollouts import Group, gold_of
from seed_grpo.errors import SeedGrpoError
from seed_grpo.meaning.graders import SecondOpinion
from seed_grpo.meaning.graders.compare import Case, accuracies, disagreements, opinions
from seed_grpo.runs.files import replace_file

ALSO_GRADED = "also_graded.json"


def also_grade(
    other: SecondOpinion, groups: Sequence[Group], rewards: Sequence[Sequence[float]], out: Path
) -> dict[str, Any]:
    """Grade the answers of all groups that have a gold answer, and write `also_graded.json`.

    Args:
        other: the other grader.
        groups: the rollouts.
        rewards: of each answer, as the analysis has them; above 0 is correct.
        out: the folder of the analysis.

    Raises:
        SeedGrpoError: no group has a gold answer.
    """
    cases = [case for group, rewarded in zip(groups, rewards, strict=True) for case in _cases(group, rewarded)]
    if not cases:
        raise SeedGrpoError("No prompt has a gold answer to grade by.", "leave --also-grade out.")
    verdicts = opinions(other, cases)
    found = {
        "grader": other.grader.name,
        "version": other.version,
        "responses": accuracies(cases, verdicts),
        "disagreements": disagreements(cases, verdicts),
    }
    replace_file(out / ALSO_GRADED, json.dumps(found, indent=2) + "\n")
    return found


def second_opinion_line(found: dict[str, Any], out: Path) -> str:
    """What `also_grade` found, in one line."""
    numbers = found["responses"]
    return (
        f"Of {numbers['n']} responses, {100 * numbers['theirs']:.1f} % are correct by {found['grader']} "
        f"{found['version']} and {100 * numbers['ours']:.1f} % by the rewards; disagreements: "
        f"{numbers['disagreements']}, without a verdict: {numbers['no_verdict']}. {out / ALSO_GRADED}"
    )


def _cases(group: Group, rewards: Sequence[float]) -> list[Case]:
    gold = gold_of(group)
    if gold is None:
        return []
    golds = tuple(map(str, gold)) if isinstance(gold, (list, tuple)) else (str(gold),)
    where = {"source": group.source, "step": group.step, "uid": group.uid}
    return [
        Case("" if answer is None else rf"\boxed{{{answer}}}", answer, golds, reward > 0, where)
        for answer, reward in zip(group.answers, rewards, strict=True)
    ]
