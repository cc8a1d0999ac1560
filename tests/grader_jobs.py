"""Graders for the tests of second opinions: one that dies in every way, and one that does not work."""

from __future__ import annotations

import json
import os
from typing import Any


def crash(text: str) -> Any:
    """A grader that fails on the responses `crash`, `memory`, `raise` and `nonsense`, and finds every other correct."""
    response = json.loads(text)[0]
    if response == "crash":
        os._exit(3)
    if response == "memory":
        return {"correct": len(bytearray(1 << 33)) > 0, "answer": None}
    if response == "raise":
        raise ValueError(response)
    return "correct" if response == "nonsense" else {"correct": True, "answer": None}


def always_wrong(text: str) -> Any:
    return {"correct": False, "answer": text}
