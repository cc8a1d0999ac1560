"""Ray's workers as forks of one process that has imported verl, in place of an import in each of them.

Importing torch, transformers and verl takes some five seconds of a core, and a run on one machine needs them in four
processes. Ray starts a worker with the interpreter that its `runtime_env` names as `py_executable`; here that is
`fork_client.py`, which hands arguments, environment and standard streams to this server, waits, and ends as the worker
does. For runs without an accelerator: CUDA does not survive a fork.
"""

from __future__ import annotations

import json
import os
import runpy
import selectors
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seed_grpo.training import fork_client
from seed_grpo.training.fork_client import HEADER, STREAMS

SOCKET = "forks"
REQUEST_SECONDS = 10.0
"""For a client that has connected to say what it wants."""
PR_SET_PDEATHSIG = 1
TERMINATION = (signal.SIGTERM, signal.SIGINT)


def py_executable(folder: str | Path) -> str:
    """What Ray is to start its workers with, for the server that listens in a folder."""
    return shlex.join([sys.executable, "-I", "-S", str(fork_client.__file__), str(Path(folder) / SOCKET)])


def end_with_parent(signal_number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when the one that forked it has ended, however it ended.

    Only Linux has that.
    """
    if sys.platform != "linux":
        return
    import ctypes

    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:  # it was faster
        os.kill(os.getpid(), signal_number)


@dataclass(frozen=True)
class Worker:
    """What a forked process is to run in the place of an interpreter that was started anew."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    streams: list[int]

    def close_streams(self) -> None:
        for stream in self.streams:
            if stream >= STREAMS:
                os.close(stream)

    def run(self) -> None:
        """Run the script to its end."""
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        if numpy := sys.modules.get("numpy"):
            numpy.random.seed()  # all forks would draw the same; Python's own generator sees to it by itself
        script = self.arguments[0]
        sys.argv = list(self.arguments)
        sys.path[0] = str(Path(script).parent)
        runpy.run_path(script, run_name="__main__")


class ForkServer:
    """Listens in a folder, forks, and looks after what it has forked.

    Args:
        folder: with a short path, for a socket.
    """

    def __init__(self, folder: str | Path) -> None:
        self._children: dict[int, socket.socket] = {}
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(Path(folder) / SOCKET))
        self._listening.listen(64)
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        self._before: list[tuple[int, Any]] = []

    def serve(
        self, main_child: int, on_end_of_input: Callable[[], None], private: Collection[int] = ()
    ) -> int | Worker:
        """Fork a worker for each request, until a child of the caller has ended.

        Args:
            main_child: that child's process id. SIGTERM and SIGINT are passed on to it.
            on_end_of_input: called once when standard input ends: the owner of this process is gone.
            private: file descriptors that are no worker's business.

        Returns:
            The exit status of that child; in a process that was forked, what it is to run.
        """
        self._take_signals(main_child)
        with selectors.PollSelector() as selector:
            for source in (self._listening, self._woken, sys.stdin.fileno()):
                selector.register(source, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    source = key.fileobj
                    if source is self._listening:
                        client, _ = self._listening.accept()
                        if (asked := _read_request(client)) and self._fork(client, asked, private):
                            return asked
                        if asked:
                            selector.register(client, selectors.EVENT_READ)
                    elif source == self._woken:
                        os.read(self._woken, 4096)
                    elif source == sys.stdin.fileno():
                        if not os.read(sys.stdin.fileno(), 1024):
                            selector.unregister(source)
                            on_end_of_input()
                    else:
                        selector.unregister(source)
                        self._abandoned(source)
                if (status := self._reap(main_child, selector)) is not None:
                    return status

    def _take_signals(self, main_child: int) -> None:
        """SIGCHLD wakes the loop; what asks this process to end is passed on to the child that it works for."""

        def pass_on(signal_number: int, frame: Any) -> None:
            with suppress(ProcessLookupError):
                os.kill(main_child, signal_number)

        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in TERMINATION:
            signal.signal(number, pass_on)

    def _fork(self, client: socket.socket, asked: Worker, private: Collection[int]) -> bool:
        """Whether this is the worker."""
        pid = os.fork()
        if pid:
            self._children[pid] = client
            asked.close_streams()
            return False
        end_with_parent()
        signal.set_wakeup_fd(-1)
        for number in (*TERMINATION, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        for target, stream in enumerate(asked.streams):
            os.dup2(stream, target)
        asked.close_streams()
        for descriptor in (*private, self._woken, self._wake):
            os.close(descriptor)
        for connection in (self._listening, client, *self._children.values()):
            connection.close()
        return True

    def _abandoned(self, client: Any) -> None:
        """A client has ended before its worker: Ray has killed it, and means the worker."""
        for pid, connection in self._children.items():
            if connection is client:
                os.kill(pid, signal.SIGKILL)

    def _reap(self, main_child: int, selector: Any) -> int | None:
        """Tell clients how their workers ended. Returns the main child's status if it has ended."""
        ended = None
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if not pid:
                return ended
            status = os.waitstatus_to_exitcode(wait_status)
            if pid == main_child:
                ended = status
            elif client := self._children.pop(pid, None):
                with suppress(KeyError, ValueError):
                    selector.unregister(client)
                with suppress(OSError):
                    client.sendall(status.to_bytes(4, "big", signed=True))
                client.close()


def _read_request(client: socket.socket) -> Worker | None:
    """What a client asks for; None if it said nothing whole."""
    client.settimeout(REQUEST_SECONDS)
    streams: list[int] = []
    try:
        header, streams, _, _ = socket.recv_fds(client, HEADER, STREAMS)
        size, body = int.from_bytes(header, "big"), b""
        while len(body) < size and (part := client.recv(size - len(body))):
            body += part
        client.settimeout(None)
        return Worker(streams=streams, **json.loads(body))
    except (OSError, ValueError, TypeError):
        for stream in streams:
            os.close(stream)
        client.close()
        return None
