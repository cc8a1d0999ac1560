"""The benchmark of the clusters runs, and what it shows on a small part is what its page says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(shared_data: Path, *arguments: str) -> str:
    command = [sys.executable, "benchmarks/clustering.py", "--data", str(shared_data), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_our_levels_alone(shared_data: Path) -> None:
    output = run(shared_data, "--prompts", "8", "--repeats", "1", "--only-ours")
    rows = [line.split(" | ") for line in output.splitlines() if line.startswith("| ") and line[2] in "ABCDE"]
    assert len(rows) == 20
    for name in "ABCDE":
        clusters = [float(row[3]) for row in rows if row[0] == f"| {name}"]
        assert clusters == sorted(clusters, reverse=True), "a coarser level has no more clusters"
    assert "equal at symbolic and not at normalized" in output
    assert "'timeouts': 0" in output


@pytest.mark.slow
@pytest.mark.benchmark
def test_next_to_math_verify(shared_data: Path) -> None:
    pytest.importorskip("math_verify", reason="needs the extra `benchmark`")
    output = run(shared_data, "--prompts", "4", "--repeats", "1", "--workloads", "ABE")
    assert output.count("Math-Verify, both orders, union-find") == 3


def test_missing_files_are_named(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/clustering.py", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, cwd=ROOT)
    assert done.returncode == 1
    assert "--data" in done.stderr
