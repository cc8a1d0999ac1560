"""The process that holds columns of rows, which are written in batches and read in other batches.

It imports no torch, so that the process starts at once. `column_storage.py` is TransferQueue's side of it.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Column:
    """N rows of one field.

    Attributes:
        rows: a list of N objects, or the values of all rows, concatenated: shape (sum of the lengths, ...).
        lengths_N: the rows' lengths; None for objects, and if each row is one number.
        dtype: torch's name for the values' type; None for objects. `rows` holds the bits as integers of that size.
    """

    rows: list[Any] | np.ndarray
    lengths_N: np.ndarray | None = None
    dtype: str | None = None

    def __len__(self) -> int:
        return len(self.rows if self.lengths_N is None else self.lengths_N)

    @property
    def trailing(self) -> tuple[int, ...]:
        """The shape of a row of values after its first dimension."""
        return self.rows.shape[1:] if isinstance(self.rows, np.ndarray) else ()

    def copied(self) -> Column:
        """The same column in its own memory: a view would keep all of the memory that Ray shares alive."""
        rows = self.rows.copy() if isinstance(self.rows, np.ndarray) else self.rows
        return Column(rows, None if self.lengths_N is None else self.lengths_N.copy(), self.dtype)

    def joins(self, other: Column) -> bool:
        """Whether the rows of both fit into one column."""
        alike = (self.dtype, self.trailing) == (other.dtype, other.trailing)
        return alike and (self.lengths_N is None) == (other.lengths_N is None)


class _Block:
    """A column as it was written, with the start of each row."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self._starts = None if column.lengths_N is None else np.concatenate([[0], np.cumsum(column.lengths_N)])

    def slice(self, first: int, last: int) -> Column:
        """The rows from `first` to `last`, both included."""
        column = self.column
        if column.lengths_N is None or self._starts is None:
            return Column(column.rows[first : last + 1], dtype=column.dtype)
        values = column.rows[self._starts[first] : self._starts[last + 1]]
        return Column(values, column.lengths_N[first : last + 1], column.dtype)


class ColumnStore:
    """Stores each row of each field under TransferQueue's global index.

    A batch stays in memory until all of its rows have been cleared.
    """

    def __init__(self) -> None:
        self._places: dict[str, dict[int, tuple[_Block, int]]] = {}

    def put(self, indexes: Sequence[int], columns: dict[str, Column]) -> None:
        for name, column in columns.items():
            if len(column) != len(indexes):
                raise ValueError(f"{len(column)} rows of {name} for {len(indexes)} indexes")
            block = _Block(column.copied())
            self._places.setdefault(name, {}).update((index, (block, row)) for row, index in enumerate(indexes))

    def get(self, indexes: Sequence[int], names: Sequence[str]) -> dict[str, list[Column]]:
        """The rows in the requested order, in as few columns per field as possible.

        Raises:
            KeyError: a row does not have one of the fields.
        """
        return {name: self._gather(name, indexes) for name in names}

    def _gather(self, name: str, indexes: Sequence[int]) -> list[Column]:
        places = self._places.get(name, {})
        try:
            found = [places[index] for index in indexes]
        except KeyError as error:
            raise KeyError(f"row {error} has no field {name}") from None
        slices = []
        # For neighbours in a block, the difference between row and position stays the same.
        for _, run in groupby(enumerate(found), key=lambda at: (id(at[1][0]), at[1][1] - at[0])):
            rows = [place for _, place in run]
            slices.append(rows[0][0].slice(rows[0][1], rows[-1][1]))
        return _joined(slices)

    def clear(self, indexes: Sequence[int]) -> None:
        for places in self._places.values():
            for index in indexes:
                places.pop(index, None)

    def save(self, path: str) -> None:
        """Write all rows to a file of a checkpoint; TransferQueue moves the folder into place once it is complete."""
        with open(path, "wb") as file:
            pickle.dump(self._places, file, protocol=pickle.HIGHEST_PROTOCOL)

    def load(self, path: str) -> None:
        """Read all rows from a file that `save` wrote: part of the run's own checkpoint, which verl unpickles too."""
        with open(path, "rb") as file:
            self._places = pickle.load(file)


def _joined(slices: list[Column]) -> list[Column]:
    """The same rows in fewer columns."""
    together: list[list[Column]] = []
    for part in slices:
        if together and part.joins(together[-1][0]):
            together[-1].append(part)
        else:
            together.append([part])
    return [_concatenate(parts) for parts in together]


def _concatenate(parts: list[Column]) -> Column:
    first = parts[0]
    if len(parts) == 1:
        return first
    if first.dtype is None:
        return Column([row for part in parts for row in part.rows])
    values = np.concatenate([part.rows for part in parts])
    lengths = [part.lengths_N for part in parts if part.lengths_N is not None]
    return Column(values, np.concatenate(lengths) if lengths else None, first.dtype)
