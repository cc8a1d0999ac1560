"""Second opinions: other graders in the sandbox, and where they disagree with ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from seed_grpo import extract_answer, grade_answer
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.meaning import graders
from seed_grpo.meaning.graders import GRADERS, Grader, Opinion, SecondOpinion
from seed_grpo.meaning.graders.compare import Case, accuracies, disagreements, opinions


@pytest.fixture(scope="module")
def math_verify() -> Iterator[SecondOpinion]:
    pytest.importorskip("math_verify")
    other = SecondOpinion("math-verify", workers=1)
    yield other
    other.close()


@pytest.mark.parametrize(
    ("response", "golds", "correct", "answer"),
    [
        (r"so \boxed{42}", ["42"], True, "42"),
        (r"so \boxed{41}", ["42"], False, "41"),
        (r"so \boxed{\frac{1}{2}}", ["0.5"], True, r"\frac{1}{2}"),
        (r"so \boxed{2}", ["1", "2"], True, "2"),
        ("the final answer is $7$.", ["7"], True, "7"),
        ("nothing to read", ["7"], False, None),
        ("", ["7"], False, None),
        (r"\boxed{y=5}", ["x=5"], False, "y=5"),
        (r"\boxed{1:2}", [r"\frac{1}{2}"], True, "1:2"),
        ("\ud800 \\boxed{1}", ["1"], True, "1"),
    ],
)
def test_math_verify(
    math_verify: SecondOpinion, response: str, golds: list[str], correct: bool, answer: str | None
) -> None:
    assert math_verify.grade([response], [golds]) == [Opinion(correct, answer)]


def test_its_opinions_are_those_of_math_verify_itself(math_verify: SecondOpinion) -> None:
    import math_verify as theirs

    cases = [("3", "3"), (r"\sqrt8", r"2\sqrt2"), ("x>3", r"(3,\infty)"), (r"\{1,2\}", "(1,2)"), ("2,1", "1,2")]
    found = math_verify.grade([rf"\boxed{{{a}}}" for a, _ in cases], [[gold] for _, gold in cases])
    assert [each.correct for each in found] == [
        theirs.verify(theirs.parse(rf"\boxed{{{gold}}}"), theirs.parse(rf"\boxed{{{answer}}}"))
        for answer, gold in cases
    ]


def test_a_hang_is_no_verdict_and_costs_its_own_time_alone() -> None:
    pytest.importorskip("math_verify")
    other = SecondOpinion("math-verify", workers=1, seconds=1.0)
    responses = [r"\boxed{1}", r"\boxed{9^{9^{9}}}", r"\boxed{9^{9^9}}", r"\boxed{2}"]
    start = time.monotonic()
    found = other.grade(responses, [["1"], ["7"], ["7"], ["2"]])
    assert [each.correct for each in found] == [True, None, None, True]
    assert time.monotonic() - start < 60
    other.close()


def test_a_worker_that_dies_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GRADERS, "crashing", Grader("crashing", "grader_jobs:crash", "pytest", "-"))
    other = SecondOpinion("crashing", workers=1)
    found = other.grade([r"\boxed{1}", "crash", "memory", "raise", "nonsense", r"\boxed{1}"], [["1"]] * 6)
    assert [each.correct for each in found] == [True, None, None, None, None, True]
    other.close()


def test_an_unknown_grader_is_named() -> None:
    with pytest.raises(UsageError, match="math-verify"):
        SecondOpinion("mathverify")


def test_a_package_that_is_missing_is_said_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    grader = Grader("absent", "grader_jobs:crash", "a-package-that-is-not-there", "pip install it.")
    monkeypatch.setitem(GRADERS, "absent", grader)
    with pytest.raises(UsageError, match=r"absent needs a package that is not installed.*pip install it\."):
        SecondOpinion("absent")


@pytest.mark.parametrize("function", ["grader_jobs:always_wrong", "grader_jobs:not_there"])
def test_a_package_that_does_not_work_is_said_before_there_is_anything_to_grade(
    monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    monkeypatch.setitem(GRADERS, "broken", Grader("broken", function, "pytest", "pip install it."))
    with pytest.raises(SeedGrpoError, match=r"pytest .* does not work here.*pip install it\."):
        SecondOpinion("broken")


def test_every_grader_of_the_registry_names_what_it_needs() -> None:
    for name, grader in GRADERS.items():
        assert name == grader.name
        assert grader.remedy.startswith("pip install")
        assert graders.version(grader.package)


class TestComparison:
    def cases(self) -> list[Case]:
        rows: list[tuple[str, tuple[str, ...]]] = [
            (r"\boxed{1:2}", (r"\frac{1}{2}",)),
            (r"\boxed{1:2}", (r"\frac{1}{2}",)),
            (r"\boxed{5}", ("5",)),
            (r"\boxed{6}", ("5",)),
            (r"\boxed{50}", (r"0.5", r"50\%")),
            ("The final answer is 5", ("5",)),
        ]
        found = []
        for response, golds in rows:
            answer = extract_answer(response)
            ours = answer is not None and grade_answer(answer, golds)
            found.append(Case(response, answer, golds, ours, {"id": golds[0]}))
        return found

    def test_both_numbers_and_every_disagreement(self, math_verify: SecondOpinion) -> None:
        cases = self.cases()
        verdicts = opinions(math_verify, cases)
        numbers = accuracies(cases, verdicts)
        assert numbers["n"] == 6
        assert numbers["ours"] == pytest.approx(2 / 6)
        assert numbers["theirs"] == sum(bool(each.correct) for each in verdicts) / 6
        assert numbers["no_verdict"] == 0
        found = disagreements(cases, verdicts)
        assert sum(each["responses"] for each in found) == numbers["disagreements"]
        assert found[0] == {
            "id": r"\frac{1}{2}",
            "answer": "1:2",
            "their_answer": "1:2",
            "gold": [r"\frac{1}{2}"],
            "ours": False,
            "theirs": True,
            "responses": 2,
        }
        last: dict[str, Any] = found[-1]
        assert (last["answer"], last["their_answer"], last["theirs"]) == (None, "5", True)

    def test_without_a_verdict_there_is_no_disagreement(self) -> None:
        cases = [Case("a", "a", ("a",), True), Case("b", "b", ("a",), False)]
        verdicts = [Opinion(None), Opinion(None)]
        assert disagreements(cases, verdicts) == []
        assert accuracies(cases, verdicts) == {
            "n": 2, "ours": 0.5, "theirs": 0.0, "no_verdict": 2, "disagreements": 0
        }  # fmt: skip
