"""The sbatch file on a real Slurm, and the Ray nodes that it starts."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from slurm_cluster import Job, Slurm, running_slurm, why_not

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.runs.names import METRICS, SUMMARY
from seed_grpo.runs.records import read_lines
from seed_grpo.training import ray_node

ROOT = Path(__file__).resolve().parents[2]
SBATCH = ROOT / "examples" / "slurm" / "train.sbatch"
FIXED_PORTS = (6379, 8265, 10001, 10002, 52365)
"""Where Ray would listen by default; they are all taken during these tests."""


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "localhost"])
def test_the_address_is_the_one_on_the_way_to_the_peer(peer: str) -> None:
    if peer == "::1" and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    assert ray_node.local_address(peer) == {"localhost": "127.0.0.1"}.get(peer, peer)


def test_the_address_of_a_named_interface() -> None:
    assert ray_node.local_address("nowhere.invalid", interface="lo") == "127.0.0.1"
    with pytest.raises(UsageError, match="ib77"):
        ray_node.local_address("127.0.0.1", interface="ib77")


def test_a_peer_without_an_address_is_named() -> None:
    with pytest.raises(SeedGrpoError, match=r"nowhere\.invalid"):
        ray_node.local_address("nowhere.invalid")


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0", "ROCR_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES"}),
        ({"ROCR_VISIBLE_DEVICES": "0"}, {"ROCR_VISIBLE_DEVICES"}),
    ],
)
def test_verl_gets_one_list_of_devices(given: dict, left: set, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert ray_node.node_environment().keys() & set(names) == left


# ---- on a real Slurm -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    """Two nodes on this machine; the ports that Ray would like are taken."""
    reason = why_not()
    if reason:
        pytest.skip(f"no Slurm: {reason}")
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # sockets need a short path
    with contextlib.ExitStack() as taken:
        for port in FIXED_PORTS:
            listener = taken.enter_context(socket.socket())
            with contextlib.suppress(OSError):  # somebody has it already: taken all the same
                listener.bind(("0.0.0.0", port))
                listener.listen()
        with running_slurm(folder, cpus=8) as cluster:
            yield cluster
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model, and sums."""
    from seed_grpo.quickstart.data import write_data
    from seed_grpo.quickstart.model import build_model

    folder = tmp_path_factory.mktemp("base")
    build_model(folder / "model", hidden_size=32, layers=1)
    write_data(folder / "data")
    return folder


def submit(slurm: Slurm, folder: Path, *arguments: str, nodes: int = 2, **environment: str) -> Job:
    return slurm.submit(
        f"--nodes={nodes}",
        "--gpus-per-node=1",
        f"--cpus-per-task={slurm.cpus}",
        str(SBATCH),
        *arguments,
        environment={
            "SEED_GRPO_VENV": sys.prefix,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            **environment,
        },
        folder=folder,
    )


def run_of(base: Path, folder: Path, steps: int) -> list[str]:
    return [
        "platform=cpu",
        "experiment=quickstart",
        f"quickstart_dir={base}",
        f"trainer.default_local_dir={folder / 'run'}",
        f"trainer.total_training_steps={steps}",
        "trainer.test_freq=-1",
        "trainer.val_before_train=false",
        "trainer.save_freq=-1",
        "data.train_batch_size=8",
        "actor_rollout_ref.actor.ppo_mini_batch_size=8",
    ]


def steps_of(folder: Path) -> list[int]:
    return [record["step"] for record in read_lines(folder / "run" / METRICS)]


def ended(job: Job) -> bool:
    return job.field("JobState") in ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED")


def files_of_ray() -> set[Path]:
    """The folders that nodes have for Ray."""
    return set(Path(tempfile.gettempdir()).glob("ray-*"))


