"""The environment of a run's processes: a folder for Ray's files, and cures for what the machine's own would break."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from seed_grpo.errors import SeedGrpoError

MOST_CHARACTERS = 43
"""Of the path of Ray's folder: `/session_<date>_<time>_<microseconds>_<pid>/sockets/plasma_store` follows, and the path
of a socket has at most 107 characters."""
SHORT_ROOTS = ("/tmp", "/var/tmp", "/dev/shm")
DEVICES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ONEAPI_DEVICE_SELECTOR")
"""Which accelerators may be used. Ray also counts its logical GPUs by them, which a run on a CPU has without any."""

BESIDE_OTHERS = {
    "RAY_worker_niceness": "0",
    "RAY_raylet_start_wait_time_s": "60",
    "RAY_worker_register_timeout_seconds": "300",
}
"""Ray on a machine that does other work too, unless the user sets these. By default its workers, which are the run,
have niceness 15: beside two busy processes on two cores something of 20 s took 300, and 37 with equal rights. It gives
up a node that takes 30 s to come up, and a worker that takes 60."""
NOT_UP = "The current node timed out during startup"
"""What Ray says if a node does not come up. It chooses ports some time before it binds them: on a machine with several
Rays another may have taken one, and the next try succeeds."""
STARTS = 3
"""How often a node is started that does not come up."""


def short_folder(prefix: str) -> str:
    """Make a temporary folder whose path is short enough for Ray's sockets, wherever TMPDIR points.

    Raises:
        SeedGrpoError: there is no such place that can be written to.
    """
    random_characters = 8
    for root in (tempfile.gettempdir(), *SHORT_ROOTS):
        if len(os.fsencode(root)) + len("/") + len(prefix) + random_characters <= MOST_CHARACTERS:
            try:
                return tempfile.mkdtemp(prefix=prefix, dir=root)
            except OSError:
                continue
    raise SeedGrpoError(
        f"No temporary folder with a short path can be written to: {tempfile.gettempdir()}, {', '.join(SHORT_ROOTS)}.",
        f"set TMPDIR to a folder with a path of at most {MOST_CHARACTERS - len(prefix) - 9} characters.",
    )


def run_environment(scratch: str, *, on_cpu: bool) -> dict[str, str]:
    """The environment for the driver of a run and all that it starts.

    Args:
        scratch: the run's temporary folder.
        on_cpu: whether the run uses no accelerator.
    """
    environment = {**BESIDE_OTHERS, **os.environ}
    if on_cpu:
        for name in DEVICES:
            environment.pop(name, None)
    if Path(scratch).parent != Path(tempfile.gettempdir()):
        # What others put below it would have sockets with paths that are too long as well.
        environment["TMPDIR"] = scratch
    home = Path.home()
    if not _is_writable(home):
        environment |= _home_in(scratch, home, environment)
    hub = environment.get("HF_HOME")
    if hub and not _is_writable(Path(hub)):
        environment.setdefault("HF_DATASETS_CACHE", str(Path(scratch) / "datasets"))
    return environment


def _home_in(scratch: str, home: Path, environment: dict[str, str]) -> dict[str, str]:
    """A home folder that can be written to, for caches and Ray's token; what stands in the real one is still read."""
    substitute = Path(scratch) / "home"
    substitute.mkdir(exist_ok=True)
    kept = {
        "HF_HUB_CACHE": home / ".cache" / "huggingface" / "hub",
        "HF_TOKEN_PATH": home / ".cache" / "huggingface" / "token",
        "RAY_AUTH_TOKEN_PATH": home / ".ray" / "auth_token",
        "NETRC": home / ".netrc",
    }
    there = {name: str(path) for name, path in kept.items() if name not in environment and os.access(path, os.R_OK)}
    if "HF_HOME" in environment:
        there = {name: path for name, path in there.items() if not name.startswith("HF_")}
    return {"HOME": str(substitute), **there}


def _is_writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
