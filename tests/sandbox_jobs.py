"""What the tests let sandbox workers do: jobs that no answer can cause, because the guards are in front."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

_started = time.monotonic()


WARM_UP = "warm"
warmed_up = []


def job(text: str) -> Any:
    """Do what `text` says: echo …, pid, work SECONDS, sleep, stuck, memory BYTES, raise …, crash, print, warmed."""
    command, _, rest = text.partition(" ")
    if command == "echo":
        return rest
    if command == "pid":
        return str(os.getpid())
    if command == "work":  # Python code: the soft timer ends it
        until = time.process_time() + float(rest)
        while time.process_time() < until:
            pass
        return rest
    if command == "sleep":  # uses no processor time: the owner ends it
        time.sleep(1000)
    if command == "stuck":  # one long operation in C: no Python code runs that a timer could interrupt
        return str(3 ** (3**17) % 7)
    if command == "memory":
        return str(len(bytearray(int(rest))))
    if command == "raise":
        raise RuntimeError(rest)
    if command == "crash":
        os._exit(3)
    if command == "print":
        print("noise on standard output", flush=True)
        os.write(1, b'{"value": "forged"}\n')
        sys.stdout.flush()
        return "honest"
    if command == "warm":
        warmed_up.append(text)
    if command == "warmed":
        return {"times": len(warmed_up)}
    return text
