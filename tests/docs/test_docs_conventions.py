"""docs/answer_keys.md, the table of conventions: each verdict is what the grader says, for those that are installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seed_grpo import extract_answer, grade_answer

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "answer_keys.md").read_text(encoding="utf-8")
HEAD, _, *ROWS = (
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.split("## Conventions, and what other graders do")[1]
    .split("\n|", 1)[1]
    .split("\n\n")[0]
    .splitlines()
)


def cases(column: str) -> list[tuple[str, str, bool]]:
    """(response or answer, gold, verdict) of each row."""
    at = HEAD.index(column)
    verdicts = {"yes": True, "no": False}
    return [(row[1].strip("`"), row[2].strip("`"), verdicts[row[at]]) for row in ROWS]


def boxed(text: str) -> str:
    return text if "boxed" in text else rf"\boxed{{{text}}}"


def disagreements(column: str, grade: Callable[[str, str], bool]) -> list[tuple[str, str, bool]]:
    found = cases(column)
    assert len(found) >= 40
    return [case for case in found if grade(case[0], case[1]) != case[2]]


def test_ours() -> None:
    assert disagreements("ours", lambda text, gold: grade_answer(extract_answer(boxed(text)), gold)) == []


def test_math_verify() -> None:
    math_verify = pytest.importorskip("math_verify")

    def grade(text: str, gold: str) -> bool:
        return math_verify.verify(math_verify.parse(boxed(gold)), math_verify.parse(boxed(text)))

    assert disagreements("Math-Verify", grade) == []


def test_verls_graders() -> None:
    pytest.importorskip("verl")
    from verl.utils.reward_score import math_dapo, math_reward, prime_math

    def dapo(text: str, gold: str) -> bool:
        return bool(math_dapo.compute_score(text if "boxed" in text else f"Answer: ${text}$", gold)["acc"])

    def prime(text: str, gold: str) -> bool:
        return bool(prime_math.compute_score(boxed(text), gold)[0])

    assert disagreements("math_reward", lambda text, gold: bool(math_reward.compute_score(boxed(text), gold))) == []
    assert disagreements("math_dapo", dapo) == []
    assert disagreements("prime_math", prime) == []


def test_the_conventions_that_were_asked_for_are_there() -> None:
    named = {row[0] for row in ROWS}
    assert {"rounding", "several boxes", "ratio and fraction", "degrees and radians"} <= named
    assert any("decimal comma" in name for name in named)
