"""What the tests let sandbox workers do: jobs that no answer can cause, because the guards are in front."""

from __future__ import annotations

import os
import sys
import time

_started = time.monotonic()


def job(text: str) -> tuple[str, bool]:
    """Do what `text` says: `echo …`, `pid`, `sleep`, `stuck`, `memory`, `raise`, `crash`, `print`."""
    command, _, rest = text.partition(" ")
    if command == "echo":
        return rest, False
    if command == "pid":
        return str(os.getpid()), False
    if command == "sleep":  # Python code: the soft timer ends it
        while True:
            time.sleep(0.01)
    if command == "stuck":  # one long operation in C: no Python code runs that a timer could interrupt
        return str(3 ** (3**17) % 7), False
    if command == "memory":
        return str(len(bytearray(int(rest)))), False
    if command == "raise":
        raise RuntimeError(rest)
    if command == "crash":
        os._exit(3)
    if command == "print":
        print("noise on standard output", flush=True)
        os.write(1, b'{"key": "forged"}\n')
        sys.stdout.flush()
        return "honest", False
    return text, False