def rays_of(job: Job) -> list[str]:
    """Command lines of Ray's processes that belong to the job."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        if (process.info["environ"] or {}).get("SLURM_JOB_ID") == job.number:
            found.append(" ".join(process.info["cmdline"] or []))
    return [line for line in found if "ray" in line]


@pytest.mark.e2e
def test_without_gpus_the_job_says_what_to_add(slurm: Slurm, tmp_path: Path) -> None:
    job = slurm.submit("--nodes=1", "--gpus-per-node=0", "--cpus-per-task=2", str(SBATCH), "experiment=qwen2.5_math_7b",
                       environment={"SEED_GRPO_VENV": sys.prefix}, folder=tmp_path)  # fmt: skip
    job.wait_for(ended, 180)
    assert job.field("ExitCode") == "2:0"
    assert "--gpus-per-node=8" in job.log


@pytest.mark.e2e
def test_nodes_that_do_not_join_are_named(slurm: Slurm, base: Path, tmp_path: Path) -> None:
    before = files_of_ray()
    job = submit(slurm, tmp_path, *run_of(base, tmp_path, 1), SEED_GRPO_JOIN_SECONDS="0")
    job.wait_for(ended, 400)
    assert job.field("JobState") == "FAILED"
    assert "1 of 2 nodes did not join within 0 s: w2." in job.log
    assert not rays_of(job)
    assert files_of_ray() <= before


@pytest.mark.e2e
def test_a_node_that_is_lost_ends_the_job_with_its_name(slurm: Slurm, base: Path, tmp_path: Path) -> None:
    job = submit(slurm, tmp_path, *run_of(base, tmp_path, 1))
    job.wait_for(lambda job: "2 of 2 nodes have joined" in job.log, 400)
    assert re.search(rf"w2: {slurm.cpus} CPUs, 1 GPUs", job.log)  # as allotted, not as the machine has
    private = next(tmp_path.glob(".seed-grpo-*"))
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert stat.S_IMODE((private / "token").stat().st_mode) == 0o600
    assert rays_of(job)
    step = next(
        line.split()[0] for line in slurm.run("squeue", "--steps", "--noheader").splitlines() if "ray-w2" in line
    )
    slurm.run("scancel", step)
    job.wait_for(ended, 400)
    assert job.field("JobState") == "FAILED"
    assert "Node w2 left the job" in job.log
    assert not rays_of(job)
    assert not list(tmp_path.glob(".seed-grpo-*"))


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_preempted_job_saves_requeues_and_goes_on(slurm: Slurm, base: Path, tmp_path: Path) -> None:
    total = 12  # at about a step a second: the signal is to arrive in the middle
    before = files_of_ray()
    job = submit(slurm, tmp_path, *run_of(base, tmp_path, total))
    job.wait_for(lambda job: len(steps_of(tmp_path)) >= 1, 500)
    # To all that the job runs, its script and its steps alike: some sites' preemption does, `--signal=B:` does less.
    slurm.run("scancel", "--full", "--signal=USR1", job.number)
    job.wait_for(lambda job: "requeued" in job.log, 400)
    saved = int((tmp_path / "run" / "latest_checkpointed_iteration.txt").read_text())
    assert 1 <= saved < total
    assert steps_of(tmp_path)[-1] == saved
    job.wait_for(lambda job: job.field("JobState") == "PENDING" or job.field("Restarts") == "1", 180)
    # Slurm waits two minutes by itself. Within the second of the end, a node takes the job for the one that it ended
    # ("Job credential revoked"), since credentials have a time in whole seconds.
    time.sleep(3)
    slurm.run("scontrol", "update", f"JobId={job.number}", "StartTime=now")
    job.wait_for(lambda job: job.field("JobState") == "COMPLETED", 500)
    assert job.field("Restarts") == "1"
    assert "start 2, on w1 w2" in job.log
    assert steps_of(tmp_path) == list(range(1, total + 1))
    assert (tmp_path / "run" / SUMMARY).is_file()
    assert not rays_of(job)
    assert files_of_ray() <= before
    assert not list(tmp_path.glob(".seed-grpo-*"))
