"""Tests with the real engine: vLLM's CPU build, in the environment that `make_vllm_environment` makes.

Elsewhere nothing here is collected. `bash tests/real_engine/run.sh` runs it; `.ci/run` does not yet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seed_grpo.engines.vllm import installed_vllm

if installed_vllm() is None:
    collect_ignore_glob = ["test_*.py"]


def pytest_collection_modifyitems(items: list[Any]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vllm)
