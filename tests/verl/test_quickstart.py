"""`seed-grpo quickstart`, on a model that is warm already."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from runs import RUN_SECONDS, Run, Scratch, command, tiny_run

pytestmark = pytest.mark.e2e


def test_a_folder_with_blanks_and_signs(quickstart_base: Path, tmp_path: Path) -> None:
    """Through verl, Ray and the checkpoints: none of them takes the name apart."""
    out = tmp_path / "ünï x (1) {red}=y, it's"
    shutil.copytree(quickstart_base, out / "seed_1" / "base")
    small = [text for text in tiny_run(quickstart_base, out) if text.startswith(("data.", "actor_", "trainer.test"))]
    scratch = Scratch()
    done = subprocess.run(
        command("quickstart", "--out", str(out), "--seed", "1", *small, "trainer.total_training_steps=1",
                "trainer.val_before_train=false", "trainer.save_freq=1"),
        capture_output=True, text=True, timeout=RUN_SECONDS, env=scratch.environment, cwd=tmp_path,
    )  # fmt: skip
    scratch.check_clean()
    run = Run(out / "seed_1" / "run", done.returncode, done.stdout + done.stderr)
    assert run.status == 0, run.output + (run.log[-3000:] if (run.folder / "train.log").is_file() else "")
    assert run.steps == [1]
    assert (run.folder / "global_step_1" / "actor").is_dir()
    assert str(run.folder) in run.output.replace("\n", "")
