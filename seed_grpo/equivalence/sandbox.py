"""Long-lived worker processes that evaluate expressions, each behind a timer, a kill, and a memory limit.

Usable from any thread of any process: there are no signals in the caller. A job's clock starts when a worker takes it,
not when it queues. A worker that does not answer in time is killed and replaced. Workers end when their owner does,
however it ends: their standard input closes.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from seed_grpo.errors import SeedGrpoError

START_SECONDS = 60.0
KILL_AFTER = 0.2
"""Seconds between the soft timer inside a worker and the kill from outside."""


@dataclass(frozen=True)
class Outcome:
    """What came of a job: its key, or None; and whether time or memory ran out."""

    key: str | None
    timed_out: bool = False


class _Worker:
    """One process. Jobs go in and out as lines of JSON."""

    def __init__(self, soft_seconds: float, memory_bytes: int) -> None:
        self._limit = soft_seconds + KILL_AFTER
        self._process = subprocess.Popen(
            [sys.executable, "-m", "seed_grpo.equivalence._worker", str(soft_seconds), str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        )
        self._buffer = b""
        if self._read_line(START_SECONDS) is None:
            self.kill()
            raise SeedGrpoError(
                "The worker that compares answers symbolically does not start.",
                "check that math-verify and latex2sympy2_extended import, or use cluster_level=normalized.",
            )

    def run(self, text: str) -> Outcome | None:
        """The outcome of a job; None when the worker had to be killed, or died."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"text": text}).encode("ascii") + b"\n")
            self._process.stdin.flush()
            line = self._read_line(self._limit)
        except OSError:
            line = None
        if line is None:
            self.kill()
            return None
        outcome = json.loads(line)
        return Outcome(outcome["key"], bool(outcome.get("timeout") or outcome.get("memory")))

    def _read_line(self, seconds: float) -> bytes | None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                return None
            chunk = os.read(descriptor, 65536)
            if not chunk:
                return None
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def kill(self) -> None:
        self._process.kill()
        with contextlib.suppress(OSError):
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        self._process.wait()


class Sandbox:
    """A few workers, started when the first job comes.

    Args:
        workers: processes at most.
        soft_seconds: time for one expression; a caller with one expression waits at most 0.2 s longer.
        memory_bytes: address space of each worker.
    """

    def __init__(self, workers: int = 2, soft_seconds: float = 0.5, memory_bytes: int = 1 << 30) -> None:
        self._soft_seconds = soft_seconds
        self._memory_bytes = memory_bytes
        self._slots = threading.Semaphore(workers)
        self._threads = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="equivalence")
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._closed = False
        self._owner = os.getpid()
        _open_sandboxes.add(self)

    def evaluate(self, texts: Sequence[str]) -> list[Outcome]:
        """The outcomes of several expressions, in order."""
        if len(texts) == 1:
            return [self._evaluate_one(texts[0])]
        return list(self._threads.map(self._evaluate_one, texts))

    def _evaluate_one(self, text: str) -> Outcome:
        if self._closed or os.getpid() != self._owner:
            raise SeedGrpoError("The sandbox is closed, or belongs to another process.", "make a new AnswerKeyer.")
        with self._slots:
            with self._lock:
                worker = self._idle.pop() if self._idle else None
            worker = worker or _Worker(self._soft_seconds, self._memory_bytes)
            outcome = worker.run(text)
            if outcome is None:
                return Outcome(None, timed_out=True)
            with self._lock:
                if self._closed:
                    worker.kill()
                else:
                    self._idle.append(worker)
            return outcome

    def warm_up(self) -> None:
        """Start a worker now, so that the first caller does not wait for it."""
        self._evaluate_one("1")

    def close(self) -> None:
        """End the workers. A closed sandbox takes no more jobs."""
        with self._lock:
            self._closed = True
            workers, self._idle = self._idle, []
        for worker in workers:
            worker.kill()
        self._threads.shutdown(wait=False)


_open_sandboxes: weakref.WeakSet[Sandbox] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for sandbox in list(_open_sandboxes):
        sandbox.close()
