"""docs/method.md: its tables are what the script prints, and its first table lists what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from seed_grpo.method.weights import WEIGHTS, default_parameters, may_exceed_one

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")


def test_the_tables_are_what_the_script_prints(tmp_path: Path) -> None:
    picture = tmp_path / "weights.svg"
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "weights.py"), "--figure", str(picture)],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    tables = [table for table in done.stdout.strip().split("\n\n") if table]
    assert len(tables) == 3
    for table in tables:
        assert table in PAGE
    assert "<svg" in picture.read_text(encoding="utf-8")


def test_all_weights_together_cost_little() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "weights.py"), "--cost"],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    added = {
        size: float(cost)
        for size, cost in re.findall(r"^\| ([\d × ]+) \|.*\| ([\d.]+) ms \|$", done.stdout, flags=re.MULTILINE)
    }
    assert added["128 × 16"] < 2
    assert added["4096 × 64"] < 300 * max(added["128 × 16"], 0.1)  # 128 times the responses
    assert re.search(r"to the power of -?\d\.\d\d", done.stdout)


def test_the_first_table_lists_every_weight() -> None:
    rows = dict(
        re.findall(r"^\| `\[(\w+)\]`(?: \(default\))? \| [^\n]*? \| (no|yes|only [^|]+) \|", PAGE, re.MULTILINE)
    )
    assert set(rows) == set(WEIGHTS)
    for name, above_one in rows.items():
        assert (above_one == "yes") == may_exceed_one((name,), "linear")


def test_parameters_are_named() -> None:
    for name, parameters in default_parameters().items():
        for parameter in parameters:
            assert f"{name}.{parameter}" in PAGE
