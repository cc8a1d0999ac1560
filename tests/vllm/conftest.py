"""Tests with the real engine: vLLM's CPU build, in the environment that `make_vllm_environment` makes.

Elsewhere nothing here is collected. `.ci/run` runs this folder first, in that environment, and the rest after it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("vllm") is None:
    collect_ignore_glob = ["test_*.py"]


def pytest_collection_modifyitems(items: list[Any]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vllm)
