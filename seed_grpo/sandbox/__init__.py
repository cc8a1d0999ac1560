"""Functions run in worker processes with bounded time and memory, whatever the text that they are given.

`Sandbox("package.module:function")` serves any function from a text to a JSON value. It bounds time and memory, so that
a hostile input costs its own result and nothing else. It is **not** a security boundary: a worker runs with its owner's
rights, and sees the owner's files and network. Code from a model needs a container or a virtual machine around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seed_grpo.sandbox.pool import Outcome, Sandbox

__all__ = ["Outcome", "Sandbox"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from seed_grpo.sandbox import pool  # here, because the workers themselves need none of it

    return getattr(pool, name)
