"""A Ray cluster that somebody else started: `doctor` and `train` join it by RAY_ADDRESS."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import RUN_SECONDS, Run, command, tiny_run

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which a second cluster of one node is reached."""
    folder = tmp_path_factory.mktemp("cluster")
    # Ray makes a token at `ray start`, and whoever joins must show it.
    environment = {**os.environ, "HOME": str(folder), "RAY_AUTH_MODE": "token", "COLUMNS": "200",
                   "RAY_AUTH_TOKEN_PATH": str(folder / "token"), "VERL_PLATFORM": "cpu"}  # fmt: skip
    (folder / "token").write_text("a" * 64)
    address = folder / "address"
    node = subprocess.Popen(
        [sys.executable, "-m", "seed_grpo.training.ray_node", "start", "--name", "foreign", "--peer", "localhost",
         "--address-file", str(address), "--cpus", "12", "--gpus", "1"], env=environment
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not address.is_file():
        assert node.poll() is None, "the cluster did not start"
        assert time.monotonic() < deadline
        time.sleep(0.2)
    yield {**environment, "RAY_ADDRESS": address.read_text()}
    node.terminate()
    node.wait(timeout=180)


def test_doctor_asks_the_cluster(foreign: dict[str, str]) -> None:
    done = subprocess.run(command("doctor"), capture_output=True, text=True, timeout=RUN_SECONDS, env=foreign)
    text = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"1 node(s) at {foreign['RAY_ADDRESS']}" in text
    assert "parts registered in a Ray worker on foreign" in text
    assert "logical CPUs" not in text


def test_doctor_says_what_the_cluster_lacks(foreign: dict[str, str]) -> None:
    done = subprocess.run(command("doctor", "trainer.n_gpus_per_node=2"), capture_output=True, text=True,
                          timeout=RUN_SECONDS, env=foreign)  # fmt: skip
    assert done.returncode == 1
    assert "1 node(s) with 2 GPUs" in " ".join(done.stdout.split())
    assert "verl plugin" not in done.stdout


def test_a_run_trains_on_the_cluster(foreign: dict[str, str], quickstart_base: Path, tmp_path: Path) -> None:
    done = subprocess.run(command("train", *tiny_run(quickstart_base, tmp_path / "run")), capture_output=True,
                          text=True, timeout=RUN_SECONDS, env=foreign)  # fmt: skip
    run = Run(tmp_path / "run", done.returncode, done.stdout + done.stderr)
    assert run.status == 0, run.output + run.log[-3000:]
    assert run.steps == [1, 2]


@pytest.mark.parametrize("name", ["doctor", "train"])
def test_a_cluster_that_is_not_there(name: str, untrained_base: Path, tmp_path: Path) -> None:
    start = time.monotonic()
    done = subprocess.run(
        command(name, *tiny_run(untrained_base, tmp_path / "run")), capture_output=True, text=True, timeout=300,
        env={**os.environ, "RAY_ADDRESS": "127.0.0.1:1", "COLUMNS": "250"},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "127.0.0.1:1" in done.stdout + done.stderr
    assert "correct RAY_ADDRESS, or unset it" in " ".join((done.stdout + done.stderr).split())
    assert time.monotonic() - start < 60
