"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A single slow example says something about the machine's other work, not about the code; tests of time measure it.
settings.register_profile("seed_grpo", deadline=None)
settings.load_profile("seed_grpo")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real benchmark files; a test that needs it is skipped, with the reason, where it is absent."""
    folder = Path(os.environ.get("SEED_GRPO_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "math500.jsonl").is_file():
        pytest.skip(f"the benchmark files are not at {folder}; SEED_GRPO_DATA names another folder")
    return folder


@pytest.fixture(scope="session")
def quickstart_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart's model and data, warm-started just far enough that right and wrong answers are mixed."""
    from seed_grpo.data.arithmetic import write_parquet
    from seed_grpo.quickstart.model import build_model
    from seed_grpo.quickstart.warm_start import warm_start

    folder = tmp_path_factory.mktemp("base")
    build_model(folder / "model", seed=1)
    warm_start(folder / "model", seed=1, target=0.1)
    for split in ("train", "test"):
        write_parquet(folder / "data" / f"arithmetic_{split}.parquet", split)
    return folder
