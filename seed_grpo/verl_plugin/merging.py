"""verl's merger of FSDP shards, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from seed_grpo.errors import SeedGrpoError


def merge_shards(shards: Path, target: Path) -> None:
    """Merge the shards of all ranks into a Hugging Face folder.

    Args:
        shards: a checkpoint's `actor` folder.
        target: the folder to write.

    Raises:
        SeedGrpoError: with the last line of verl's message.
    """
    command = [sys.executable, "-m", "verl.model_merger", "merge", "--backend", "fsdp",
               "--local_dir", str(shards), "--target_dir", str(target)]  # fmt: skip
    # Merging is arithmetic on the CPU, whatever the machine has.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        raise SeedGrpoError(
            f"verl could not merge {shards}: {lines[-1] if lines else f'status {done.returncode}'}.",
            f"see the whole message of `{' '.join(command[1:])}`.",
        )
