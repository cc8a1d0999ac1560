"""The benchmark of the advantage step, at a small size: what SEED-GRPO adds is little, and grows linearly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from runs import ROOT, RUN_SECONDS


@pytest.mark.e2e
def test_the_added_cost_is_small_and_grows_linearly(tmp_path: Path) -> None:
    out = tmp_path / "advantage.json"
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "advantage_step.py"), "--prompts", "64", "--responses", "16",
         "--tokens", "600", "--repeats", "3", "--json", str(out)],
        capture_output=True, text=True, timeout=RUN_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    result = json.loads(out.read_text(encoding="utf-8"))
    # 3,000 tokens and 2,048 responses: 5 % and 50 ms. Here the stage is eight times as short, and the machine shared.
    assert result["added_share"] < 0.15
    assert result["added_seconds"] < 0.05
    assert result["added_seconds"] < result["added_when_fetched_seconds"], "nothing was handed over in memory"
    assert list(result["growth_seconds"])[-1] == "4096x64"
    assert 0.7 < result["growth_slope"] < 1.2
    assert "SEED-GRPO adds" in done.stdout
