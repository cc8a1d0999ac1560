"""What is known of a run before it starts: its steps, its lengths, its ranks, its golds, its folder, its cluster."""

from __future__ import annotations

import fcntl
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from omegaconf import DictConfig, OmegaConf

from seed_grpo.data import validate_parquet
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.runs import locks
from seed_grpo.runs.checkpoints import seal, step_folder
from seed_grpo.runs.locks import LOCK, only_run
from seed_grpo.training import cluster, environment
from seed_grpo.training.cluster import check_cluster, cluster_address, look_at
from seed_grpo.training.compose import compose_config
from seed_grpo.training.environment import BESIDE_OTHERS, MOST_CHARACTERS, run_environment, short_folder
from seed_grpo.training.model import END_TOKENS, check_lengths, check_model
from seed_grpo.training.output import check_output, check_ranks
from seed_grpo.training.ray_node import node_environment
from seed_grpo.training.steps import settle_steps

# ---- steps ----------------------------------------------------------------------------------------------------------


def steps_of(*overrides: str) -> DictConfig:
    return compose_config(["experiment=quickstart", "data.train_batch_size=32", *overrides])


@pytest.mark.parametrize(
    ("rows", "epochs", "wanted", "settled", "words"),
    [
        (64, 1, 5, 2, ["2 steps", "64 rows", "5", "total_epochs=3", "160 rows"]),
        (70, 2, 4, 4, None),  # the last 6 rows of an epoch make no batch
        (64, 3, 2, 2, None),
        (64, 3, "null", 6, None),
    ],
)
def test_the_data_gives_so_many_steps(rows: int, epochs: int, wanted: Any, settled: int, words: list | None) -> None:
    config = steps_of(f"trainer.total_epochs={epochs}", f"trainer.total_training_steps={wanted}")
    notice = settle_steps(config, rows)
    assert config.trainer.total_training_steps == settled
    assert (notice is None) == (words is None)
    assert all(word in (notice or "") for word in words or ())


def test_the_papers_run_needs_6016_rows() -> None:
    config = compose_config(["experiment=qwen2.5_math_7b", "platform=gpu"])
    assert "6016 rows" in (settle_steps(config, 5888) or "")
    config = compose_config(["experiment=qwen2.5_math_7b", "platform=gpu"])
    assert settle_steps(config, 6016) is None
    assert config.trainer.total_training_steps == 928


def test_only_so_many_rows_are_used() -> None:
    config = steps_of("data.train_max_samples=64", "trainer.total_epochs=1")
    settle_steps(config, 10_000)
    assert config.trainer.total_training_steps == 2


# ---- model and data -------------------------------------------------------------------------------------------------


def test_a_sequence_fits_into_the_positions_of_the_model(untrained_base: Path) -> None:
    common = ["experiment=quickstart", f"quickstart_dir={untrained_base}"]
    check_lengths(compose_config([*common, "data.max_response_length=4080"]))
    with pytest.raises(UsageError, match=r"4097.* 4096"):
        check_lengths(compose_config([*common, "data.max_response_length=4081"]))
    own = "+actor_rollout_ref.model.override_config.max_position_embeddings=8192"
    check_lengths(compose_config([*common, "data.max_response_length=4081", own]))
    check_lengths(compose_config(["experiment=qwen2.5_math_7b", "platform=gpu"]))  # on the hub: not known here


