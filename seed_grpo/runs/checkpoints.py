"""Which of a run's checkpoints are whole.

verl keeps the number of the newest checkpoint in a file of its own, whatever becomes of the checkpoint. Each save
therefore ends with a list of its files and their sizes; a checkpoint that lacks the list, or a byte of a file on it, is
not used.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

from seed_grpo.runs.files import replace_file
from seed_grpo.runs.names import TRACKER

logger = logging.getLogger(__name__)

FILES = "files.json"
_STEP = re.compile(r"global_step_(\d+)")


def step_folder(root: str | Path, step: int) -> Path:
    """The folder of the checkpoint after a step."""
    return Path(root) / f"global_step_{step}"


def seal(folder: str | Path) -> None:
    """List the files of a checkpoint that has just been written, in `files.json`."""
    folder = Path(folder)
    files = {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
    files.pop(FILES, None)
    replace_file(folder / FILES, json.dumps(files, indent=1) + "\n")


def is_whole(folder: str | Path) -> bool:
    """Whether every file that the checkpoint was written with is there, in its full size."""
    folder = Path(folder)
    try:
        files = json.loads((folder / FILES).read_text(encoding="utf-8"))
        return bool(files) and all((folder / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, AttributeError):
        return False


def newest_whole(root: str | Path) -> int | None:
    """The step of the newest whole checkpoint of a run; None if there is none."""
    steps = sorted((int(match[1]) for path in Path(root).glob("global_step_*")
                    if (match := _STEP.fullmatch(path.name))), reverse=True)  # fmt: skip
    return next((step for step in steps if is_whole(step_folder(root, step))), None)


def point_to_newest_whole(root: str | Path) -> int | None:
    """Make verl resume from the newest whole checkpoint of the run; returns its step."""
    root = Path(root)
    step = newest_whole(root)
    tracker = root / TRACKER
    named = tracker.read_text(encoding="utf-8").strip() if tracker.is_file() else None
    if step is None:
        if named is not None:
            logger.warning(
                "%s names step %s, but no checkpoint is whole: the run starts from the beginning.", tracker, named
            )
            tracker.unlink()
    elif named != str(step):
        if named is not None:
            logger.warning("The checkpoint of step %s is not whole: the run resumes after step %d.", named, step)
        replace_file(tracker, str(step))
    return step
