"""The same writes and reads through a real TransferQueue, one backend after the other: `python storage_backends.py
FOLDER BACKEND...` prints what was read from each as JSON. test_column_storage.py compares two backends."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

CONTROLLER = ("TransferQueueController", "transfer_queue")
"""The name and namespace of TransferQueue's first actor; a queue that finds it does not start anew."""


def main(folder: Path, backends: list[str]) -> None:
    import ray
    import verl  # noqa: F401  (loads the plugin)
    import transfer_queue as tq  # isort: skip

    ray.init(num_cpus=4, include_dashboard=False, _temp_dir=str(folder / "r"), log_to_driver=False)
    try:
        found = {}
        for backend in backends:
            found[backend] = written_and_read(backend, folder / backend)
            tq.close()
            wait_until_gone(*CONTROLLER)
        print(json.dumps(found))
    finally:
        ray.shutdown()


def wait_until_gone(name: str, namespace: str) -> None:
    import ray

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            ray.get_actor(name, namespace=namespace)
        except ValueError:
            return
        time.sleep(0.05)
    raise TimeoutError(f"the actor {name} does not end")


def written_and_read(backend: str, folder: Path) -> dict[str, Any]:
    """What a queue with this backend gives back, by the name of the read."""
    import transfer_queue as tq
    from omegaconf import OmegaConf
    from tensordict import NonTensorStack, TensorDict

    folder.mkdir()
    tq.init(OmegaConf.create({"backend": {"storage_backend": backend, "SimpleStorage": {"num_data_storage_units": 1}}}))
    keys = [f"row_{i}" for i in range(12)]
    lengths = [1 + (5 * i) % 7 for i in range(12)]
    rows = [torch.arange(length) + 100 * i for i, length in enumerate(lengths)]
    shared = {"role": "user", "content": "1 + 1 = ?"}
    fields = {
        "numbers": torch.arange(12) / 3,
        "equal": torch.arange(24).reshape(12, 2),
        "flags": torch.arange(24).reshape(12, 2) % 3 == 0,
        "matrices": torch.arange(72, dtype=torch.bfloat16).reshape(12, 3, 2),
        "jagged": torch.nested.as_nested_tensor(rows, layout=torch.jagged),
        "strided": torch.nested.nested_tensor([row.float() for row in rows], layout=torch.strided),
        "ragged_matrices": torch.nested.as_nested_tensor(
            [row[:, None].expand(-1, 2).contiguous() for row in rows], layout=torch.jagged
        ),
        "objects": NonTensorStack(*[{"i": i, "text": f"{i} é \x00", "none": None} for i in range(12)]),
        "shared": NonTensorStack(*[[shared] for _ in range(12)]),
        "texts": NonTensorStack(*[f"text {i}" for i in range(12)]),
    }
    for part in (slice(0, 5), slice(5, 12)):  # two writes, as of two shares of a batch
        chosen = {name: _part(values, part) for name, values in fields.items()}
        tq.kv_batch_put(
            keys=keys[part],
            partition_id="train",
            fields=TensorDict(chosen, batch_size=[part.stop - part.start]),
            tags=[{"status": "success"}] * (part.stop - part.start),
        )
    found: dict[str, Any] = {}

    def read(name: str, of: list[str], select: list[str] | None = None) -> None:
        data = tq.kv_batch_get(keys=of, partition_id="train", select_fields=select)
        found[name] = {field: described(value) for field, value in data.items()}

    read("everything", keys)
    read("in another order", keys[::-1], ["jagged", "objects", "numbers"])
    read("every third", keys[1::3], ["strided", "equal", "matrices", "texts"])
    read("one", keys[6:7])
    data = tq.kv_batch_get(keys=keys[2:9], partition_id="train", select_fields=["strided"])
    data["more"] = data.pop("strided")
    tq.kv_batch_put(keys=keys[2:9], partition_id="train", fields=data)
    read("a later field", keys[2:9], ["more", "jagged"])
    again = TensorDict({"jagged": torch.full((3, 2), -1)}, batch_size=[3])
    tq.kv_batch_put(keys=keys[4:7], partition_id="train", fields=again)
    read("written again", keys, ["jagged"])
    tq.save_checkpoint(folder / "checkpoint")
    tq.kv_clear(keys=keys[:6], partition_id="train")
    read("after clearing others", keys[6:], ["jagged", "objects"])
    found["left"] = sorted(tq.kv_list("train")["train"])
    tq.load_checkpoint(folder / "checkpoint")
    read("restored", keys, ["jagged", "objects", "numbers", "ragged_matrices"])
    try:
        tq.kv_batch_get(keys=keys, partition_id="train", select_fields=["more"])
        found["what is not there"] = "no error"
    except Exception as error:
        found["what is not there"] = type(error).__name__
    return found


def _part(values: Any, part: slice) -> Any:
    if isinstance(values, torch.Tensor) and values.is_nested:
        rows = list(values.unbind())[part]
        return torch.nested.as_nested_tensor(rows, layout=values.layout)
    return values[part]


def described(value: Any) -> Any:
    """A column as JSON: its kind and its rows."""
    if not isinstance(value, torch.Tensor):
        return {"kind": type(value).__name__, "rows": [getattr(row, "data", row) for row in value]}
    rows = value.unbind() if value.is_nested else value
    return {
        "kind": f"{value.layout} {value.dtype} nested={value.is_nested} ndim={value.ndim}",
        "rows": [row.tolist() for row in rows],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
