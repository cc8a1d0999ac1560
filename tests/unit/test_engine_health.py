"""Runs whose engine dies: a server that answers as vLLM's `/health` does, and a main thread that waits."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from seed_grpo.errors import SeedGrpoError
from seed_grpo.verl_plugin import engine_health
from seed_grpo.verl_plugin.engine_health import dead_engine, living_engines

HEALTHY, DEAD = 200, 503


@contextmanager
def server(statuses: list[int]) -> Iterator[list[Any]]:
    """Answers with one status after the other, then with the last; yields what stands for verl's replicas."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    try:
        address = f"127.0.0.1:{serving.server_address[1]}"
        yield [SimpleNamespace(server_address=address, replica_rank=0)]
    finally:
        serving.shutdown()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_health, "PAUSE_SECONDS", 0.1)


def test_a_wait_ends_when_the_engine_dies() -> None:
    start = time.monotonic()
    before = signal.getsignal(signal.SIGUSR2)
    with (
        server([HEALTHY, HEALTHY, DEAD]) as replicas,
        pytest.raises(SeedGrpoError, match=r"vLLM \(replica 0\) has lost its engine"),
        living_engines("vllm", lambda: replicas),
    ):
        threading.Event().wait(60)
    assert 0.2 < time.monotonic() - start < 20
    assert signal.getsignal(signal.SIGUSR2) == before


def test_what_a_dead_engine_leads_to_is_not_the_cause() -> None:
    with (
        server([DEAD]) as replicas,
        pytest.raises(SeedGrpoError, match="has lost its engine"),
        living_engines("vllm", lambda: replicas),
    ):
        raise RuntimeError("Sync replay buffer selected terminal groups with no materializable trajectories.")


def test_a_death_at_the_very_end_interrupts_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the watching thread is about to send when the body ends, it does not reach what comes after."""
    monkeypatch.setattr(engine_health, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(engine_health, "_first_dead", lambda replicas: SeedGrpoError("dead", "start it again."))
    for number in range(300):
        try:
            with living_engines("vllm", list):
                for _ in range(number % 50):
                    pass
                if number % 2:
                    raise RuntimeError("the body's own error")
        except SeedGrpoError:
            pass
    time.sleep(0.1)  # a signal that came now would end the test, or this process


@pytest.mark.parametrize("error", [ValueError("something else"), KeyboardInterrupt()])
def test_other_errors_stay_what_they_are(error: BaseException) -> None:
    with server([HEALTHY]) as replicas, pytest.raises(type(error)), living_engines("vllm", lambda: replicas):
        raise error


def test_no_other_rollout_is_watched() -> None:
    with server([DEAD]) as replicas, living_engines("hf", lambda: replicas):
        time.sleep(0.4)


def test_a_server_that_is_gone_or_slow() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert dead_engine(f"127.0.0.1:{closed.getsockname()[1]}") == "is gone, server and all"
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert dead_engine(f"127.0.0.1:{silent.getsockname()[1]}") is None
