"""Columns kept whole give the same as TransferQueue's own storage, row for row and type for type."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import ROOT, Scratch
from tensordict import NonTensorStack
from transfer_queue.storage.managers.simple_storage_manager import AsyncSimpleStorageManager

from seed_grpo.verl_plugin.cpu.column_storage import batched, column_of, schema_of
from seed_grpo.verl_plugin.cpu.column_store import Column, ColumnStore
from seed_grpo.verl_plugin.names import COLUMN_STORAGE

DTYPES = [torch.int64, torch.float32, torch.bfloat16, torch.bool, torch.float64]
TAILS: list[tuple[int, ...]] = [(), (2,), (3, 1)]


@st.composite
def written(draw: st.DrawFn, n: int) -> tuple[Any, list[Any]]:
    """A field of n rows in one of the forms that come from verl, and its rows."""
    kind = draw(st.sampled_from(["numbers", "dense", "jagged", "strided", "objects", "shared"]))
    if kind == "objects":
        rows = draw(st.lists(st.one_of(st.none(), st.text(), st.dictionaries(st.text(), st.integers())),
                             min_size=n, max_size=n))  # fmt: skip
        return NonTensorStack(*rows), rows
    if kind == "shared":
        one = {"prompt": draw(st.text())}
        return NonTensorStack(*[one] * n), [one] * n
    dtype, tail = draw(st.sampled_from(DTYPES)), draw(st.sampled_from(TAILS))
    seed = draw(st.integers(0, 2**16))
    generator = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> torch.Tensor:
        return (torch.rand(shape, generator=generator) * 100 - 30).to(dtype)

    if kind == "numbers":
        dense = some(n)
        return dense, list(dense)
    if kind == "dense":
        dense = some(n, draw(st.integers(1, 4)), *tail)
        return dense, list(dense)
    rows = [some(draw(st.integers(1, 5)), *tail) for _ in range(n)]
    layout = torch.jagged if kind == "jagged" else torch.strided
    return torch.nested.as_nested_tensor(rows, layout=layout), rows


@settings(max_examples=150)
@given(st.data())
def test_any_writes_and_reads(data: st.DataObject) -> None:
    """Against a table of rows, packed by TransferQueue's own code."""
    store, table = ColumnStore(), {}
    for _ in range(data.draw(st.integers(1, 5))):
        indexes = data.draw(st.lists(st.integers(0, 12), min_size=1, max_size=8, unique=True))
        values, rows = data.draw(written(len(indexes)))
        store.put(indexes, {"field": column_of(values)})
        table.update(zip(indexes, rows, strict=True))
        wanted = data.draw(st.lists(st.sampled_from(sorted(table)), min_size=1, max_size=20))
        same(batched(store.get(wanted, ["field"])["field"]), AsyncSimpleStorageManager._pack_field_values(
            [table[index] for index in wanted]))  # fmt: skip
    gone = data.draw(st.sampled_from(sorted(table)))
    store.clear([gone])
    with pytest.raises(KeyError, match="has no field field"):
        store.get([gone], ["field"])


def same(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    if isinstance(theirs, NonTensorStack):
        for a, b in zip(ours.tolist(), theirs.tolist(), strict=True):
            assert torch.equal(a, b) if isinstance(b, torch.Tensor) else a == b
        return
    assert (ours.dtype, ours.layout, ours.is_nested) == (theirs.dtype, theirs.layout, theirs.is_nested)
    pairs = zip(ours.unbind(), theirs.unbind(), strict=True) if theirs.is_nested else [(ours, theirs)]
    assert all(torch.equal(a, b) for a, b in pairs)


@given(st.data())
def test_the_controller_is_told_the_same(data: st.DataObject) -> None:
    from tensordict import TensorDict
    from transfer_queue.metadata import extract_field_schema

    n = data.draw(st.integers(1, 6))
    values, _ = data.draw(written(n))
    theirs = extract_field_schema(TensorDict({"field": values}, batch_size=[n]))["field"]
    assert schema_of(values, column_of(values)) == theirs


def test_what_is_read_can_be_written_to() -> None:
    store = ColumnStore()
    values = np.arange(4)
    values.setflags(write=False)  # as Ray hands it over
    store.put([0, 1], {"field": Column(values, np.array([2, 2]), "int64")})
    read = batched(store.get([0, 1], ["field"])["field"])
    read.values().add_(1)
    assert batched(store.get([0, 1], ["field"])["field"]).values().tolist() == [0, 1, 2, 3]


def test_a_wrong_number_of_rows() -> None:
    with pytest.raises(ValueError, match="3 rows of field for 2 indexes"):
        ColumnStore().put([0, 1], {"field": column_of(torch.zeros(3))})


@pytest.mark.e2e
def test_both_backends_give_the_same() -> None:
    """Through a real TransferQueue: dense, nested and object columns, several writes, checkpoints."""
    scratch = Scratch()
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "storage_backends.py"), str(scratch.folder), "SimpleStorage",
         COLUMN_STORAGE],
        capture_output=True, text=True, timeout=300, env=scratch.environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    scratch.check_clean()
    theirs, ours = found.values()
    assert len(theirs["everything"]) == 10
    assert theirs["left"] == [f"row_{i}" for i in sorted(range(6, 12), key=str)]
    for name, columns in theirs.items():
        assert ours[name] == columns, name
