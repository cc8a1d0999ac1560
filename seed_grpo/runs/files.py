"""Files that are there as a whole or not at all, and the folders that they are written to."""

from __future__ import annotations

import os
from pathlib import Path

from seed_grpo.errors import UsageError


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file aside and move it into its place, so that nobody ever reads half of it. Text is UTF-8."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(unfinished, path)


def writable_folder(path: str | Path, option: str = "--out") -> Path:
    """Make a folder, with those above it, and check that files can be written there.

    Args:
        path: of the folder; `~` is the home folder.
        option: the option of the command line that names it.

    Raises:
        UsageError: it cannot be made, is a file, or cannot be written to.
    """
    path = Path(path).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(f"{path} is a file.", f"choose another {option}.") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"The folder {path} cannot be made: {error}.", f"choose another {option}.") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError(f"The folder {path} cannot be written to.", f"choose another {option}.")
    return path