def test_a_model_without_an_end_token_is_refused(untrained_base: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(untrained_base / "model", model)
    check_model(str(model))
    for name, key in END_TOKENS:
        if (model / name).is_file():
            content = json.loads((model / name).read_text())
            content.pop(key, None)
            (model / name).write_text(json.dumps(content))
    with pytest.raises(SeedGrpoError, match="no end token"):
        check_model(str(model))
    (model / "generation_config.json").write_text('{"eos_token_id": [0]}')
    check_model(str(model))


@pytest.mark.parametrize("gold", [5, 5.0, "5", ["5"], [5], [5.0, 6.0]])
def test_a_number_is_a_gold_answer(gold: Any, tmp_path: Path) -> None:
    from seed_grpo.meaning.scoring import score_response
    from seed_grpo.verl_plugin.reward import gold_answer

    path = tmp_path / "numbers.parquet"
    row = {"data_source": "x", "prompt": [{"role": "user", "content": "2+3="}],
           "reward_model": {"style": "rule", "ground_truth": gold}}  # fmt: skip
    pd.DataFrame([row] * 3).to_parquet(path)
    validate_parquet(path)
    stored = pd.read_parquet(path).reward_model[0]
    for level in ("exact", "symbolic"):
        verdict = score_response(
            r"\boxed{5}", gold_answer({"reward_model": stored}), truncated=False, template="boxed", level=level
        )
        assert verdict.reward == 1.0, level


# ---- the output folder ----------------------------------------------------------------------------------------------


def checkpoint(folder: Path, step: int, ranks: int) -> Path:
    actor = step_folder(folder, step) / "actor"
    actor.mkdir(parents=True)
    for rank in range(ranks):
        (actor / f"model_world_size_{ranks}_rank_{rank}.pt").write_bytes(b"x")
    seal(actor.parent)
    return actor.parent


def test_a_run_resumes_with_as_many_ranks(tmp_path: Path) -> None:
    saved = checkpoint(tmp_path, 4, ranks=2)
    here = f"trainer.default_local_dir={tmp_path}"
    with pytest.raises(UsageError, match=r"saved by 2 rank.* has 1.*trainer\.n_gpus_per_node.*seed-grpo export"):
        check_ranks(steps_of(here))
    check_ranks(steps_of(here, "trainer.n_gpus_per_node=2"))
    check_ranks(steps_of(here, "trainer.nnodes=2"))
    check_ranks(steps_of(here, "trainer.resume_mode=disable"))
    elsewhere = f"trainer.default_local_dir={tmp_path}/other"
    check_ranks(steps_of(elsewhere))
    with pytest.raises(UsageError, match="saved by 2"):
        check_ranks(steps_of(elsewhere, "trainer.resume_mode=resume_path", f"trainer.resume_from_path={saved}"))


@pytest.mark.parametrize("named", ["null", "{tmp}", "{tmp}/global_step_9"])
def test_a_checkpoint_to_resume_from_is_one(named: str, tmp_path: Path) -> None:
    path = f"trainer.resume_from_path={named.format(tmp=tmp_path)}"
    with pytest.raises(UsageError, match="needs a checkpoint"):
        check_ranks(steps_of(f"trainer.default_local_dir={tmp_path}", "trainer.resume_mode=resume_path", path))


def test_a_run_of_an_earlier_version_is_resumed(tmp_path: Path) -> None:
    """Its record has the settings' former names, and lacks those that came later."""
    config = steps_of(f"trainer.default_local_dir={tmp_path}", "seed_grpo.alpha=0.1", "seed_grpo.meaning=normalized")
    former = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    former.seed_grpo = {"alpha": 0.1, "cluster_level": "normalized", "enabled": True}
    OmegaConf.save(former, tmp_path / "config.yaml")
    (tmp_path / "metrics.jsonl").touch()
    check_output(config)
    former.seed_grpo.alpha = 0.2
    OmegaConf.save(former, tmp_path / "config.yaml")
    with pytest.raises(UsageError, match=r"seed_grpo\.alpha was 0\.2 and is 0\.1"):
        check_output(config)


HOLD = """
import sys, time
from pathlib import Path
from seed_grpo.runs.locks import only_run
with only_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_run_is_kept_out_of_a_folder(holder: subprocess.Popen, tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(SeedGrpoError, match=f"process {holder.pid} on {socket.gethostname()}"), only_run(tmp_path):
        pass
    assert time.monotonic() - start < 10


def test_the_folder_is_free_when_its_owner_dies(holder: subprocess.Popen, tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    with only_run(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    with only_run(tmp_path):
        pass


def test_the_processes_that_a_killed_owner_left_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They hold the folder by the descriptor that they inherited."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    path = tmp_path / LOCK
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": gone.pid}))
    with open(path) as left:
        fcntl.flock(left, fcntl.LOCK_EX)
        threading.Timer(1.0, lambda: fcntl.flock(left, fcntl.LOCK_UN)).start()
        start = time.monotonic()
        with only_run(tmp_path):
            assert time.monotonic() - start > 0.5
    # One that does not end is named, in bounded time.
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": gone.pid}))
    monkeypatch.setattr(locks, "LEFTOVER_SECONDS", 0.5)
    with open(path) as left:
        fcntl.flock(left, fcntl.LOCK_EX)
        with pytest.raises(SeedGrpoError, match=f"process {gone.pid}"), only_run(tmp_path):
            pass


def test_an_owner_on_another_machine_is_named(tmp_path: Path) -> None:
    path = tmp_path / LOCK
    path.write_text(json.dumps({"host": "node17", "pid": 12}))
    with open(path) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SeedGrpoError, match="process 12 on node17"), only_run(tmp_path):
            pass


# ---- the environment ------------------------------------------------------------------------------------------------


def test_rays_folder_has_a_short_path_wherever_tmpdir_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(environment.tempfile, "tempdir", str(long))
    folder = short_folder("seed-grpo-")
    try:
        assert len(folder) <= MOST_CHARACTERS
        assert os.access(folder, os.W_OK)
        assert run_environment(folder, on_cpu=True)["TMPDIR"] == folder
    finally:
        os.rmdir(folder)
    monkeypatch.setattr(environment, "SHORT_ROOTS", ("/proc",))
    with pytest.raises(SeedGrpoError, match="set TMPDIR"):
        short_folder("seed-grpo-")


def test_a_cpu_run_does_not_see_what_hides_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES" not in run_environment(str(tmp_path), on_cpu=True)
    assert run_environment(str(tmp_path), on_cpu=False)["CUDA_VISIBLE_DEVICES"] == ""


def test_a_home_that_cannot_be_written_to_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/proc/none")
    found = run_environment(str(tmp_path), on_cpu=True)
    assert found["HOME"] == str(tmp_path / "home")
    assert "HF_HUB_CACHE" not in found
    # What can be read there is still read.
    home = tmp_path / "real"
    (home / ".cache" / "huggingface" / "hub").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(environment, "_is_writable", lambda folder: False)
    assert run_environment(str(tmp_path), on_cpu=True)["HF_HUB_CACHE"] == str(home / ".cache" / "huggingface" / "hub")
    monkeypatch.undo()
    assert run_environment(str(tmp_path), on_cpu=True)["HOME"] == os.environ["HOME"]


def test_ray_has_equal_rights_unless_the_user_says_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BESIDE_OTHERS:
        monkeypatch.delenv(name)
    assert run_environment(str(tmp_path), on_cpu=True)["RAY_worker_niceness"] == "0"
    assert node_environment()["RAY_worker_niceness"] == "0"
    monkeypatch.setenv("RAY_worker_niceness", "5")
    assert run_environment(str(tmp_path), on_cpu=False)["RAY_worker_niceness"] == "5"
    assert node_environment()["RAY_worker_niceness"] == "5"


# ---- a cluster that is not there ------------------------------------------------------------------------------------


def test_an_address_where_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SeedGrpoError, match=f"127.0.0.1:{port}.*unset"):
        look_at(f"127.0.0.1:{port}")


@pytest.mark.slow
def test_an_address_where_something_else_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 8.0)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_address[1]}"
    start = time.monotonic()
    try:
        with pytest.raises(SeedGrpoError, match=f"No Ray cluster answers at {address}"):
            look_at(address)
    finally:
        server.shutdown()
    assert time.monotonic() - start < 30


def test_the_address_of_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    config = steps_of("+ray_kwargs.ray_init.address=10.0.0.1:6379")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert cluster_address(config) == "10.0.0.1:6379"
    assert cluster_address(steps_of()) is None
    monkeypatch.setenv("RAY_ADDRESS", "head:1")
    assert cluster_address(config) == "head:1"
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert cluster_address(steps_of()) is None


def test_a_cluster_that_others_use(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"Alive": True, "Resources": {"GPU": 1.0, "CPU": 16.0}}]
    check_cluster(steps_of(), nodes, {"GPU": 1.0, "CPU": 16.0})
    with pytest.raises(UsageError, match="0 of the Ray cluster's are free"):
        check_cluster(steps_of(), nodes, {"CPU": 16.0})
