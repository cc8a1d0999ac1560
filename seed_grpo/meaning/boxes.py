r"""The last box of a response that holds something: `\boxed{…}` or `\fbox{…}`, or `\boxed 8` without braces.

A box that holds nothing (`\boxed{}`, `\boxed{\ }`, `\boxed{…}` with an ellipsis, or a bare `\boxed` in a sentence about
the format) is talk about the answer, not the answer: the box before it counts. A box whose braces never close is
different. It is the start of an answer that was cut off, and neither its beginning nor an earlier, abandoned box is
what the response wanted to say: such a response has no answer.

Linear in the length of the text; nothing is evaluated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_COMMAND = r"\\(?:boxed|fbox)(?![A-Za-z])"
BOX = re.compile(_COMMAND)
_BRACED = re.compile(_COMMAND + r"\s*\{")
_BRACE_OR_ESCAPE = re.compile(r"\\.|[{}]", re.DOTALL)
_BARE_ARGUMENT = re.compile(r"[ \t]*([^\s$]+)")

# What a box can be filled with and still be empty: white space, delimiters, an ellipsis, commands for spaces and fonts.
_BLANK = r"\\(?:[,;:!\s]|(?:q?quad|text|textbf|mbox|mathrm|mathbf|l?dots|cdots)(?![A-Za-z]))"
_NOTHING = re.compile(rf"(?:[\s{{}}$~.…]|{_BLANK}|{_COMMAND})*")
_TOKEN = re.compile(
    # A doubled backslash before a box is a damaged one, not an escape that hides the box.
    rf"(?P<box>\\?{_COMMAND}(?:\s*\{{)?)"
    rf"|(?P<blank>{_BLANK})"
    r"|(?P<open>\{)|(?P<close>\})"
    r"|(?P<something>\\.|[^\\{}\s$~.…]+)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Found:
    """Where a response says that its answer stands; `content` is None if the text ends before the answer does."""

    content: str | None


@dataclass
class _Box:
    """A box in the text.

    Attributes:
        start: the position of its command.
        inside: the position behind its command, or behind its opening brace.
        braced: whether it has an opening brace.
        closing: the position of its closing brace; None without one.
        holds: whether something stands between the braces.
    """

    start: int
    inside: int
    braced: bool
    closing: int | None = None
    holds: bool = False


def find_box(text: str) -> Found | None:
    """The last box that holds something; None if there is none, a `Found` without content if that box is cut off."""
    start = text.rfind("\\boxed")
    start = max(start, text.rfind("\\fbox", max(start, 0)))
    if start < 0:
        return None
    # Nearly always the last box is whole and holds something; only otherwise is the text read from the front.
    braced = _BRACED.match(text, start)
    if braced:
        content = _balanced(text, braced.end() - 1)
        if content is None or holds_something(content):
            return Found(content)
    return _last_that_holds(text)


def last_box(text: str) -> str | None:
    """The content of the last box that holds something; None if there is no such box, or it is cut off."""
    box = find_box(text)
    return box.content if box else None


def holds_something(content: str) -> bool:
    """Whether there is more to it than white space, delimiters, an ellipsis and empty commands."""
    return content[:1].isalnum() or _NOTHING.fullmatch(content) is None


def _balanced(text: str, opening: int) -> str | None:
    """What stands between the brace at `opening` and its partner; an escaped brace is a character like any other."""
    first = text.find("}", opening)
    plain = text[opening + 1 : first]
    if first >= 0 and "{" not in plain and "\\" not in plain:
        return plain
    depth = 0
    for match in _BRACE_OR_ESCAPE.finditer(text, opening):
        if match.group() == "{":
            depth += 1
        elif match.group() == "}":
            depth -= 1
            if depth == 0:
                return text[opening + 1 : match.start()]
    return None


def _last_that_holds(text: str) -> Found | None:
    word: str | None = None
    end = len(text)
    for box in reversed(_all_boxes(text)):
        if box.braced:
            if box.closing is None:
                return Found(None)
            if box.holds:
                return Found(text[box.inside : box.closing])
        else:
            argument = _bare_argument(text, box.inside, end)
            if argument is not None and not _is_word(argument):
                return Found(argument)
            word = word or argument
        end = box.start
    # "\boxed Paris": a word counts only if no other box does, since it is mostly the next word of a sentence.
    return Found(word) if word else None


def _all_boxes(text: str) -> list[_Box]:
    """Every box, in one pass: boxes nest, so looking for the end of each apart would be quadratic."""
    boxes: list[_Box] = []
    braces: list[_Box | None] = []
    something = -1
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "something":
            something = token.start()
        elif kind == "open":
            braces.append(None)
        elif kind == "close":
            box = braces.pop() if braces else None
            if box is not None:
                box.closing, box.holds = token.start(), something >= box.inside
        elif kind == "box":
            boxes.append(_Box(token.start(), token.end(), text[token.end() - 1] == "{"))
            if boxes[-1].braced:
                braces.append(boxes[-1])
    return boxes


def _bare_argument(text: str, start: int, end: int) -> str | None:
    """The argument of a box without braces; TeX would take a single token, but people write "\\boxed 42"."""
    match = _BARE_ARGUMENT.match(text, start, end)
    if match is None:
        return None
    argument = match[1].rstrip(".,;:").removesuffix("\\)").removesuffix("\\]")
    return argument if any(character.isalnum() or character in "∞∅" for character in argument) else None


def _is_word(argument: str) -> bool:
    letters = "".join(filter(str.isalnum, argument))
    return len(letters) > 1 and letters.isalpha() and "\\" not in argument
