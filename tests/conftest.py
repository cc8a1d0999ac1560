"""Fixtures that several test files share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from runs import SYNC_RUN, Run, end_started, finished

from seed_grpo.training.environment import BESIDE_OTHERS

# A single slow example says something about the machine's other work, not about the code; tests of time measure it.
settings.register_profile("seed_grpo", deadline=None)
settings.load_profile("seed_grpo")

# As the quickstart does, and before torch is loaded: see its command.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Tests that start a Ray of their own, next to others on two cores.
os.environ.update(BESIDE_OTHERS)

ROOT = Path(__file__).resolve().parents[1]


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in a hook of the same name
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Two processes share the tests (see run.sh): one takes what starts Ray or Slurm, the other the rest, file by file.
    A run has several processes itself; two at once on two cores take longer than one after the other."""
    if not getattr(config.option, "loadgroup", False):  # set by xdist in its processes
        return
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
    items.sort(key=lambda item: (group_of(item) != RUNS, group_of(item) == CLUSTERS))


def pytest_collection_finish(session: pytest.Session) -> None:
    if getattr(session.config.option, "loadgroup", False) and any("@" not in item.nodeid for item in session.items):
        raise pytest.UsageError("pytest-xdist does not group by marks: install the versions of requirements/dev.txt.")


RUNS, CLUSTERS = "runs", "clusters"
"""What starts Ray. The second is left for the process that has done everything else."""


def group_of(item: pytest.Item) -> str:
    """Tests of one group run in one process, one after the other: those that start Ray, and each file's others."""
    if not item.get_closest_marker("e2e"):
        return item.path.stem
    return CLUSTERS if item.path.parent.name == "cluster" else RUNS


@pytest.fixture(autouse=True)
def no_run_is_left() -> Iterator[None]:
    yield
    end_started()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real benchmark files; a test that needs it is skipped, with the reason, where it is absent."""
    folder = Path(os.environ.get("SEED_GRPO_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "math500.jsonl").is_file():
        pytest.skip(f"the benchmark files are not at {folder}; SEED_GRPO_DATA names another folder")
    return folder


@pytest.fixture(scope="session")
def untrained_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart's data and a tiny model that has learned nothing: for what ends before training."""
    from seed_grpo.quickstart.data import write_data
    from seed_grpo.quickstart.model import build_model

    folder = tmp_path_factory.mktemp("untrained")
    build_model(folder / "model", hidden_size=16, layers=1)
    write_data(folder / "data")
    return folder


@pytest.fixture(scope="session")
def quickstart_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart's model and data, warm-started just far enough that right and wrong answers are mixed."""
    from seed_grpo.quickstart.data import write_data
    from seed_grpo.quickstart.model import build_model
    from seed_grpo.quickstart.warm_start import warm_start

    root = tmp_path_factory.getbasetemp()
    # One for all processes of xdist, whose folders are next to each other.
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "base"
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            build_model(unfinished / "model", seed=1)
            warm_start(unfinished / "model", seed=1, target=0.3, batch_size=128, learning_rate=3e-3)
            write_data(unfinished / "data")
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def sync_run(quickstart_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of six steps (see `SYNC_RUN`)."""
    return finished(tmp_path_factory.mktemp("sync") / "run", quickstart_base, *SYNC_RUN)


@pytest.fixture(scope="session")
def two_rank_run(quickstart_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of two steps on two ranks, with a checkpoint after each step."""
    return finished(
        tmp_path_factory.mktemp("two_ranks") / "run", quickstart_base,
        "trainer.n_gpus_per_node=2", "trainer.val_before_train=true", "trainer.save_freq=1",
    )  # fmt: skip
