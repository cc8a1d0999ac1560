"""Everything that the quickstart trains on, in one folder: `model/` and `data/`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from seed_grpo.errors import UsageError
from seed_grpo.quickstart.tasks import SUMS
from seed_grpo.runs.files import writable_folder
from seed_grpo.terminal import make_console


def base_folder(out: Path, seed: int) -> Path:
    """The folder of model and data."""
    return out.expanduser() / f"seed_{seed}" / "base"


def run_overrides(out: Path, seed: int) -> list[str]:
    """The Hydra overrides of a quickstart in a folder.

    Raises:
        UsageError: files cannot be written to the folder, or its name cannot stand in a configuration.
    """
    from seed_grpo.data import check_plain_path
    from seed_grpo.overrides import quoted

    if "${" in str(out):
        raise UsageError(f"{out} has ${{, which a configuration reads as a reference.", "give another --out.")
    check_plain_path(out, "give another --out.")
    folder = writable_folder(out)
    return [
        "experiment=quickstart",
        f"quickstart_dir={quoted(base_folder(folder, seed))}",
        f"trainer.default_local_dir={quoted(folder / f'seed_{seed}' / 'run')}",
        f"seed={seed}",
    ]


def prepare(folder: Path, seed: int, task: str = SUMS) -> Path:
    """Make a task's warm-started model and its data, unless they are there; returns the folder."""

    from seed_grpo.quickstart.data import write_data
    from seed_grpo.quickstart.model import build_model
    from seed_grpo.quickstart.warm_start import warm_start

    console = make_console(stderr=True)
    if not (folder / "model").is_dir():
        # Built aside and moved into place, so that an interrupted start leaves no half model.
        unfinished = folder / f"model.{os.getpid()}"
        build_model(unfinished, seed)
        with console.status("warm start: supervised, on other problems than those to come"):
            accuracy = warm_start(unfinished, seed, task=task)
        unfinished.rename(folder / "model")
        console.print(f"warm start: solves {accuracy:.0%} of its exam")
        for leftover in folder.glob("model.*"):
            shutil.rmtree(leftover)
    write_data(folder / "data", task)
    return folder
