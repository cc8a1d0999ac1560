"""The final answer of a response, and a response's score."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seed_grpo import extract_answer
from seed_grpo.errors import UsageError
from seed_grpo.meaning.answers import TEMPLATES
from seed_grpo.meaning.scoring import score_response


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"so \boxed{42}.", "42"),
        (r"first \boxed{1}, then \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\left\{1, 2\right\}}", r"\left\{1, 2\right\}"),
        (r"\boxed{\{x : x > 3\}}", r"\{x : x > 3\}"),
        (r"\boxed{\begin{pmatrix} 1 \\ 2 \end{pmatrix}}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
        (r"\boxed{a \\}", r"a \\"),
        (r"\boxed { 5 }", "5"),
        ("\\boxed\n{5}", "5"),
        ("\\boxed{\n5\n}", "5"),
        (r"\fbox{7}", "7"),
        (r"\boxed{1} and \fbox{2}", "2"),
        (r"\fbox{1} and \boxed{2}", "2"),
        (r"\boxed 8", "8"),
        (r"$\boxed 8$", "8"),
        (r"\boxed 8.", "8"),
        (r"\(\boxed 8\)", "8"),
        (r"\boxed\frac12 done", r"\frac12"),
        (r"\boxed{\boxed{3}}", "3"),
        (r"\boxed{5}}}}", "5"),
        (r"\boxed{12", None),
        (r"\boxed{\frac{1}{2}", None),
        (r"\boxed{1} but rather \boxed{2", None),
        (r"\boxed", None),
        ("\\boxed  ", None),
        (r"\boxed{}", None),
        (r"\boxed{  }", None),
        (r"\boxedanswer{5}", None),
        (r"\boxed{5} and \boxedanswer", "5"),
        ("the answer is 42", None),
        ("", None),
        ("\\boxed{5\x00}", "5\x00"),
        (r"\boxed{\text{a } b}", r"\text{a } b"),
    ],
)
def test_boxed(response: str, answer: str | None) -> None:
    assert extract_answer(response) == answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<think>hm</think> <answer>42</answer>", "42"),
        ("<think>hm</think>\n<answer>42</answer>", "42"),
        ("hm</think><answer> 42 </answer>", "42"),
        ("hm</think>\n\n \t<answer>\n42\n</answer> bye", "42"),
        (r"hm</think> <answer>It is $\boxed{\frac12}$.</answer>", r"\frac12"),
        (r"hm</think> <answer>\boxed{1</answer>", None),
        (r"\boxed{1}</think> <answer>2</answer>", "2"),
        ("hm</think> <answer>1</answer> <answer>2</answer>", "2"),
        ("hm</think> so <answer>42</answer>", None),
        ("<answer>42</answer>", None),
        ("hm</think> <answer>42", None),
        ("hm</think> 42</answer>", None),
        ("hm</think> <answer></answer>", None),
        (r"\boxed{42}", None),
    ],
)
def test_answer_tag(response: str, answer: str | None) -> None:
    assert extract_answer(response, template="answer_tag") == answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("2+2 is 4\n#### 4", "4"),
        ("#### 1\nno\n#### 1,234\nbye", "1,234"),
        ("####18", "18"),
        ("####\n18", None),
        ("18", None),
        ("### 18", None),
    ],
)
def test_gsm8k(response: str, answer: str | None) -> None:
    assert extract_answer(response, template="gsm8k") == answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("So the answer is 42.", "42"),
        ("The final answer is: $x=5$.", "x=5"),
        ("the answer is 1. No, the ANSWER IS 3.14. Done", "3.14"),
        ("The answer is **7**.", "7"),
        ("The answer is\n\n12\nreally", "12"),
        (r"the answer is 1, or \boxed{2}", "2"),
        (r"the answer is 1, or \boxed{2", None),
        ("I do not know.", None),
        ("The answer is", None),
    ],
)
def test_phrase_is_a_last_resort(response: str, answer: str | None) -> None:
    assert extract_answer(response, template="phrase") == answer


def test_an_unknown_template_is_named() -> None:
    with pytest.raises(UsageError, match="boxed, answer_tag, gsm8k, phrase"):
        extract_answer("5", template="chat")


@given(st.text(alphabet=st.sampled_from(list("\\{}boxedf <>/answrthik#.$1 \n\x00é")), max_size=200))
def test_any_text_has_an_answer_or_none(text: str) -> None:
    for template in TEMPLATES:
        answer = extract_answer(text, template=template)
        assert answer is None or (answer and answer == answer.strip() and answer in text)


@given(st.text(max_size=50), st.text(alphabet="0123456789+-x^{}\\frac ", min_size=1, max_size=40))
def test_a_box_that_is_balanced_is_found(before: str, inside: str) -> None:
    depth = 0
    for position, character in enumerate(inside):
        if character in "{}" and (position == 0 or inside[position - 1] != "\\"):
            depth += 1 if character == "{" else -1
        if depth < 0:
            return
    if depth or inside.endswith("\\") or "\\\\" in inside or not inside.strip():
        return
    assert extract_answer(f"{before} \\boxed{{{inside}}} end") == inside.strip()


LONG: dict[str, Callable[[int], str]] = {
    "prose": lambda n: "so we add the two numbers and " * (n // 30) + r"\boxed{\frac{1}{2}}",
    "open boxes": lambda n: r"\boxed{" * (n // 7),
    "nested boxes": lambda n: r"\boxed{" * (n // 8) + "}" * (n // 8),
    "near boxes": lambda n: r"\boxedx{5}" * (n // 10),
    "bare boxes": lambda n: r"\boxed " * (n // 7),
    "braces": lambda n: "{" * n + r"\boxed{" + "{" * n,
    "backslashes": lambda n: r"\boxed{" + "\\" * n,
    "white space": lambda n: r"\boxed" + " " * n,
    "hashes": lambda n: "#" * n,
    "closing tags": lambda n: "</answer>" * (n // 9),
    "opening tags": lambda n: "</think><answer>" * (n // 16),
    "tags far apart": lambda n: ("</think>" + " " * 50) * (n // 58) + "<answer>1</answer>",
    "phrases": lambda n: "the answer is " * (n // 14),
    "phrases far apart": lambda n: ("answer" + " " * 20 + "is") * (n // 28),
    "dots": lambda n: "the answer is " + "." * n,
    "dollars": lambda n: "the answer is " + "$" * n,
}


@pytest.mark.parametrize("template", list(TEMPLATES))
@pytest.mark.parametrize("kind", list(LONG))
def test_time_grows_with_the_length_and_no_faster(kind: str, template: str) -> None:
    """A million characters in well under a second: a rule that is quadratic would take minutes."""
    text = LONG[kind](1_000_000)
    start = time.perf_counter()
    extract_answer(text, template=template)
    assert time.perf_counter() - start < 2


def test_a_training_batch_takes_no_time() -> None:
    """2,048 responses of 12,000 characters: a step of 128 prompts with 16 responses each."""
    responses = [LONG["prose"](12_000) + str(number) for number in range(2048)]
    start = time.perf_counter()
    assert {extract_answer(response) for response in responses} == {r"\frac{1}{2}"}
    assert time.perf_counter() - start < 0.5


def test_a_score() -> None:
    verdict = score_response(r"\boxed{\frac12}", "0.5", truncated=False, template="boxed", level="symbolic")
    assert (verdict.answer, verdict.reward, verdict.truncated) == (r"\frac12", 1.0, False)


def test_a_response_that_was_cut_off_has_no_answer() -> None:
    verdict = score_response(r"\boxed{\frac12}", "0.5", truncated=True, template="boxed", level="symbolic")
    assert (verdict.answer, verdict.reward, verdict.truncated) == (None, 0.0, True)


def test_a_response_without_an_answer_gets_nothing() -> None:
    assert score_response("0.5", "0.5", truncated=False, template="boxed", level="symbolic").reward == 0.0
