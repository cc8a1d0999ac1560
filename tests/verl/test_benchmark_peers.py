"""The benchmark against stock verl and TRL: its parts, and the whole of it at a small size."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from runs import ROOT, RUN_SECONDS

sys.path.insert(0, str(ROOT / "benchmarks"))
import _peers
import peers
from _peers import Block, Size, Started, Task, run_block


def side(tmp_path: Path, body: str) -> Any:
    """A side that runs a shell script; `$OUT` is its file of metrics."""

    def start(task: Task) -> Started:
        out = task.folder / "metrics.jsonl"
        return Started(["bash", "-c", body], {"OUT": str(out)}, out)

    return start


LINE = """echo '{"step": 1, "timing_s/step": 0.2, "timing_s/gen": 0.1}' >> $OUT"""
STEPS = f"for step in 1 2 3 4; do sleep 0.3; {LINE}; done"


def left_running(word: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if word in " ".join(process.info["cmdline"] or ())]


def test_a_block_is_timed_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(_peers.SIDES, "fake", side(tmp_path, STEPS))
    block = run_block("fake", Size(8, 4), 4, 2, tmp_path, 1, limit=30)
    assert block.failure is None
    assert len(block.steps) == 2
    assert all(0.25 < seconds < 1.0 for seconds in block.steps)
    assert block.first == pytest.approx(block.begin + 0.2)
    assert 0.25 < block.first < 2
    assert block.stages == {"gen": 0.1, "step": 0.2}
    assert block.total > 1.2
    assert block.memory > 0


def test_a_block_that_hangs_is_ended_with_all_that_it_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A daemon in a session of its own, as Ray starts them, and a child that does not care for SIGTERM.
    body = f"setsid sleep 4321 & (trap '' TERM; sleep 4321; sleep 4322) & {LINE}; wait"
    monkeypatch.setitem(_peers.SIDES, "fake", side(tmp_path, body))
    start = time.monotonic()
    block = run_block("fake", Size(8, 4), 3, 1, tmp_path, 1, limit=2)
    assert time.monotonic() - start < 30
    assert block.failure is not None
    assert "ended after 2 s in step 2 of 3" in block.failure
    assert not left_running("sleep 4321")
    assert not left_running("sleep 4322")


def test_a_block_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(_peers.SIDES, "fake", side(tmp_path, "echo no such thing; exit 3"))
    block = run_block("fake", Size(8, 4), 3, 1, tmp_path, 1, limit=20)
    assert block.failure is not None
    assert "status 3" in block.failure
    assert "no such thing" in block.failure


def test_half_a_line_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = _peers.Tail(path)
    assert tail.new_lines() == []
    path.write_text('{"step": 1}\n{"st')
    assert tail.new_lines() == [{"step": 1}]
    path.write_text('{"step": 1}\n{"step": 2}\n')
    assert tail.new_lines() == [{"step": 2}]


def test_ratios_are_of_medians_and_failed_blocks_do_not_count() -> None:
    blocks = [Block("ours", "32x8", steps=[step], first=20.0) for step in (2.0, 1.0, 9.0)]
    blocks += [Block("trl", "32x8", steps=[step, step, 50.0], first=5.0) for step in (1.0, 0.5, 2.0)]
    blocks += [Block("verl", "32x8", failure="it hung"), Block("verl", "32x8", steps=[8.0], first=40.0)]
    result = peers.summarize(blocks, {"32x8": 2})
    assert result["step_ratio_vs_trl"] == {"32x8": 2.0}
    assert result["step_ratio_vs_verl"] == {"32x8": 0.25}
    assert result["start_up_ratio_vs_trl"] == {"32x8": 4.0}
    assert result["medians"]["32x8"]["trl"]["samples_per_second"] == 256
    assert result["medians"]["32x8"]["verl"]["blocks"] == 1
    assert "2.00 times" in peers.table(result)


def test_bad_usage() -> None:
    for arguments in (["--sizes", "32by8"], ["--sides", "ours,them"]):
        done = subprocess.run([sys.executable, str(ROOT / "benchmarks" / "peers.py"), *arguments],
                              capture_output=True, text=True, timeout=180)  # fmt: skip
        assert done.returncode == 2
        assert arguments[0] in done.stderr


@pytest.mark.e2e
@pytest.mark.benchmark
def test_all_sides_in_turn(quickstart_base: Path, tmp_path: Path) -> None:
    """TRL takes part where its environment is there; making one takes minutes."""
    sides = ["ours", *(["trl"] if _peers.trl_is_installed() else []), "verl"]
    out = tmp_path / "peers.json"
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "peers.py"), "--sizes", "8x4", "--rounds", "1", "--steps", "1",
         "--sides", ",".join(sides), "--json", str(out), "--out", str(quickstart_base)],
        capture_output=True, text=True, timeout=RUN_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text(encoding="utf-8"))
    assert list(result["medians"]["8x4"]) == sides
    for side_name, numbers in result["medians"]["8x4"].items():
        assert 0 < numbers["step"] < numbers["begin"] < numbers["first"] < numbers["total"], side_name
        assert numbers["memory_mib"] > 200
        assert numbers["stages"]["gen"] > 0
        assert f"| 8x4 | {peers.NAMES[side_name]} |" in done.stdout
    assert result["step_ratio_vs_verl"]["8x4"] > 0
    assert not left_running("/tmp/sgp-")


@pytest.mark.e2e
@pytest.mark.benchmark
def test_ending_it_ends_the_block_under_way(quickstart_base: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "benchmarks" / "peers.py"), "--sizes", "8x4", "--sides", "ours",
         "--out", str(quickstart_base)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not any("gcs_server" in " ".join(found.info["cmdline"]) for found in left_running("/tmp/sgp-")):
        assert process.poll() is None
        assert time.monotonic() < deadline, "no block was started"
        time.sleep(0.1)
    process.terminate()
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 130, output
    assert not left_running("/tmp/sgp-")


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.benchmark
def test_trls_environment_and_block(quickstart_base: Path) -> None:
    """The installation itself takes minutes and gigabytes: it is made by `python benchmarks/peers.py`, not here."""
    if not _peers.trl_is_installed():
        pytest.skip(f"TRL's environment is not at {_peers.trl_environment()}; benchmarks/peers.py makes it")
    block = run_block("trl", Size(8, 4), 4, 1, quickstart_base, 1, limit=200)
    assert block.failure is None
    assert block.stages["gen"] > 0
    assert block.stages["update_actor"] > 0
