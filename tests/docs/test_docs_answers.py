"""docs/answer_keys.md: every example of its tables does what the page says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from seed_grpo import cluster_answers, extract_answer, grade_answer
from seed_grpo.meaning.answers import TEMPLATES
from seed_grpo.meaning.equivalence import shared_keyer

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "answer_keys.md").read_text(encoding="utf-8")


def tables(heading: str) -> Iterator[list[str]]:
    """The rows of the first table behind a piece of text, as cells."""
    lines = PAGE[PAGE.index(heading) :].split("\n|", 1)[1].split("\n\n", 1)[0].split("\n")
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def examples(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def keys(answers: list[str], level: str) -> list[str | None]:
    return shared_keyer().keys(answers, level)


@pytest.mark.parametrize("heading", ["**`normalized`** adds"])
def test_what_is_the_same_by_its_spelling(heading: str) -> None:
    checked = 0
    for cells in tables(heading):
        for group in cells[1].split(";"):
            assert len(set(keys(examples(group), "normalized"))) == 1, group
            checked += 1
    assert checked >= 10


def test_what_is_the_same_by_its_meaning_and_what_is_not() -> None:
    checked = 0
    for _, same, *different in tables("**`symbolic`** reads"):
        for group in filter(str.strip, same.split(";")):
            assert len(set(keys(examples(group), "symbolic"))) == 1, group
            checked += 1
        for group in filter(str.strip, "".join(different).split(";")):
            found = examples(group)
            assert len(set(keys(found, "symbolic"))) == len(found), group
            checked += 1
    assert checked >= 25


def test_what_is_correct_and_what_is_not() -> None:
    checked = 0
    for _, correct, wrong in tables("It is more generous"):
        for cell, expected in ((correct, True), (wrong, False)):
            for group in cell.split(";"):
                *answers, gold = examples(group)
                for answer in answers:
                    assert grade_answer(answer, gold) is expected, group
                    checked += 1
    assert checked >= 10


def test_boxes_that_hold_nothing_and_boxes_that_are_cut_off() -> None:
    rows = list(tables("**A box that holds nothing"))
    assert len(rows) == 5
    for response, answer in rows:
        expected = None if answer == "none" else examples(answer)[0]
        assert extract_answer(examples(response)[0]) == expected, response


def test_the_forms_of_an_answer_line() -> None:
    row = next(row for row in tables("`extract_answer(response, template=…)`") if row[0] == "`answer_line`")
    forms = examples(row[1])[:4]
    assert [extract_answer(form, template="answer_line") for form in forms] == ["42"] * 4
    assert [extract_answer(form, template="auto") for form in forms] == ["42"] * 4


def test_every_template_is_described() -> None:
    assert [row[0] for row in tables("`extract_answer(response, template=…)`")] == [f"`{name}`" for name in TEMPLATES]


def test_the_lines_of_code() -> None:
    code = PAGE.split("```python\n", 1)[1].split("```", 1)[0]
    scope = {"extract_answer": extract_answer, "cluster_answers": cluster_answers, "grade_answer": grade_answer}
    calls = [line for line in code.splitlines() if "#" in line]
    assert len(calls) == 3
    for line in calls:
        call, expected = line.rsplit("#", 1)
        assert repr(eval(call, scope)) == expected.strip()
