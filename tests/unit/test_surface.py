"""Every command × paths of every kind × environments: a status, at most one line of error, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from surface import KINDS

from seed_grpo.meaning.by_answer import ByAnswer
from seed_grpo.meaning.protocol import Sample
from seed_grpo.measuring import measure_responses
from seed_grpo.method.settings import MethodSettings
from seed_grpo.runs.records import RunRecords

SURFACE = Path(__file__).resolve().parents[1] / "surface.py"
SECONDS = 600

ENVIRONMENTS: dict[str, tuple[dict[str, str | None], str]] = {
    "plain": ({}, ""),
    "an ASCII terminal": ({"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "TERM": "dumb"}, ""),
    "no home": ({"HOME": "/proc/no-such-home"}, ""),
    "umask 077": ({}, "umask 077; "),
    "closed standard output": ({}, "exec >&-; "),
}


def fill(folder: Path) -> None:
    """A small run and a small data file."""
    records = RunRecords(folder / "run")
    for step in (1, 2):
        measured = measure_responses(
            ["p", "p", "q", "q"], [Sample(None, answer) for answer in ("1", "2", "3", "3")], [1.0, 0.0, 1.0, 1.0],
            ByAnswer("exact"), MethodSettings(),
        )  # fmt: skip
        prompts = [{**record, "prompt": "1 + 0 = ?", "gold": "1"} for record in measured.records()]
        records.write_prompts(step, prompts)
        records.write_step(step, {**measured.metrics(), "val/accuracy": step / 4, "timing_s/step": 1.0,
                                  "perf/samples_per_second": 4.0})  # fmt: skip
    row = {"question": "What is 2 + 3?", "answer": "2 + 3 = 5\n#### 5"}
    (folder / "gsm8k.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, dict[str, Any]]]:
    """What every call gave, by environment; all environments at once."""
    processes = {}
    for name, (changes, before) in ENVIRONMENTS.items():
        root = tmp_path_factory.mktemp("surface")
        home = root / "home"
        for folder in (*(root / part for part in KINDS.values() if part != "~"), home):
            folder.mkdir(parents=True)
            fill(folder)
        variables = {**os.environ, "HOME": str(home), "HOME_OF_TILDE": str(home), "PYTHONWARNINGS": "ignore", **changes}
        command = f'{before}exec "$@"'
        processes[name] = (
            subprocess.Popen(
                ["bash", "-c", command, "bash", sys.executable, str(SURFACE), str(root), str(root / "out.json")],
                env={key: value for key, value in variables.items() if value is not None},
                cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            ),
            root / "out.json",
        )  # fmt: skip
    results = {}
    try:
        for name, (process, out) in processes.items():
            output, _ = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, f"{name}: {output[-2000:]}"
            results[name] = json.loads(out.read_text(encoding="utf-8"))
    finally:
        for process, _ in processes.values():
            process.kill()
    return results


@pytest.mark.parametrize("environment", list(ENVIRONMENTS))
def test_every_command_takes_every_path(environment: str, swept: dict[str, dict[str, dict[str, Any]]]) -> None:
    faults = []
    for name, result in swept[environment].items():
        expected = result["expected"]
        if environment == "no home" and name.endswith("tilde"):
            expected = None  # there is nothing to expand ~ to: any status but a traceback
        lines = 1 if result["status"] in (1, 2) else 0
        if result["status"] not in ((0, 1, 2) if expected is None else (expected,)) or len(result["errors"]) != lines:
            faults.append(f"{name}: {result['status']} instead of {expected}; {result['stderr'][-300:]}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "experiment=qwen2.5_math_7b", "platform=gpu"]])
def test_closed_standard_output_is_no_traceback(arguments: list[str]) -> None:
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" >&-', "bash", sys.executable, "-m", "seed_grpo.cli", *arguments],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
