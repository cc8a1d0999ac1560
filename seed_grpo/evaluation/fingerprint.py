"""Which model it was, if no revision says so."""

from __future__ import annotations

import hashlib
from pathlib import Path

_WEIGHTS = (".safetensors", ".bin", ".pt", ".gguf")
_END_BYTES = 1 << 20


def model_fingerprint(model: str) -> str | None:
    """A digest of a model folder: its configuration, and size, first and last MiB of each file of weights.

    Training changes every tensor, so this tells checkpoints apart without reading 15 GB. None for a name on the hub.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix == ".json" or path.suffix in _WEIGHTS:
            size = path.stat().st_size
            digest.update(f"{path.name}\0{size}\0".encode())
            with open(path, "rb") as file:
                digest.update(file.read(_END_BYTES))
                file.seek(max(size - _END_BYTES, 0))
                digest.update(file.read(_END_BYTES))
    return digest.hexdigest()
