"""What the README shows, run as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from runs import ROOT, RUN_SECONDS, command
from typer.testing import CliRunner

from seed_grpo.cli import app

README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLE = re.findall(r"^\| .* \| `([^`]+)` \|$", README, flags=re.MULTILINE)


def test_the_library_example_gives_the_numbers_beside_it() -> None:
    [block] = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict = {}
    exec(block, names)  # our own page
    assert names["ids"] == [0, 0, 0, 1]
    assert f"# {names['entropy']:.3f} nats" in block
    assert f"# {names['weight']:.3f}" in block


def test_every_file_that_it_names_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
    for script in re.findall(r"bash ((?:examples|tests)/[\w./]+\.sh)", README):
        assert (ROOT / script).is_file(), script


@pytest.mark.parametrize("line", [line for line in TABLE if line.startswith("seed-grpo ")])
def test_every_command_in_the_table_takes_these_options(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    subcommand = [name, arguments.pop(0)] if name == "data" else [name]
    text = CliRunner().invoke(app, [*subcommand, "--help"]).output
    for option in [argument for argument in arguments if argument.startswith("--")]:
        assert option in text, (option, line)
    if name == "train":
        done = CliRunner().invoke(app, [name, *arguments, "--show-config"])
        assert done.exit_code == 0, done.output
        assert "alpha: 0.1" in done.output


@pytest.mark.e2e
def test_the_quickstart_script(quickstart_base: Path, tmp_path: Path) -> None:
    """The script itself, in this very environment; only the warm start is done already, and the steps are few."""
    environment = Path(sys.prefix)
    if not (environment / ".seed-grpo-dev.txt").is_file():
        pytest.skip("these tests do not run in the environment that tests/run.sh makes")
    shutil.copytree(quickstart_base, tmp_path / "seed_1" / "base")
    done = subprocess.run(
        ["bash", str(ROOT / "examples" / "quickstart.sh"), "--out", str(tmp_path), "trainer.total_training_steps=1",
         "trainer.save_freq=-1", "data.train_batch_size=32"],
        capture_output=True, text=True, timeout=RUN_SECONDS,
        env={**os.environ, "SEED_GRPO_VENV": str(environment)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "validation accuracy after" in done.stdout
    assert (tmp_path / "seed_1" / "run" / "curves.png").is_file()


def test_what_the_readme_says_of_a_machine_without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    [line] = [line for line in TABLE if "doctor" in line]
    done = subprocess.run(command(*shlex.split(line)[1:], "--quick"), capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout
    assert "GPUs" in done.stdout
    assert "platform=cpu" in " ".join(done.stdout.split())
