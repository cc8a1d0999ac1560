"""The final answer of a response, as text. Linear in the response's length; nothing is evaluated.

A template says where the field's prompts put the answer:

* `boxed`: the last `\\boxed{…}` or `\\fbox{…}` (Qwen-Math's prompt, or none). A box that is cut off is no answer.
* `answer_tag`: R1's `… </think> <answer>…</answer>`, with a box inside or without one.
* `gsm8k`: the line behind the last `####`.
* `phrase`: the last box, else what follows the last "answer is". A last resort that has to be asked for.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from seed_grpo.errors import UsageError

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")
_BRACE_OR_ESCAPE = re.compile(r"\\.|[{}]", re.DOTALL)
_BARE_ARGUMENT = re.compile(r"[^\s$]+")
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


def last_box(text: str) -> str | None:
    """The content of the last box; None when there is no box, or the last one is cut off."""
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    if start < 0:
        return None
    box = _BOX.match(text, start)
    if box is None:  # a longer command such as \\boxedx: look through the text once, not from each of them
        box = _last(_BOX, text)
    if box is None:
        return None
    position = box.end()
    while position < len(text) and text[position].isspace():
        position += 1
    if position == len(text):
        return None
    if text[position] != "{":
        # TeX would take a single token; people write "\boxed 42".
        bare = _BARE_ARGUMENT.match(text, position)
        return bare.group().rstrip(".,;:").removesuffix("\\)").removesuffix("\\]") if bare else None
    return _balanced(text, position)


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = deque(pattern.finditer(text), maxlen=1)
    return last[0] if last else None


def _balanced(text: str, opening: int) -> str | None:
    """What stands between the brace at `opening` and its partner; an escaped brace is a character like any other."""
    depth = 0
    for match in _BRACE_OR_ESCAPE.finditer(text, opening):
        if match.group() == "{":
            depth += 1
        elif match.group() == "}":
            depth -= 1
            if depth == 0:
                return text[opening + 1 : match.start()]
    return None


def _answer_tag(text: str) -> str | None:
    end = text.rfind(_CLOSE)
    start = text.rfind(_OPEN, 0, end) if end >= 0 else -1
    # The format counts, as in R1's reward: the thought ends before an answer begins. White space between is free.
    if start < 0 or not _THOUGHT_BEFORE_ANSWER.search(text, 0, start + len(_OPEN)):
        return None
    inside = text[start + len(_OPEN) : end]
    return last_box(inside) if _BOX.search(inside) else inside


def _gsm8k(text: str) -> str | None:
    start = text.rfind("####")
    return text[start + 4 :].split("\n", 1)[0] if start >= 0 else None


def _phrase(text: str) -> str | None:
    if _BOX.search(text):
        return last_box(text)
    match = _last(_PHRASE, text)
    if match is None:
        return None
    # The sentence ends at a full stop before white space, not at a decimal point.
    sentence = re.split(r"\.(?=\s|$)", text[match.end() :].split("\n", 1)[0], maxsplit=1)[0]
    return sentence.strip().strip("$").strip("*")


TEMPLATES: dict[str, Callable[[str], str | None]] = {
    "boxed": last_box,
    "answer_tag": _answer_tag,
    "gsm8k": _gsm8k,
    "phrase": _phrase,
}
