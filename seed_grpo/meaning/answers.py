"""The final answer of a response, as text. Linear in the response's length; nothing is evaluated.

A template says where the field's prompts put the answer:

* `boxed`: the last `\\boxed{…}` or `\\fbox{…}` that holds something (Qwen-Math's prompt, or none). A box that is cut
  off is no answer (`seed_grpo.meaning.boxes`).
* `answer_tag`: R1's `… </think> <answer>…</answer>`, with a box inside or without one.
* `gsm8k`: the line behind the last `####`, with a colon or without.
* `phrase`: the last box, else what follows the last "answer is", else the answer line. A last resort.
* `answer_line`: `Answer: 42`, `Final answer: 42.`, `The final answer is $42$` (`seed_grpo.meaning.answer_line`).
* `auto`: the box, else the answer tag, else the answer line, for responses of unknown form.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from seed_grpo.errors import UsageError
from seed_grpo.meaning.answer_line import answer_line
from seed_grpo.meaning.boxes import BOX, find_box, holds_something, last_box

_PHRASE = re.compile(r"answer\s{0,8}is\s{0,8}:?\s{0,8}", re.IGNORECASE)
_THOUGHT_BEFORE_ANSWER = re.compile(r"</think>\s*<answer>")
_OPEN, _CLOSE = "<answer>", "</answer>"


def extract_answer(response: str, *, template: str = "boxed") -> str | None:
    """The final answer of a response; None when there is none.

    Args:
        response: the response's text, of any length and content.
        template: a key of `TEMPLATES`.

    Raises:
        UsageError: an unknown template.
    """
    extract = TEMPLATES.get(template)
    if extract is None:
        raise UsageError(f"Unknown answer template {template!r}.", f"choose one of {', '.join(TEMPLATES)}.")
    answer = extract(response)
    return (answer.strip() or None) if answer is not None else None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = deque(pattern.finditer(text), maxlen=1)
    return last[0] if last else None


def _answer_tag(text: str) -> str | None:
    end = text.rfind(_CLOSE)
    start = text.rfind(_OPEN, 0, end) if end >= 0 else -1
    # The format counts, as in R1's reward: the thought ends before an answer begins. White space between is free.
    if start < 0 or not _THOUGHT_BEFORE_ANSWER.search(text, 0, start + len(_OPEN)):
        return None
    inside = text[start + len(_OPEN) : end]
    return last_box(inside) if BOX.search(inside) else inside


def _gsm8k(text: str) -> str | None:
    start = text.rfind("####")
    return text[start + 4 :].split("\n", 1)[0].lstrip(" \t:：") if start >= 0 else None


def _phrase(text: str) -> str | None:
    box = find_box(text)
    if box is not None:
        return box.content
    match = _last(_PHRASE, text)
    if match is None:
        return answer_line(text)
    # The sentence ends at a full stop before white space, not at a decimal point.
    sentence = re.split(r"\.(?=\s|$)", text[match.end() :].split("\n", 1)[0], maxsplit=1)[0]
    return sentence.strip().strip("$").strip("*")


def _auto(text: str) -> str | None:
    box = find_box(text)
    if box is not None:
        return box.content
    start, end = text.rfind(_OPEN), text.rfind(_CLOSE)
    if start > end:
        return None  # a tag that is cut off, like a box that is
    # The format does not count here, as it does for `answer_tag`: a tag without a thought before it is one.
    inside = text[start + len(_OPEN) : end] if start >= 0 else ""
    return (answer_line(inside) or inside) if holds_something(inside) else answer_line(text)


TEMPLATES: dict[str, Callable[[str], str | None]] = {
    "boxed": last_box,
    "answer_tag": _answer_tag,
    "gsm8k": _gsm8k,
    "phrase": _phrase,
    "answer_line": answer_line,
    "auto": _auto,
}
