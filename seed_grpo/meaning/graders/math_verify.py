"""Math-Verify as a second opinion, called as its documentation does: the gold in a box, the response as it is.

Only its timeouts are off. They set the alarm that the sandbox's own timer needs, and bound each step, not the whole. An
error inside Math-Verify means that the response is wrong, as it does there.
"""

from __future__ import annotations

import json
import logging
from typing import Any

WARM_UP = json.dumps([r"\boxed{\sqrt{2}}", ["x+1"]])
"""Loads sympy and antlr before the first clock runs."""


def grade(text: str) -> dict[str, Any]:
    """Whether a response is correct, and the answer that Math-Verify finds in it.

    Args:
        text: `[response, [gold, …]]` as JSON.
    """
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    response, golds = json.loads(text)
    found = parse(response, parsing_timeout=None)
    correct = any(
        verify(parse(rf"\boxed{{{gold}}}", parsing_timeout=None), found, timeout_seconds=None) for gold in golds
    )
    # Its last element is the text behind the expression that it read.
    return {"correct": correct, "answer": found[-1] if found and isinstance(found[-1], str) else None}
