"""The shell scripts: lint, what they pass on, and the recipe on the CPU."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seed_grpo.runs.names import METRICS
from seed_grpo.runs.records import read_lines

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [
    path
    for pattern in (
        "examples/*.sh",
        "examples/slurm/*",
        "recipe/**/*.sh",
        "requirements/*.sh",
        "tests/*.sh",
        "tests/real_engine/*.sh",
        ".ci/run",
    )
    for path in sorted(ROOT.glob(pattern))
]
RUNS = sorted(path for path in (ROOT / "examples").glob("*_*.sh"))


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    python_path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PATH": path, "PYTHONPATH": python_path, "COLUMNS": "400", **more}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_shellcheck_finds_nothing(path: Path) -> None:
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("no shellcheck (apt-get install shellcheck)")
    done = subprocess.run(
        [program, "--external-sources", str(path)], capture_output=True, text=True, cwd=ROOT, timeout=180
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_there_is_a_script_for_each_run_of_the_paper() -> None:
    configured = {path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml")} - {
        "quickstart",
        "smollm2_gsm8k",
        "splits",
    }
    assert {path.stem for path in RUNS} == configured


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name)
def test_a_run_is_a_check_and_one_command(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert lines[2:] == ['seed-grpo doctor "${run[@]}"', 'exec seed-grpo train "${run[@]}"']
    assert os.access(path, os.X_OK)


def test_arguments_reach_hydra_and_the_check_comes_first(tmp_path: Path) -> None:
    """On a machine without 8 GPUs the script ends after the check, which has seen the override."""
    done = subprocess.run(
        ["bash", str(RUNS[0]), "trainer.n_gpus_per_node=7", f"data_dir={tmp_path}",
         f"trainer.default_local_dir={tmp_path}"],
        capture_output=True, text=True, env=environment(), cwd=tmp_path, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1
    assert "(needs 7 on each node)" in done.stdout
    assert str(tmp_path / "math_lvl3to5.parquet") in done.stdout.replace("\n", "")
    assert "train.log" not in [path.name for path in tmp_path.iterdir()]


def test_a_key_that_does_not_exist_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", str(RUNS[0]), "seed_grpo.alhpa=0.5"],
        capture_output=True, text=True, env=environment(), cwd=tmp_path, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    assert "alhpa" in done.stderr


@pytest.fixture
def verl_checkout(tmp_path: Path) -> Path:
    """A checkout of verl with the recipe where its submodule verl-recipe puts it, and nothing else of this project."""
    shutil.copytree(ROOT / "recipe" / "seed_grpo", tmp_path / "verl" / "recipe" / "seed_grpo")
    return tmp_path / "verl"


@pytest.mark.parametrize("start", ["bash recipe/seed_grpo/run_qwen2.5_math_7b.sh",
                                   "bash recipe/seed_grpo/run_qwen2.5_math_1.5b.sh",
                                   "python3 -m recipe.seed_grpo.main_seed_grpo experiment=qwen2.5_math_7b",
                                   "cd recipe && bash seed_grpo/run_qwen2.5_math_7b.sh"])  # fmt: skip
def test_the_recipe_starts_from_a_checkout_of_verl_and_of_verl_recipe(verl_checkout: Path, start: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{start} baseline=dr_grpo --show-config"],
        capture_output=True, text=True, timeout=300, cwd=verl_checkout, env=environment(PYTHONPATH=""),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "path: Qwen/Qwen2.5-Math-" in done.stdout
    assert "adv_estimator: grpo" in done.stdout


def test_the_recipe_s_install_line_names_this_package() -> None:
    from importlib.metadata import metadata

    from packaging.requirements import Requirement

    page = (ROOT / "recipe" / "seed_grpo" / "README.md").read_text(encoding="utf-8")
    [line] = re.findall(r'^pip install "([^"]+)"', page, flags=re.MULTILINE)
    for address in ("git+https://example.org/seed-grpo", ROOT.as_uri()):
        requirement = Requirement(line.replace("SEED_GRPO_URL", address))
        assert requirement.url == address
        assert requirement.name == metadata("seed-grpo")["Name"]
        assert requirement.extras <= set(metadata("seed-grpo").get_all("Provides-Extra") or [])
    required = (ROOT / "recipe" / "seed_grpo" / "REQUIRED_VERL.txt").read_text(encoding="utf-8")
    assert "PIP_INSTALL=pip install verl==0.9.1\n" in required


@pytest.mark.e2e
@pytest.mark.slow
def test_the_recipe_trains_on_the_cpu(verl_checkout: Path, tmp_path: Path) -> None:
    from seed_grpo.quickstart.data import write_data
    from seed_grpo.quickstart.model import build_model

    base = tmp_path / "base"
    build_model(base / "model", hidden_size=32, layers=1)
    write_data(base / "data")
    done = subprocess.run(
        ["bash", "recipe/seed_grpo/run_quickstart.sh",
         "trainer.total_training_steps=1", "trainer.test_freq=-1", "trainer.val_before_train=false",
         "trainer.save_freq=-1", "data.train_batch_size=8", "actor_rollout_ref.actor.ppo_mini_batch_size=8",
         f"trainer.default_local_dir={tmp_path / 'run'}"],
        capture_output=True, text=True, timeout=400, cwd=verl_checkout,
        env=environment(QUICKSTART_DIR=str(base), PYTHONPATH=""),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (record,) = read_lines(tmp_path / "run" / METRICS)
    assert record["step"] == 1
    assert 0.98 <= record["seed_grpo/weight"] <= 1
