"""Overrides in Hydra's grammar, written by a program."""

from __future__ import annotations

import re
from typing import Any


def quoted(value: Any) -> str:
    """A text as a value of Hydra's grammar, where a backslash means itself unless a quote follows."""
    text = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), str(value))
    return f"'{text}'"
