"""Long-lived worker processes that apply a function to one text at a time, behind a timer, a kill, a memory limit.

Usable from any thread of any process: there are no signals in the caller. A job's clock starts when a worker takes it,
not when it queues, and counts processor time: its outcome does not depend on what else the machine does. Callers take
turns, so that one with a single text does not wait for another's batch. A worker that does not answer in time is killed
and replaced. Workers end when their owner does, however it ends. A forked child has workers of its own; a fork waits
until no other thread is in the middle of changing what the sandbox holds.

This bounds time and memory. It is not a security boundary: see the package's docstring.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seed_grpo.errors import SeedGrpoError

START_SECONDS = 60.0
TEXTS_A_WORKER = 100
"""A worker that does this many first is sooner done than one that has to be started."""
PATIENCE = 20
"""By the clock, a job may take this many times the processor time that it has: the machine may be busy."""
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        value: what the function returned, as JSON keeps it; None if it returned nothing.
        timed_out: whether time or memory ran out, or the job ended its worker.
        error: the name of the exception that the function raised; empty if it raised none.
    """

    value: Any
    timed_out: bool = False
    error: str = ""


class _Died(Exception):
    """The worker's process is gone."""


class _Worker:
    """One process; jobs go in and out as lines of JSON. It starts at once and is waited for at its first job."""

    def __init__(self, function: str, soft_seconds: float, memory_bytes: int) -> None:
        self._limit = PATIENCE * soft_seconds
        self._ready = False
        self._buffer = b""
        path = [_PACKAGE_ROOT, *(entry or os.getcwd() for entry in sys.path)]
        self._process = subprocess.Popen(
            # -S: the path is given, and what an environment loads at the start of Python is not needed
            [sys.executable, "-S", "-m", "seed_grpo.sandbox._worker", function, str(soft_seconds),
             str(memory_bytes), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,  # a forked child is to find no half-written job, and no buffer locked by another thread
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        )  # fmt: skip

    def wait_until_ready(self) -> None:
        """Return when the process takes jobs. Raises `_Died`."""
        if not self._ready and self._read_line(START_SECONDS) is None:
            raise _Died
        self._ready = True

    def run(self, text: str) -> Outcome:
        """The outcome of a job. Raises `_Died` when the process was gone or went; it is of no use after that."""
        assert self._process.stdin is not None
        try:
            job = json.dumps(text).encode("ascii") + b"\n"
            while job:
                job = job[self._process.stdin.write(job) :]
            line = self._read_line(self._limit)
        except (OSError, ValueError) as error:
            raise _Died from error
        except _Died:
            if self._process.wait() != -signal.SIGVTALRM:
                raise
            line = None  # it was the worker's own timer
        if line is None:
            return Outcome(None, timed_out=True)
        outcome = json.loads(line)
        return Outcome(outcome.get("value"), "failure" in outcome, outcome.get("error", ""))

    def _read_line(self, seconds: float) -> bytes | None:
        """The next line; None when the time is up. Raises `_Died` at the end of the process."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + seconds
        poll = select.poll()  # select() takes no descriptor above 1023
        poll.register(descriptor, select.POLLIN)
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                return None
            chunk = os.read(descriptor, 65536)
            if not chunk:
                raise _Died
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def stop(self) -> None:
        """End the process."""
        self._process.kill()

    def kill(self) -> None:
        """End the process and collect it."""
        self.stop()
        self._process.wait()
        self.forget()

    def forget(self) -> None:
        """Close this process's ends of the pipes."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class _Batch:
    """The texts of one caller, and what came of them."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.outcomes: list[Outcome | None] = [None] * len(texts)
        self.next = 0
        self.open = len(texts)
        self.error: SeedGrpoError | None = None
        self.done = threading.Event()


class _State:
    """What the sandbox's threads share. They hold this, not the sandbox, so that the sandbox can be collected."""

    def __init__(self, function: str, workers: int, soft_seconds: float, memory_bytes: int) -> None:
        self.function = function
        self.max_workers = workers
        self._arguments = (function, soft_seconds, memory_bytes)
        self._reset()
        with _registry:
            _states.add(self)

    def _reset(self) -> None:
        self.condition = threading.Condition()
        self.batches: deque[_Batch] = deque()
        self.workers: set[_Worker] = set()
        self.threads = 0
        self.idle = 0
        self.closed = False

    def after_fork(self) -> None:
        """In a forked child: the parent's workers are not ours, and its threads are not here."""
        for worker in list(self.workers):
            worker.forget()
            worker._process.returncode = 0  # not ours to wait for
        closed = self.closed
        self._reset()
        self.closed = closed

    def submit(self, batch: _Batch) -> None:
        with self.condition:
            if self.closed:
                raise SeedGrpoError("The sandbox is closed.", "make a new one.")
            self.batches.append(batch)
            wanted = 1 + len(batch.texts) // TEXTS_A_WORKER
            missing = min(wanted - self.idle, self.max_workers - self.threads)
            for _ in range(max(missing, 0)):
                self.threads += 1
                threading.Thread(target=self._serve, name=f"sandbox {self.function}", daemon=True).start()
            self.condition.notify_all()

    def close(self) -> None:
        with self.condition:
            self.closed = True
            for batch in self.batches:
                batch.error = SeedGrpoError("The sandbox was closed.", "make a new one.")
                batch.done.set()
            self.batches.clear()
            workers, self.workers = list(self.workers), set()
            self.condition.notify_all()
        for worker in workers:
            worker.stop()  # its thread, which may be reading from it, collects it

    def _serve(self) -> None:
        """One thread, and the worker that it feeds. It takes a job when its worker is ready: until then, others may."""
        condition = self.condition
        worker: _Worker | None = None
        while True:
            with contextlib.suppress(SeedGrpoError):  # tried again with a job at hand, which can tell its caller
                worker = worker or self._ready_worker()
            job = self._next_job(condition)
            if job is None:
                break
            batch, index = job
            outcome: Outcome | None = None
            try:
                outcome, worker = self._run(worker or self._ready_worker(), batch.texts[index])
                batch.outcomes[index] = outcome
            except SeedGrpoError as error:
                batch.error, worker = error, None
            with condition:
                batch.open -= 1
                if batch.open == 0 or batch.error:
                    batch.done.set()
            if worker is not None and outcome is not None and outcome.timed_out:
                self._discard(worker)
                worker = None
        if worker is not None:
            self._discard(worker)

    def _next_job(self, condition: threading.Condition) -> tuple[_Batch, int] | None:
        """The next text of the batch whose turn it is; None when the sandbox is closed."""
        with condition:
            self.idle += 1
            while not self.batches and not self.closed:
                condition.wait()
            self.idle -= 1
            if self.closed:
                self.threads -= 1
                return None
            batch = self.batches.popleft()
            index = batch.next
            batch.next += 1
            if batch.next < len(batch.texts) and batch.error is None:
                self.batches.append(batch)
            return batch, index

    def _run(self, worker: _Worker, text: str) -> tuple[Outcome, _Worker | None]:
        """The outcome of a text, and the worker if it lives.

        A worker that died may have been killed by somebody else (the kernel, short of memory): once more with another.
        """
        for last in (False, True):
            try:
                return worker.run(text), worker
            except _Died:
                self._discard(worker)
            if not last:
                worker = self._ready_worker()
        return Outcome(None, timed_out=True), None

    def _ready_worker(self) -> _Worker:
        """A new worker that takes jobs."""
        worker = self._start()
        try:
            worker.wait_until_ready()
        except _Died:
            self._discard(worker)
            raise SeedGrpoError(
                f"The sandbox's worker for {self.function} does not start.",
                f"run `python -m seed_grpo.sandbox._worker {self.function} 1 {1 << 30} $$` to see why.",
            ) from None
        return worker

    def _start(self) -> _Worker:
        with self.condition:
            if self.closed:
                raise SeedGrpoError("The sandbox was closed.", "make a new one.")
            worker = _Worker(*self._arguments)
            self.workers.add(worker)
            return worker

    def _discard(self, worker: _Worker) -> None:
        with self.condition:
            self.workers.discard(worker)
        worker.kill()


class Sandbox:
    """A few workers, started when the first job comes.

    Args:
        function: what the workers compute, as `package.module:function`; from a text to a value that JSON can hold. Its
            module may declare `WARM_UP`, a text that each worker is warmed up with.
        workers: processes at most.
        soft_seconds: processor time for one text; a caller with one text waits at most `PATIENCE` times that.
        memory_bytes: address space of each worker.
    """

    def __init__(
        self, function: str, *, workers: int = 2, soft_seconds: float = 0.5, memory_bytes: int = 1 << 29
    ) -> None:
        self._state = _State(function, workers, soft_seconds, memory_bytes)
        self.close = weakref.finalize(self, self._state.close)
        """End the workers. A closed sandbox takes no more jobs. Also called when the sandbox or the process ends."""

    def evaluate(self, texts: Sequence[str]) -> list[Outcome]:
        """The outcomes of several texts, in order.

        Raises:
            SeedGrpoError: the sandbox is closed, or workers do not start.
        """
        if not texts:
            return []
        batch = _Batch(texts)
        self._state.submit(batch)
        batch.done.wait()
        if batch.error:
            raise batch.error
        return [outcome for outcome in batch.outcomes if outcome is not None]

    def process_ids(self) -> list[int]:
        """The ids of the workers' processes."""
        with self._state.condition:
            return [worker._process.pid for worker in self._state.workers]


_states: weakref.WeakSet[_State] = weakref.WeakSet()
_registry = threading.RLock()
_held: list[_State] = []
"""The states whose locks the thread that forks holds meanwhile."""


def _before_fork() -> None:
    _registry.acquire()
    _held.extend(_states)
    for state in _held:
        state.condition.acquire()


def _after_fork_in_parent() -> None:
    for state in _held:
        state.condition.release()
    _held.clear()
    _registry.release()


def _after_fork_in_child() -> None:
    for state in _held:
        state.after_fork()
    _held.clear()
    _registry.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
