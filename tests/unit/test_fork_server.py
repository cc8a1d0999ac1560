"""Processes that a fork server makes in the place of new interpreters: what they get, and how each of them ends."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from seed_grpo.training.fork_server import SOCKET, py_executable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are for Linux")
SECONDS = 60.0
SERVER = """
import os, signal, sys, time
import numpy
from seed_grpo.training.fork_server import ForkServer, Worker, end_with_parent
server = ForkServer(sys.argv[1])
child = os.fork()
if not child:
    end_with_parent()
    while True:
        time.sleep(1)
outcome = server.serve(child, lambda: os.kill(child, signal.SIGTERM), [])
if isinstance(outcome, Worker):
    outcome.run()
else:
    print("main child", outcome)
"""
WORKER = """
import json, os, sys
import numpy
print(json.dumps({"arguments": sys.argv, "folder": os.getcwd(), "name": os.environ.get("NAME"), "path": sys.path[0],
                  "secret": os.environ.get("SECRET"), "draw": numpy.random.random(), "input": sys.stdin.read(),
                  "loaded": "seed_grpo.training.fork_server" in sys.modules, "main": __name__,
                  "descriptors": sorted(os.listdir("/proc/self/fd"))}))
print("to stderr", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@dataclass
class Server:
    folder: Path
    process: subprocess.Popen

    def start(self, script: str, *arguments: str, **options: object) -> subprocess.Popen:
        """A worker, as Ray starts one."""
        path = self.folder / "worker script.py"
        path.write_text(script)
        return subprocess.Popen(
            [*shlex.split(py_executable(self.folder)), str(path), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,  # type: ignore[call-overload]
        )  # fmt: skip

    def forked(self) -> list[psutil.Process]:
        """The processes that it made, without the main child."""
        return psutil.Process(self.process.pid).children()[1:]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "SECRET": "the server's own"},
    )  # fmt: skip
    wait(lambda: (tmp_path / SOCKET).exists())
    yield Server(tmp_path, process)
    process.kill()
    process.communicate()


def wait(condition: object) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_worker_has_what_its_client_has_and_nothing_of_the_server(server: Server, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "NAME": "ü = 'x' \n"}
    seen = []
    for status in (0, 3):
        worker = server.start(WORKER, str(status), "two words", "$HOME;ü", cwd=tmp_path, env=environment)
        output, errors = worker.communicate("from the client", timeout=SECONDS)
        assert worker.returncode == status, errors
        assert errors == "to stderr\n"
        seen.append(json.loads(output))
    first = seen[0]
    assert first["arguments"] == [str(tmp_path / "worker script.py"), "0", "two words", "$HOME;ü"]
    assert first["folder"] == first["path"] == str(tmp_path)
    assert first["name"] == environment["NAME"]
    assert first["secret"] is None
    assert first["input"] == "from the client"
    assert first["main"] == "__main__"
    assert first["loaded"], "it was not forked"
    assert len(first["descriptors"]) <= 4, "beside the standard streams and the listing itself"
    assert first["draw"] != seen[1]["draw"]


def test_an_error_is_what_it_is_in_an_interpreter(server: Server) -> None:
    worker = server.start("raise ValueError('of the worker')")
    _, errors = worker.communicate(timeout=SECONDS)
    assert worker.returncode == 1
    assert errors.endswith("ValueError: of the worker\n")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_ends_its_client(server: Server, number: signal.Signals) -> None:
    worker = server.start("import time; print('up', flush=True); time.sleep(1000)")
    assert worker.stdout.readline() == "up\n"
    [forked] = server.forked()
    forked.send_signal(number)
    worker.communicate(timeout=SECONDS)
    assert worker.returncode == 128 + number


def test_a_killed_client_ends_its_worker(server: Server) -> None:
    workers = [server.start("import time; print('up', flush=True); time.sleep(1000)") for _ in range(3)]
    for worker in workers:
        assert worker.stdout.readline() == "up\n"
    workers[1].kill()
    workers[1].wait()
    wait(lambda: len(server.forked()) == 2)
    assert workers[0].poll() is None
    assert workers[2].poll() is None


def test_nothing_outlives_the_server(server: Server) -> None:
    worker = server.start("import time; print('up', flush=True); time.sleep(1000)")
    assert worker.stdout.readline() == "up\n"
    left = server.forked()
    server.process.kill()
    worker.communicate(timeout=SECONDS)
    assert worker.returncode == 1
    wait(lambda: not any(process.is_running() for process in left))


@pytest.mark.parametrize("end", ["signal", "input"])
def test_it_ends_with_the_child_that_it_serves(server: Server, end: str) -> None:
    assert server.start("print('served')").communicate(timeout=SECONDS)[0] == "served\n"  # it takes signals by now
    if end == "signal":
        server.process.terminate()
    output, _ = server.process.communicate(timeout=SECONDS)  # closes its input
    assert f"main child {-signal.SIGTERM}" in output


@pytest.mark.parametrize("said", [b"", b"\0", b"\0\0\0\5hello", b"\xff\xff\xff\xff{}", b"\0\0\0\2{}"])
def test_what_is_no_request_is_let_go(server: Server, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(server.folder / SOCKET))
        if said:
            socket.send_fds(client, [said], [0, 1, 2])
        client.shutdown(socket.SHUT_WR)
        client.settimeout(SECONDS)
        assert client.recv(1) == b""
    worker = server.start("print('served')")
    assert worker.communicate(timeout=SECONDS)[0] == "served\n"
