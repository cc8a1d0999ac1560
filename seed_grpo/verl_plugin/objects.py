"""Columns of plain objects in tensordict's stacks, wrapped and unwrapped fast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensordict import NonTensorData, NonTensorStack


def stacked(objects: list[Any]) -> NonTensorStack:
    """Objects as a column; an object that occurs several times, as most in a group do, is wrapped once."""
    return NonTensorStack(*_each_once(NonTensorData, objects))


def unwrapped(stack: NonTensorStack) -> list[Any]:
    """The objects of a stack; an object that occurs several times is unwrapped once."""
    items = stack.tensordicts
    if not all(type(item) is NonTensorData for item in items):
        return stack.tolist()
    return _each_once(lambda item: item.data, items)


def _each_once(function: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    """The function applied to each item; it is called once for an item that occurs several times."""
    of_id = {key: function(item) for key, item in {id(item): item for item in items}.items()}
    return [of_id[id(item)] for item in items]
