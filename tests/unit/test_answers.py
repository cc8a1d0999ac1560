"""The final answer of a response, and a response's score."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seed_grpo import extract_answer
from seed_grpo.errors import UsageError
from seed_grpo.meaning.answers import TEMPLATES
from seed_grpo.meaning.boxes import holds_something
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
        # A bare box: a word about the format.
        (r"\boxed{7} as asked in \boxed", "7"),
        (r"\boxed{7}, written in \boxed.", "7"),
        (r"\boxed{7}, in a \boxed environment", "7"),
        (r"\boxed{7} (in `\boxed`)", "7"),
        ("\\boxed{7} is in the \\boxed\n\n3 more remarks", "7"),
        (r"\boxed 8 as asked in $\boxed$", "8"),
        (r"\boxed{7} \boxed \boxed \fbox", "7"),
        (r"\boxed{7}, or rather \boxed 8", "8"),
        (r"\boxed{7}, or rather \boxed{A}", "A"),
        (r"\boxed Paris", "Paris"),
        # An empty one.
        (r"\boxed{5} \boxed{}", "5"),
        (r"\boxed{5} \fbox{ }", "5"),
        (r"\boxed{5}, that is \boxed{\,}", "5"),
        (r"\boxed{\frac12} in the form \boxed{...}", r"\frac12"),
        (r"\boxed{5} \boxed{\ldots} \boxed{\text{}}", "5"),
        (r"\boxed{5} \boxed{\boxed{}}", "5"),
        (r"\boxed{5} \boxed{$ $}", "5"),
        (r"I put it into \boxed{}.", None),
        (r"\boxed{5} \boxed{\{\}}", r"\{\}"),
        (r"\boxed{5} \boxed{()}", "()"),
        (r"\boxed{5} \boxed{\emptyset}", r"\emptyset"),
        (r"\boxed{5} \boxed{\text{no}}", r"\text{no}"),
        (r"\boxed{5} \boxed{0}", "0"),
        # One that is cut off.
        (r"\boxed{5} \boxed{", None),
        (r"\boxed{5} \boxed{} \boxed{1", None),
        (r"\boxed{5} \boxed{1 \boxed{}", None),
        (r"\boxed{1 and \boxed", None),
        (r"\boxed{5} } } \boxed{}", "5"),
        (r"{ { \boxed{5} \boxed{}", "5"),
        (r"\\boxed{5} \\boxed{}", "5"),
    ],
)
def test_a_box_that_holds_nothing_gives_way_and_one_that_is_cut_off_does_not(response: str, answer: str | None) -> None:
    assert extract_answer(response) == answer
    assert extract_answer(response, template="auto") == answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        # DAPO, simple-evals
        ("Reasoning.\nAnswer: 42", "42"),
        ("Reasoning.\n\nAnswer: $42$", "42"),
        ("Reasoning.\nAnswer: $42", "42"),
        ("Reasoning.\nANSWER: B", "B"),
        ("Reasoning.\nanswer : \\frac{1}{2}\n", r"\frac{1}{2}"),
        ("So it is clear. Answer: -3.5", "-3.5"),
        ("Answer: 1\nNo, wait.\nAnswer: 2", "2"),
        ("Answer: Answer: 2", "2"),
        ("Answer: 5\n\nAnswer:", "5"),
        ("Answer: 5\n\nAnswer: ____", "5"),
        ("Answer: 5\n\nAnswer: ...", "5"),
        ("Answer: \\$5", r"\$5"),
        ("Answer: $1$, $2$", "$1$, $2$"),
        ("Answers: 1 and 2", "1 and 2"),
        ("Answer：42", "42"),
        ("Answer:\n42", "42"),
        ("Answer:\n\n$$\n42\n$$\nDone.", "42"),
        ("Answer: \\[ x = 2 \\]", "x = 2"),
        ("Answer: $x=1.$ This is unique.", "x=1"),
        ("Answer: 0.333...", "0.333..."),
        ("Answer: \\left\\{ 1 \\right.", r"\left\{ 1 \right."),
        # with markdown
        ("**Answer:** 42", "42"),
        ("**Answer**: 42", "42"),
        ("**Answer: 42**", "42"),
        ("**Answer:** **42**.", "42"),
        ("__Answer:__ `42`", "42"),
        ("### Answer: 42", "42"),
        ("> *Answer:* $42$", "42"),
        ("- **Answer:** **$42$.** It follows.", "42"),
        ("\\textbf{Answer:} 42", "42"),
        # Final answer
        ("Final answer: 42", "42"),
        ("Final answer: 42.", "42"),
        ("**Final Answer:** $\\boxed{42}$", "42"),
        ("Final Answer: \\boxed{\\frac{1}{2}}.", r"\frac{1}{2}"),
        ("Final Answer: The final answer is 42. I hope it is correct.", "42"),
        ("Final Answer: the answer is 3.14.", "3.14"),
        ("The final answer is $42$", "42"),
        ("The final answer is $42$. This answer is correct.", "42"),
        ("Answer: 42\n\nI checked it: the final answer is correct.", "42"),
        ("Answer: 42. The final answer is in simplest form.", "42"),
        ("The final answer is not 41. Answer: 42", "42"),
        ("The final answer is incorrect.", None),
        ("The final answer is inconclusive", "inconclusive"),
        ("So the final answer is: **$\\frac12$**.", r"\frac12"),
        ("The final answer is \\boxed{\n7\n}.", "7"),
        ("The final answers are 1 and 2.", "1 and 2"),
        ("The answer is: 42", "42"),
        # none
        ("The answer is 42", None),
        ("I answer the question: 42", None),
        ("Unanswer: 42", None),
        ("Answering: 42", None),
        ("Answer 42", None),
        ("Answer:", None),
        ("Answer: **", None),
        ("42", None),
        ("", None),
        ("Answer: 1, or rather \\boxed{2", None),
        ("Answer: 1\nFinal answer: \\boxed{2", None),
        (r"\boxed{42}", None),
    ],
)
def test_answer_line(response: str, answer: str | None) -> None:
    assert extract_answer(response, template="answer_line") == answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("Answer: 1, or \\boxed{2}", "2"),
        (r"\boxed{1}</think> <answer>2</answer>", "1"),
        ("hm</think> <answer>2</answer>", "2"),
        ("<answer>2</answer>", "2"),
        ("Answer: 1 <answer>2</answer>", "2"),
        ("<answer>Answer: 2</answer>", "2"),
        ("<answer></answer>\nAnswer: 3", "3"),
        ("Put it into \\boxed{}.\nAnswer: 3", "3"),
        ("**Answer:** 3.", "3"),
        ("Answer: 3 \\boxed{4", None),
        ("Answer: 3 <answer>4", None),
        ("<answer>1</answer> <answer>4", None),
        ("the answer is 42", None),
        ("#### 42", None),
    ],
)
def test_auto_is_the_box_else_the_tag_else_the_line(response: str, answer: str | None) -> None:
    assert extract_answer(response, template="auto") == answer


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
        ("####: 55", "55"),
        ("#### : 55", "55"),
        ("####：55", "55"),
        ("####: -5.5\nbye", "-5.5"),
        ("#### 5:30", "5:30"),
        ("####: 5:30", "5:30"),
        ("####:", None),
        ("####:\n55", None),
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
        ("Reasoning.\nAnswer: 42", "42"),
        ("**Answer:** 42", "42"),
        ("Final answer: 42", "42"),
        ("Answer: 1. But no, the answer is 2.", "2"),
        ("I do not know.", None),
        ("The answer is", None),
    ],
)
def test_phrase_is_a_last_resort(response: str, answer: str | None) -> None:
    assert extract_answer(response, template="phrase") == answer


def test_the_faults_that_were_found_in_other_peoples_responses(shared_data: Path) -> None:
    faults = shared_data / "answer_faults.jsonl"
    if not faults.is_file():
        pytest.skip(f"there is no {faults}")
    rows = [json.loads(line) for line in faults.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["kind"].startswith("EX ")]
    assert len(rows) >= 5
    for row in rows:
        for template in {row["template"], "auto"}:
            assert extract_answer(row["response"], template=template) == row["answer_wanted"], row


def test_an_unknown_template_is_named() -> None:
    with pytest.raises(UsageError, match="boxed, answer_tag, gsm8k, phrase, answer_line, auto"):
        extract_answer("5", template="chat")


@given(st.text(alphabet=st.sampled_from(list("\\{}boxedf <>/answrthik#.$1 \n\x00é:*_`")), max_size=200))
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
    if depth or inside.endswith("\\") or "\\\\" in inside or not holds_something(inside):
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
    "empty boxes": lambda n: r"\boxed{}" * (n // 8),
    "nested empty boxes": lambda n: r"\boxed{" * (n // 8) + "}" * (n // 8),
    "bare boxes in a row": lambda n: r"\boxed" * (n // 6),
    "bare boxes far apart": lambda n: (r"\boxed" + " " * 90) * (n // 96),
    "boxes with punctuation": lambda n: r"\boxed)" * (n // 7),
    "a blank box": lambda n: r"\boxed{1} \boxed{" + "{}" * (n // 2) + "}",
    "nearly a blank box": lambda n: r"\boxed{" + "{}" * (n // 2) + "x}",
    "marks": lambda n: "answer:" * (n // 7),
    "marks with nothing behind": lambda n: "answer: ** \n" * (n // 12),
    "final answers": lambda n: "final answer is " * (n // 16),
    "a mark and white space": lambda n: "Answer:" + " " * n,
    "a mark and markup": lambda n: "Answer: 1" + ".*" * (n // 2),
    "marks and boxes": lambda n: r"Answer: \boxed{} " * (n // 17),
    "marks and open boxes": lambda n: "Answer: \\boxed{1\n" * (n // 17),
    "a mark and dollars": lambda n: "Answer: " + "$1" * (n // 2) + "$",
    "a mark and escaped dollars": lambda n: "Answer: $" + r"\$" * (n // 2),
    "a mark and displays": lambda n: "Answer: $$" * (n // 10),
    "a mark and a lead": lambda n: "Answer: the" + " " * n,
}


@pytest.mark.parametrize("template", list(TEMPLATES))
@pytest.mark.parametrize("kind", list(LONG))
def test_time_grows_with_the_length_and_no_faster(kind: str, template: str) -> None:
    """A million characters in some seconds of processor time at most: a rule that is quadratic would take minutes."""
    text = LONG[kind](1_000_000)
    start = time.process_time()
    extract_answer(text, template=template)
    assert time.process_time() - start < 15


HOSTILE = ["\\boxed", "\\boxed{", "{", "}", "\\", "$", "$$", "\\[", ".", "*", "**", "_", " ", "\n", "Answer:",
           "final answer is ", "<answer>", "</answer>",
           "</think>", "####", "the ", "1", "x", "\\right.", ":"]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=12), st.lists(st.sampled_from(HOSTILE), max_size=4))
def test_eight_times_the_text_takes_about_eight_times_the_time(block: list[str], behind: list[str]) -> None:
    """A rule that is quadratic would take 64 times as long."""
    for template in TEMPLATES:
        for last in (False, False, True):  # a busy machine may disturb one measurement, and hardly three
            short, long = (processor_seconds("".join(block), length, "".join(behind), template)
                           for length in (20_000, 160_000))  # fmt: skip
            if long < max(24 * short, 0.3):
                break
            assert not last, (template, block, behind, short, long)


def processor_seconds(block: str, length: int, behind: str, template: str) -> float:
    """The time for a text of about this length, made of one block."""
    text = block * (length // len(block)) + behind
    start = time.process_time()
    extract_answer(text, template=template)
    return time.process_time() - start


def test_a_training_batch_takes_no_time() -> None:
    """2,048 responses of 12,000 characters: a step of 128 prompts with 16 responses each."""
    responses = [LONG["prose"](12_000) + str(number) for number in range(2048)]
    start = time.process_time()
    assert {extract_answer(response) for response in responses} == {r"\frac{1}{2}"}
    assert time.process_time() - start < 0.5


def test_a_score() -> None:
    verdict = score_response(r"\boxed{\frac12}", "0.5", truncated=False, template="boxed", level="symbolic")
    assert (verdict.answer, verdict.reward, verdict.truncated) == (r"\frac12", 1.0, False)


def test_a_response_that_was_cut_off_has_no_answer() -> None:
    verdict = score_response(r"\boxed{\frac12}", "0.5", truncated=True, template="boxed", level="symbolic")
    assert (verdict.answer, verdict.reward, verdict.truncated) == (None, 0.0, True)


def test_a_response_without_an_answer_gets_nothing() -> None:
    assert score_response("0.5", "0.5", truncated=False, template="boxed", level="symbolic").reward == 0.0
