"""The manifest next to a prepared parquet file: where its rows come from, and how its prompts are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seed_grpo.errors import SeedGrpoError
from seed_grpo.runs.files import replace_file

SUFFIX = ".manifest.json"


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a parquet file; empty if there is none.

    Raises:
        SeedGrpoError: it is not a JSON object.
    """
    manifest = path.with_name(path.stem + SUFFIX)
    if not manifest.is_file():
        return {}
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise SeedGrpoError(f"{manifest} is not a JSON object.", "prepare the data again.")
    return content


def write_manifest(path: Path, content: Mapping[str, Any]) -> None:
    """Write the manifest of a parquet file."""
    replace_file(path.with_name(path.stem + SUFFIX), json.dumps(content, indent=2, ensure_ascii=False) + "\n")
