"""How torch's threads wait."""

from __future__ import annotations

import os


def let_threads_sleep() -> None:
    """Have OpenMP's threads sleep while they wait, unless the user says otherwise. To be called before torch is loaded.

    They spin by default, and a busy machine then slows down eightfold.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
