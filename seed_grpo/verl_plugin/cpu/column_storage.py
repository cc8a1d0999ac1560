"""A storage backend for TransferQueue that keeps columns whole, registered with its `StorageManagerFactory`.

TransferQueue's own backends split every column into rows, with a message part and a tensor for each row of each column,
on every write and read. With short responses on a CPU this takes as long as the model does. This backend sends and
keeps a column as its values and the lengths of its rows. Readers get the same data, row for row and type for type
(`tests/verl/test_column_storage.py` compares it with `SimpleStorage`).

Choose it with `transfer_queue.backend.storage_backend=SeedGrpoColumns`; `platform=cpu` does. One process holds all
rows, so use TransferQueue's own backends on a cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from omegaconf import DictConfig
from tensordict import NonTensorStack, TensorDict
from transfer_queue.metadata import BatchMeta, extract_field_schema
from transfer_queue.storage.bootstrap.provider import StorageBootstrapProvider
from transfer_queue.storage.managers.base import StorageManager, StorageManagerFactory
from transfer_queue.storage.managers.simple_storage_manager import AsyncSimpleStorageManager
from transfer_queue.storage.simple_storage import StorageKeyNotFoundError

from seed_grpo.verl_plugin.cpu.column_store import Column, ColumnStore
from seed_grpo.verl_plugin.names import COLUMN_STORAGE
from seed_grpo.verl_plugin.objects import stacked, unwrapped

_ACTOR, _NAMESPACE = "SeedGrpoColumnStore", "transfer_queue"
_STATE = "columns.pkl"
_INTEGER_OF_SIZE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@StorageBootstrapProvider.register_provider(COLUMN_STORAGE)
def start_column_store(conf: DictConfig) -> dict[str, Any]:
    """Start the process that holds the rows; TransferQueue keeps the returned handle, and so the process, alive."""
    conf.backend[COLUMN_STORAGE] = {}
    return {_ACTOR: ray.remote(ColumnStore).options(name=_ACTOR, namespace=_NAMESPACE, num_cpus=1).remote()}


@StorageManagerFactory.register(COLUMN_STORAGE)
class ColumnStorageManager(StorageManager):
    """One process's access to the rows."""

    def __init__(self, controller_info: Any, config: DictConfig, zmq_context: Any = None) -> None:
        super().__init__(controller_info, config, zmq_context=zmq_context)
        self._store = ray.get_actor(_ACTOR, namespace=_NAMESPACE)

    async def put_data(
        self, data: TensorDict, metadata: BatchMeta, data_parser: Callable[[Any], Any] | None = None
    ) -> None:
        if data_parser is not None:
            raise NotImplementedError(f"The storage backend {COLUMN_STORAGE} does not support data_parser.")
        if metadata.size == 0:
            return
        columns, schema = {}, {}
        for name, values in data.items():
            columns[name] = column_of(values)
            schema[name] = schema_of(values, columns[name])
        await self._store.put.remote(metadata.global_indexes, columns)
        await self.notify_data_update(metadata.partition_ids[0], metadata.global_indexes, schema)

    async def get_data(self, metadata: BatchMeta) -> TensorDict:
        if metadata.size == 0:
            return TensorDict({}, batch_size=0)
        try:
            parts = await self._store.get.remote(metadata.global_indexes, metadata.field_names)
        except KeyError as error:
            raise StorageKeyNotFoundError(f"The column store does not have the requested rows: {error}") from error
        return TensorDict({name: batched(columns) for name, columns in parts.items()}, batch_size=metadata.size)

    async def clear_data(self, metadata: BatchMeta) -> None:
        await self._store.clear.remote(metadata.global_indexes)

    async def save_checkpoint(self, checkpoint_dir: str) -> None:
        await self._store.save.remote(str(Path(checkpoint_dir) / _STATE))

    async def load_checkpoint(self, checkpoint_dir: str) -> None:
        await self._store.load.remote(str(Path(checkpoint_dir) / _STATE))


def column_of(values: Any) -> Column:
    """A field of a TensorDict, in TransferQueue's forms: a dense or nested tensor, or a stack or list of objects."""
    if isinstance(values, NonTensorStack):
        return Column(unwrapped(values))
    if not isinstance(values, torch.Tensor):
        return Column(list(values))
    dtype = str(values.dtype).removeprefix("torch.")
    if not values.is_nested:
        if values.ndim == 1:
            return Column(_bits(values), dtype=dtype)
        return Column(_bits(values.flatten(0, 1)), np.full(len(values), values.shape[1]), dtype)
    rows = list(values.unbind())
    if rows[0].ndim == 0 or any(row.shape[1:] != rows[0].shape[1:] for row in rows):
        return Column(rows)
    return Column(_bits(torch.cat(rows)), np.array([len(row) for row in rows]), dtype)


def schema_of(values: Any, column: Column) -> dict[str, Any]:
    """What TransferQueue's controller records about a field: the result of its `extract_field_schema`, which would
    split nested tensors again."""
    if not isinstance(values, torch.Tensor):
        return {"dtype": None, "shape": None, "is_nested": False, "is_non_tensor": True}
    if column.lengths_N is None or column.dtype is None:
        return extract_field_schema(TensorDict({"field": values}, batch_size=[len(column)]))["field"]
    schema = {
        "dtype": values.dtype,
        "shape": torch.Size((int(column.lengths_N[0]), *column.trailing)),
        "is_nested": values.is_nested,
        "is_non_tensor": False,
    }
    if values.is_nested:
        schema["per_sample_shapes"] = [(length, *column.trailing) for length in column.lengths_N.tolist()]
    return schema


def batched(columns: list[Column]) -> torch.Tensor | NonTensorStack:
    """Rows as TransferQueue returns them: numbers dense, other tensors nested, the rest as a stack of objects."""
    column = columns[0]
    if len(columns) > 1 or column.dtype is None:
        rows = [row for part in columns for row in _rows(part)]
        plain = not any(isinstance(row, torch.Tensor) for row in rows)
        return stacked(rows) if plain else AsyncSimpleStorageManager._pack_field_values(rows)
    values = _values(column)
    if column.lengths_N is None:
        return values
    lengths = torch.from_numpy(column.lengths_N.copy())
    offsets = torch.cat([torch.zeros(1, dtype=lengths.dtype), lengths.cumsum(0)])
    return torch.nested.nested_tensor_from_jagged(
        values, offsets, min_seqlen=int(lengths.min()), max_seqlen=int(lengths.max())
    )


def _rows(column: Column) -> list[Any]:
    if column.dtype is None:
        return list(column.rows)
    values = _values(column)
    return list(values if column.lengths_N is None else values.split(column.lengths_N.tolist()))


def _bits(values: torch.Tensor) -> np.ndarray:
    """The same bits as integers: numpy lacks some of torch's types."""
    return values.detach().contiguous().view(_INTEGER_OF_SIZE[values.element_size()]).numpy()


def _values(column: Column) -> torch.Tensor:
    # Copied: Ray returns a read-only view of shared memory.
    return torch.from_numpy(np.array(column.rows)).view(getattr(torch, str(column.dtype)))
