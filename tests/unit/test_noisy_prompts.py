"""The benchmark that asks whether entropy finds wrong gold answers, on records made by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "noisy_prompts.py"


def record(step: int, prompt: str, gold: str, entropy: float, answers: list[str]) -> dict:
    rewards = [float(answer == gold) for answer in answers]
    return {"step": step, "prompt": prompt, "gold": [gold], "entropy": entropy, "answers": answers, "rewards": rewards}


def write_run(folder: Path, wrong_entropy: float) -> None:
    """Three steps; at each a hard sum with a right gold, one with a wrong gold, and an easy one that does not count."""
    folder.mkdir(parents=True)
    lines = [
        each
        for step in (1, 2, 3)
        for each in (
            record(step, "17+25=", "42", 0.5, ["42", "42", "32"]),
            record(step, "38+14=", "42", wrong_entropy, ["52", "52", "42"]),
            record(step, "3+4=", "8", 9.0, ["7", "8", "9"]),
        )
    ]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (folder / "summary.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize(("wrong_entropy", "found"), [(0.9, "1.00"), (0.1, "0.00"), (0.5, "0.50")])
def test_the_area_under_the_curve(wrong_entropy: float, found: str, tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path / "runs" / "wrong_30_1" / f"seed_{seed}", wrong_entropy)
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = dict(line.strip("| ").split(" | ", 2)[1:] for line in done.stdout.splitlines()[2:])
    assert rows["entropy"] == f"2 | {found} ± 0.00 | {found} ± 0.00 | {found} ± 0.00"
    assert rows["majority disagrees"].startswith("2 | 1.00"), "the model says 52 where the gold says 42"
    assert rows["share of wrong responses"].startswith("2 | 1.00")


def test_a_folder_without_such_runs(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "start the study `noise` first" in done.stderr
