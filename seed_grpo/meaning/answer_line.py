r"""Answers on a line of their own: `Answer: 42`, `**Final answer:** $42$.`, `The final answer is \boxed{42}`.

This is the form that the prompts of DAPO ("The last line of your response should be of the form Answer: $Answer") and
of OpenAI's simple-evals ask for, and Minerva's "Final Answer: The final answer is 42. I hope it is correct." The last
mark that has something behind it wins. A sentence such as "the answer is 42" is no mark: it occurs in the middle of a
thought as often as at its end, and in "so this answer is correct" behind it. Nor is "the final answer is correct".

Linear in the length of the text; nothing is evaluated.
"""

from __future__ import annotations

import re

from seed_grpo.meaning.boxes import BOX, Found, find_box, holds_something

_DECORATION = r"[ \t*_`}]{0,8}"
_JUDGEMENT = r"[ \t]{1,4}(?:(?:in)?correct|right|wrong|reasonable|consistent|verified|not|in|that)\b"
_MARK = re.compile(
    rf"(?<![A-Za-z])(?:final[ \t]{{1,4}}answers?{_DECORATION}(?:is|are)(?![A-Za-z])(?!{_JUDGEMENT}){_DECORATION}[:：]?"
    rf"|answers?{_DECORATION}(?:(?:is|are){_DECORATION})?[:：])",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"[\s*_`}]*(?:(?:the[ \t]{1,4})?(?:[a-z]{1,12}[ \t]{1,4})?answers?[ \t]{1,4}(?:is|are)\b[\s*_`:]*)?", re.IGNORECASE
)
# A sentence ends at a full stop before white space: not at a decimal point, in "…", at \right., or between two dollars.
_PIECE = re.compile(r"\\right\.|\\.|(?P<math>\$(?:\\.|[^$\\])*\$)|\.{2,}|(?P<stop>\.)(?=[*_`]{0,3}(?:\s|$))", re.DOTALL)
_DOLLAR = re.compile(r"(?<!\\)\$")
_PAIRS = (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("$", "$"))
_DISPLAYS = (("$$", "$$"), ("\\[", "\\]"))
_LAYERS = 4
"""Markup around an answer that is taken off, as in **$42$.**; a bound, so that no text makes it quadratic."""


def answer_line(text: str) -> str | None:
    """What the last answer line with something on it says; None if there is no such line, or its box is cut off."""
    found = find_answer_line(text)
    return found.content if found else None


def find_answer_line(text: str) -> Found | None:
    """As `find_box` does for boxes: None if no line has an answer, a `Found` without content if it is cut off."""
    end = len(text)
    for mark in reversed(list(_MARK.finditer(text))):
        # Up to the next mark, so that no part of the text is read twice.
        found = _behind(text, mark.end(), end)
        if found is not None and (found.content is None or holds_something(found.content)):
            return found
        end = mark.start()
    return None


def _behind(text: str, start: int, end: int) -> Found | None:
    """What stands between a mark and the next one: the rest of its line, or if that is blank the next line."""
    lead = _LEAD.match(text, start, end)
    start = lead.end() if lead else start
    newline = text.find("\n", start, end)
    line_end = newline if newline >= 0 else end
    if BOX.search(text, start, line_end):
        box = find_box(text[start:line_end])
        if box is not None and box.content is None:
            box = find_box(text[start:end])  # its braces close on a later line, or never
        if box is not None:
            return box
    for opening, closing in _DISPLAYS:
        if text.startswith(opening, start, end):
            until = text.find(closing, start + 2, end)
            if until >= 0:
                return Found(_trimmed(text[start + 2 : until]))
    return Found(_trimmed(_sentence(text[start:line_end])))


def _sentence(line: str) -> str:
    for piece in _PIECE.finditer(line):
        if piece["stop"]:
            return line[: piece.start()]
        if piece["math"] and piece["math"].endswith(".$") and not piece["math"].endswith("..$"):  # $x=1.$
            return line[: piece.end()]
    return line


def _trimmed(answer: str) -> str:
    """Without the markup around the whole of it, and without a full stop at its end."""
    for _ in range(_LAYERS):
        answer = answer.strip().strip("*_`").strip()
        if answer.endswith(".") and not answer.endswith(("..", "\\right.")):
            answer = answer[:-1]
        for opening, closing in _PAIRS:
            inside = answer[len(opening) : -len(closing)]
            whole = len(answer) >= 2 * len(opening) and answer.startswith(opening) and answer.endswith(closing)
            if whole and opening not in inside and closing not in inside:
                answer = inside
        if len(_DOLLAR.findall(answer)) == 1:  # "Answer: $42", as DAPO's prompt spells it
            answer = answer.removeprefix("$") if answer.startswith("$") else answer.removesuffix("$")
    return answer
