"""The library and the command line's help load nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "verl", "ray", "transformers", "datasets", "vllm", "pandas", "matplotlib", "sympy")


@pytest.mark.parametrize("statement", ["import seed_grpo", "import seed_grpo.cli", "import seed_grpo.verl_plugin"])
def test_nothing_heavy_is_imported(statement: str) -> None:
    program = f"import sys; {statement}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
