"""A Ray of the run's own on this machine, kept by a process that does nothing else, while others import verl."""

from __future__ import annotations

import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from seed_grpo.errors import SeedGrpoError
from seed_grpo.training.environment import NOT_UP, STARTS
from seed_grpo.training.fork_server import end_with_parent
from seed_grpo.training.processes import kill, started_by

START_SECONDS = 600.0
"""For Ray to start on this machine."""
END_SECONDS = 20.0
"""For Ray to end by itself."""
JOB = "02000000"
"""The job that the first process to connect to it gets: Ray counts, and the process that keeps it is the first."""
OF_THE_CONNECTION = {"log_to_driver", "logging_level", "namespace", "ignore_reinit_error", "configure_logging"}
"""What a process that connects to Ray may say; the rest of verl's `ray_init` is about the Ray itself."""


class OwnRay:
    """Starts Ray in a fork of this process, which must not have threads yet.

    Args:
        arguments: verl's `ray_kwargs.ray_init`. Its `runtime_env` is left out: Ray's processes inherit the environment
            of this one, and would otherwise be started anew.
        scratch: a folder for Ray's files.
        private: file descriptors that are not Ray's business.
    """

    def __init__(self, arguments: dict[str, Any], scratch: str, private: list[int]) -> None:
        self._arguments = {name: value for name, value in arguments.items() if name != "runtime_env"}
        self._told, tell = os.pipe()
        self._keeper = os.fork()
        if not self._keeper:
            for descriptor in (self._told, *private):
                os.close(descriptor)
            _keep(self._arguments, scratch, tell)
        os.close(tell)

    def wait(self) -> None:
        """Return once Ray is there; its workers may be forked from this process if it imports Ray afterwards.

        Raises:
            SeedGrpoError: Ray did not start.
        """
        ready, _, _ = select.select([self._told], [], [], START_SECONDS)
        answer = json.loads(os.read(self._told, 65536) or b"{}") if ready else {}
        if "address" not in answer:
            raise SeedGrpoError(
                f"Ray did not start: {answer.get('error', f'nothing within {START_SECONDS:.0f} s')}",
                "look at the machine's load and memory, and at what Ray said before this in the log.",
            )
        self._address = answer["address"]
        # A worker learns these from its environment, which Ray reads when it is imported.
        os.environ.update(RAY_JOB_ID=JOB, RAY_RAYLET_PID=str(answer["raylet"]))

    def connect(self, py_executable: str | None) -> None:
        """Connect this process to Ray.

        Args:
            py_executable: what starts Ray's workers, instead of an interpreter.
        """
        import ray

        ray.init(
            address=self._address,
            runtime_env={"py_executable": py_executable} if py_executable else None,
            **{name: value for name, value in self._arguments.items() if name in OF_THE_CONNECTION},
        )
        job = ray.get_runtime_context().get_job_id()
        if job != JOB:
            raise SeedGrpoError(f"This run is job {job} of its own Ray, not {JOB}.", "report this with Ray's version.")

    def is_there(self) -> bool:
        """Whether the process that keeps Ray is alive."""
        try:
            os.waitpid(self._keeper, os.WNOHANG)
            os.kill(self._keeper, 0)
        except (ChildProcessError, ProcessLookupError):
            return False
        return True

    def disconnect(self) -> None:
        """Take leave of Ray; what its workers said last is in the log then."""
        import ray

        ray.shutdown()

    def end(self) -> None:
        """End Ray."""
        deadline = time.monotonic() + END_SECONDS
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._keeper, signal.SIGTERM)
            while os.waitpid(self._keeper, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(self._keeper, signal.SIGKILL)  # the kernel ends Ray's processes with it
                time.sleep(0.05)


def _keep(arguments: dict[str, Any], scratch: str, tell: int) -> None:
    """Start Ray, say where it is, and keep it until this process is told to end."""
    signal.signal(signal.SIGTERM, _leave)
    end_with_parent(signal.SIGTERM)
    try:
        import psutil
        import ray

        def clean_up() -> None:
            ray.shutdown()
            kill(started_by(os.getpid(), scratch) - set(psutil.Process().parents()))

        try:
            start_again(lambda: ray.init(**{**arguments, "log_to_driver": False}, _temp_dir=scratch), clean_up)
            [raylet] = [child.pid for child in psutil.Process().children() if child.name() == "raylet"]
            answer = {"address": ray.get_runtime_context().gcs_address, "raylet": raylet}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": " ".join(str(error).split())[:1000]}
        signal.signal(signal.SIGTERM, _leave)  # Ray has put its own there
        os.write(tell, json.dumps(answer).encode())
        while True:
            signal.pause()
    except KeyboardInterrupt:
        ray.shutdown()
    finally:
        os._exit(0)


def _leave(*_: Any) -> None:
    raise KeyboardInterrupt


def start_again(start: Callable[[], Any], clean_up: Callable[[], Any]) -> None:
    """Start a Ray, up to `STARTS` times if its node does not come up."""
    for tries_left in reversed(range(STARTS)):
        try:
            start()
            return
        except Exception as error:
            if NOT_UP not in str(error) or not tries_left:
                raise
            print("Ray's node did not come up: once more.", flush=True)
            clean_up()
