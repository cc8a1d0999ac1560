"""The library and the command line's help load nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "verl", "ray", "transformers", "datasets", "vllm", "pandas", "matplotlib", "sympy")


# The last two: Ray loads an actor's module in every process that holds its handle.
MODULES = [
    "seed_grpo",
    "seed_grpo.cli",
    "seed_grpo.verl_plugin",
    "seed_grpo.verl_plugin.cpu.hf_server",
    "seed_grpo.verl_plugin.cpu.column_store",
]


@pytest.mark.parametrize("statement", [f"import {module}" for module in MODULES])
def test_nothing_heavy_is_imported(statement: str) -> None:
    program = f"import sys; {statement}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=180, check=True)
    assert done.stdout.strip() == "[]"
