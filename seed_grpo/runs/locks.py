"""One run at a time in a folder, also on a file system that several machines share."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from seed_grpo.errors import SeedGrpoError

LOCK = ".train.lock"
"""The lock file in a run's folder; it stays there, and names the last owner."""
LEFTOVER_SECONDS = 60.0
"""How long to wait for the processes of a start that was killed: they notice, and end."""
POLL_SECONDS = 0.2


@contextmanager
def only_run(folder: Path) -> Iterator[int]:
    """Hold a run's folder against every other `seed-grpo train`, on this machine and on those that share the disk.

    The kernel keeps the lock for as long as a process has the file open, and frees it however the process ends. Yields
    the file's descriptor: a child that inherits it holds the folder as well.

    Raises:
        SeedGrpoError: another run holds the folder, or the file system has no locks.
    """
    with open(folder / LOCK, "a+", encoding="utf-8") as lock:
        _acquire(lock, folder)
        lock.truncate(0)
        lock.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}) + "\n")
        lock.flush()
        yield lock.fileno()


def _acquire(lock: IO[str], folder: Path) -> None:
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise SeedGrpoError(
                    f"{folder} cannot be locked against a second run: {error.strerror}.",
                    "mount the file system with locks (Lustre: -o flock), or choose another trainer.default_local_dir.",
                ) from error
        lock.seek(0)
        owner, waits = _owner(lock.read())
        if not waits or time.monotonic() > deadline:
            raise SeedGrpoError(
                f"Another run is writing to {folder}: {owner}.",
                "wait for it, end it, or choose another trainer.default_local_dir.",
            )
        time.sleep(POLL_SECONDS)


def _owner(content: str) -> tuple[str, bool]:
    """Who holds the lock, in words, and whether it is worth waiting: the owner is gone, and its children will be."""
    import psutil

    try:
        owner = json.loads(content)
        host, pid = str(owner["host"]), int(owner["pid"])
    except (ValueError, KeyError, TypeError):
        return "a process that is just starting", True
    return f"process {pid} on {host}", host == socket.gethostname() and not psutil.pid_exists(pid)
