"""A sandboxed evaluator: reads one JSON line a job from standard input, answers one JSON line, ends with its owner.

Started by `sandbox` as `python -m seed_grpo.equivalence._worker SOFT_SECONDS MEMORY_BYTES`. The soft timer interrupts
Python code; what it cannot interrupt, the parent kills. Nothing else runs here, so a crash costs one job.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import warnings
from typing import Any


class _TimeUp(BaseException):
    """Not an `Exception`, so that no library's own handler swallows it."""


def _alarm(*_: Any) -> None:
    raise _TimeUp


def main() -> None:
    soft_seconds, memory_bytes = float(sys.argv[1]), int(sys.argv[2])
    # Answers go to a private descriptor: a library that prints cannot break the protocol.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's affair
    signal.signal(signal.SIGALRM, _alarm)
    warnings.simplefilter("ignore")
    from seed_grpo.equivalence.evaluate import evaluate

    evaluate("\\sqrt{2}")  # loads the parser before a clock runs
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        text = json.loads(line)["text"]
        outcome: dict[str, Any]
        try:
            signal.setitimer(signal.ITIMER_REAL, soft_seconds)
            try:
                outcome = {"key": evaluate(text)}
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except _TimeUp:
            outcome = {"key": None, "timeout": True}
        except MemoryError:
            outcome = {"key": None, "memory": True}
        except RecursionError:
            outcome = {"key": None}
        except Exception:  # what a parser makes of hostile text is not known; no key is an answer
            outcome = {"key": None}
        print(json.dumps(outcome), file=answers, flush=True)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
