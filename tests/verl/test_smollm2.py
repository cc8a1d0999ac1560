"""Real weights: the commands of docs/smollm2.md, shortened, with three real steps. Minutes, so not part of CI."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from runs import ROOT, Run, Scratch, command

pytestmark = [pytest.mark.e2e, pytest.mark.release]
SECONDS = 1500
SHORTER = {
    "warm-start": ("--examples", "48", "--max-tokens", "256", "--epochs", "1"),
    "train": ("data.train_batch_size=2", "actor_rollout_ref.actor.ppo_mini_batch_size=2",
              "actor_rollout_ref.rollout.n=4", "trainer.total_training_steps=3", "trainer.test_freq=-1",
              "trainer.val_before_train=false"),
}  # fmt: skip


def test_the_commands_of_the_page(shared_data: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "smollm2.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```bash\n(.*?)```", page, flags=re.DOTALL)
    install, *ours = [shlex.split(line) for line in block.splitlines()]
    packages = [each for each in install if "==" in each]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "packages")]
    subprocess.run([*pip, *packages], check=True, timeout=SECONDS)
    scratch = Scratch()
    environment = {**scratch.environment, "PYTHONPATH": str(tmp_path / "packages")}
    for line in ours:
        arguments = [*line[1:], *(more for word, each in SHORTER.items() if word in line for more in each)]
        if "prepare" in line:
            arguments += ["--source", str(shared_data / "gsm8k.jsonl"), "--hold-out", "200"]
        done = subprocess.run(
            command(*arguments), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    run = Run(tmp_path / "runs" / "smollm2_gsm8k", 0, "")
    assert run.steps == [1, 2, 3]
    records = run.lines("prompts.jsonl")
    boxed = [answer is not None for record in records for answer in record["answers"]]
    assert sum(boxed) >= len(boxed) / 4, "the warm start has taught no boxes"
    scratch.check_clean()
