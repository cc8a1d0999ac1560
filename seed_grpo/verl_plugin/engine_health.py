"""A run whose vLLM engine dies ends with that cause, wherever it waits.

With a dead engine requests fail, verl's replay buffer waits for groups or asks for new ones without end, and a call to
the server that was under way is never answered (`AsyncLLM` fails its requests, not its other calls). What verl raises
in the end, if it does, is about itself. So a thread asks each server for its engine's health, and interrupts the
trainer.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import httpx

from seed_grpo.errors import SeedGrpoError
from seed_grpo.verl_plugin.names import VLLM_ROLLOUT

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 10.0
"""Between two looks at the engines."""
_REQUEST_SECONDS = 5.0
_SIGNAL = signal.SIGUSR2
"""Ends any wait of the main thread by a KeyboardInterrupt: within `ray.get`, Ray heeds no other exception of a signal's
handler. SIGINT and SIGUSR1 have their own meanings for a run."""


@contextmanager
def living_engines(rollout_name: str, replicas: Callable[[], Sequence[Any]]) -> Iterator[None]:
    """While this is entered, a vLLM engine that dies raises a `SeedGrpoError` in the main thread.

    An error of any kind that leaves the body is replaced by that one if an engine is dead: it is the cause.

    Args:
        rollout_name: verl's `rollout.name`; nothing is watched for others than `vllm`.
        replicas: returns verl's replicas.
    """
    if rollout_name != VLLM_ROLLOUT:
        yield
        return
    watched = threading.current_thread() is threading.main_thread()
    main = threading.main_thread().ident or 0
    ended = threading.Event()
    leaving = threading.Lock()  # nothing is sent once the body has ended: the signal may mean something else by then
    found: list[SeedGrpoError] = []
    inside = False

    def interrupt(signum: int, frame: FrameType | None) -> None:
        if inside:
            raise KeyboardInterrupt

    def watch() -> None:
        while not ended.wait(PAUSE_SECONDS):
            error = _first_dead(replicas())
            with leaving:
                if error and not ended.is_set():
                    found.append(error)
                    signal.pthread_kill(main, _SIGNAL)
                    return

    before = signal.signal(_SIGNAL, interrupt) if watched else None
    if watched:
        threading.Thread(target=watch, name="engine-health", daemon=True).start()
    try:
        try:
            inside = True
            yield
        finally:
            inside = False  # what interrupts before this line is caught below, in the place of the body's own error
    except (Exception, KeyboardInterrupt) as error:
        with leaving:
            ended.set()
        dead = found[0] if found else None if isinstance(error, KeyboardInterrupt) else _first_dead(replicas())
        if dead is None:
            raise
        logger.error("What the dead engine led to:", exc_info=error)
        raise dead from None
    finally:
        with leaving:
            ended.set()
        if watched:
            signal.signal(_SIGNAL, before or signal.SIG_DFL)


def _first_dead(replicas: Sequence[Any]) -> SeedGrpoError | None:
    for replica in replicas:
        if reason := dead_engine(replica.server_address):
            return SeedGrpoError(
                f"vLLM (replica {replica.replica_rank}) {reason}: there are no more responses.",
                "look for its last words in train.log, then start the run again to resume it from its last checkpoint.",
            )
    return None


def dead_engine(address: str) -> str | None:
    """What is wrong with the engine of the server at an address; None if nothing is known to be wrong."""
    try:
        status = httpx.get(f"http://{address}/health", timeout=_REQUEST_SECONDS, trust_env=False).status_code
    except httpx.ConnectError:
        return "is gone, server and all"
    except httpx.HTTPError:  # busy, perhaps
        return None
    return "has lost its engine" if status == 503 else None
