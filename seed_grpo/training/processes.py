"""Which processes belong to a run, and how they are ended."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

FOLDER = "SEED_GRPO_SCRATCH"
"""The environment variable by which a run's processes name its folder, whatever they call themselves."""
END_SECONDS = 10
"""Time for the kernel to take away what was killed."""


def started_by(pid: int, folder: str) -> set[psutil.Process]:
    """What a process started, and what carries the run's folder in its command line, as Ray's daemons do, or in its
    environment, as Ray's workers do: with all that these started. The process itself and this one are not among them.
    """
    import psutil

    roots = [process for process in psutil.process_iter(["cmdline", "environ"]) if _mentions(process, folder)]
    with suppress(psutil.NoSuchProcess):
        roots.append(psutil.Process(pid))
    found = set(roots)
    for process in roots:
        with suppress(psutil.NoSuchProcess):
            found.update(process.children(recursive=True))
    return {process for process in found if process.pid != pid} - {psutil.Process()}


def kill(processes: Iterable[psutil.Process], grace: float = 0) -> None:
    """Kill those that do not end by themselves within `grace` seconds."""
    import psutil

    _, alive = psutil.wait_procs(processes, timeout=grace)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=END_SECONDS)


def _mentions(process: psutil.Process, folder: str) -> bool:
    in_environment = (process.info["environ"] or {}).get(FOLDER) == folder
    return in_environment or any(folder in part for part in process.info["cmdline"] or ())
