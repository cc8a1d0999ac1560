"""Files that are there as a whole or not at all, and the folders that they are written to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seed_grpo.errors import UsageError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write in the place of `path`: it is moved there at the end of the block, so that nobody ever reads half
    of it. If the block raises, it is removed, and `path` stays as it was.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def new_folder(path: str | Path, option: str = "--out") -> Iterator[Path]:
    """A folder to fill; it gets its name at the end of the block. If the block raises, nothing is left of it.

    Args:
        path: of the folder, which must not exist.
        option: the option of the command line that names it.

    Raises:
        UsageError: it exists.
    """
    folder = Path(path).expanduser()
    if folder.exists():
        raise UsageError(f"{folder} is there already.", f"choose another {option}, or use that folder.")
    writable_folder(folder.parent, option)
    with filling(folder) as unfinished:
        yield unfinished


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A folder to fill, which is moved to the place of `folder`, absent or empty, at the end of the block. If the block
    raises, it is removed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    unfinished.mkdir()
    try:
        yield unfinished
        unfinished.rename(folder)  # takes the place of an empty folder, too
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file as a whole. Text is UTF-8."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)


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
