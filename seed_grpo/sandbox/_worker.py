"""A sandboxed worker: reads one JSON line per job from standard input, answers one JSON line, ends with its owner.

Started by `Sandbox` as `python -m seed_grpo.sandbox._worker MODULE:FUNCTION SOFT_SECONDS MEMORY_BYTES OWNER`. Two
timers count a job's processor time, so that a busy machine takes none from it. The first interrupts Python code; what
it cannot interrupt, the kernel ends when the second expires. What waits instead of computing, the owner kills. A job
that was interrupted is the worker's last: nothing half-finished stays behind.

A module may declare `WARM_UP`, a text: the function is called with it once, before any clock runs and before memory is
limited, so that whatever the function loads late is loaded by then.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import sys
import time
import warnings
from typing import Any

KILL_AFTER = 0.2
"""Seconds of processor time between the two timers."""
_PR_SET_PDEATHSIG = 1


class _TimeUp(BaseException):
    """Not an `Exception`, so that no library's own handler swallows it."""


def _alarm(*_: Any) -> None:
    raise _TimeUp


def _die_with(owner: int) -> None:
    """Have the kernel kill this process when its owner dies, however that happens (Linux; elsewhere stdin closes)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != owner:
            os._exit(0)


def main() -> None:
    function, soft_seconds, memory_bytes, owner = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    _die_with(owner)
    # Answers go to a private descriptor: a library that prints cannot break the protocol.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's affair
    signal.signal(signal.SIGPROF, _alarm)
    warnings.simplefilter("ignore")
    module, name = function.split(":")
    loaded = importlib.import_module(module)
    evaluate = getattr(loaded, name)
    warm_up = getattr(loaded, "WARM_UP", None)
    if warm_up is not None:
        evaluate(warm_up)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        outcome = _run(evaluate, json.loads(line), soft_seconds)
        print(json.dumps(outcome), file=answers, flush=True)
        if "failure" in outcome:
            return


def _run(evaluate: Any, text: str, soft_seconds: float) -> dict[str, Any]:
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, soft_seconds + KILL_AFTER)  # its signal, not handled, ends the process
        signal.setitimer(signal.ITIMER_PROF, soft_seconds)
        try:
            start = time.thread_time()
            value = evaluate(text)
            if time.thread_time() - start > soft_seconds:  # between two ticks of the kernel's timers
                raise _TimeUp
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return {"value": value}
    except _TimeUp:
        return {"failure": "time"}
    except MemoryError:
        return {"failure": "memory"}
    except Exception as error:  # a fault on hostile text costs this text its value, not the run
        return {"value": None, "error": type(error).__name__}


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
