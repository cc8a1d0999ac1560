"""gpu/: parts that are missing or cut, stages that fail or take too long, and the tables made of results."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
GPU = ROOT / "gpu"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Any:
    """stages.py and what it imports, as when run.sh starts it."""
    monkeypatch.syspath_prepend(str(GPU))
    import machine
    import stages
    import tables

    return machine, stages, tables


def pack(folder: Path, size: int) -> Path:
    """A bundle with one wheel of Python alone, in parts of `size` bytes."""
    source = folder / "source"
    (source / "told").mkdir(parents=True)
    (source / "told" / "__init__.py").write_text("WORD = 'here'\n")
    (source / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
        "[project]\nname = 'told'\nversion = '1'\n[tool.setuptools]\npackages = ['told']\n"
    )
    content, bundle = folder / "content", folder / "bundle"
    (content / "wheels").mkdir(parents=True)
    bundle.mkdir()
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir",
         str(content / "wheels"), str(source)],
        check=True, timeout=120,
    )  # fmt: skip
    packed = subprocess.run(["tar", "--create", "--directory", content, "."], capture_output=True, check=True).stdout
    sums = []
    for number in range(0, len(packed), size):
        part = bundle / f"part-{number // size:03}"
        part.write_bytes(packed[number : number + size])
        sums.append(f"{hashlib.sha256(part.read_bytes()).hexdigest()}  {part.name}\n")
    (bundle / "SHA256SUMS").write_text("".join(sums))
    return bundle


def run_script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(GPU / "run.sh"), *arguments], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHON": sys.executable, **environment},
    )  # fmt: skip


def test_parts_that_are_missing_or_cut(tmp_path: Path) -> None:
    bundle = pack(tmp_path, 4096)
    parts = sorted(bundle.glob("part-*"))
    assert len(parts) >= 3
    target, out = str(tmp_path / "target"), str(tmp_path / "out")

    def refused() -> str:
        done = run_script(out, "60", BUNDLE=str(bundle), TARGET=target)
        assert done.returncode == 2, done
        [line] = done.stderr.splitlines()
        assert "Remedy: " in line
        return line

    whole = parts[1].read_bytes()
    parts[1].write_bytes(whole[:-1])
    assert "part-001 is cut or damaged" in refused()
    parts[1].unlink()
    assert f"part-001 is missing in {bundle}" in refused()
    (bundle / "SHA256SUMS").unlink()
    assert f"{bundle} holds no bundle" in refused()


def test_a_bundle_is_installed_without_a_network(tmp_path: Path) -> None:
    bundle, target = pack(tmp_path, 4096), tmp_path / "target"
    done = run_script(
        str(tmp_path / "out"), "60", "platform=cpu", BUNDLE=str(bundle), TARGET=str(target), STAGES="none"
    )
    assert "none is not a stage: choose of doctor, hf, vllm, large, smollm2" in done.stderr, done
    assert (target / "site" / "told" / "__init__.py").is_file()
    assert (target / "installed").is_file()
    # It is not installed again: the parts may be gone.
    (bundle / "part-000").unlink()
    done = run_script(
        str(tmp_path / "out"), "60", "platform=cpu", BUNDLE=str(bundle), TARGET=str(target), STAGES="none"
    )
    assert "is not a stage" in done.stderr, done


@pytest.mark.parametrize("arguments", [[], ["out"], ["out", "soon"], ["out", "0"]])
def test_wrong_arguments(arguments: list[str]) -> None:
    done = run_script(*arguments)
    assert done.returncode == 2
    assert done.stderr.strip() == "gpu/run.sh: OUT and SECONDS are needed. Remedy: bash gpu/run.sh results 1500"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [(["--set", "tpu"], "tpu is not a set"), (["--sets"], "is not an option"), (["--out"], "--out needs a value"),
     (["--present", "/nowhere"], "There is no file /nowhere")],
)  # fmt: skip
def test_wrong_options_of_the_bundle(arguments: list[str], what: str) -> None:
    done = subprocess.run(
        ["bash", str(GPU / "bundle.sh"), *arguments], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHON": sys.executable},
    )  # fmt: skip
    assert done.returncode == 2
    assert what in done.stderr
    assert "Remedy: " in done.stderr


def test_a_stage_that_fails_or_takes_too_long_leaves_the_others_their_time(
    modules: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, stages, _ = modules
    monkeypatch.setattr(machine, "END_SECONDS", 1.0)

    def too_long(where: Any) -> dict[str, Any]:
        status = where.run("sleep", ["sleep", "60"])
        return {"ended": status is None}

    def breaks(where: Any) -> dict[str, Any]:
        where.finished("nothing", where.run("nothing", ["false"]), tmp_path / "absent.jsonl")
        raise AssertionError

    def works(where: Any) -> dict[str, Any]:
        return {"left": where.deadline - time.monotonic()}

    monkeypatch.setattr(stages, "STAGES", {"long": (1, too_long), "breaks": (1, breaks), "works": (2, works)})
    stages.measure(machine.Machine(tmp_path, tmp_path, ["platform=cpu"]), 20.0, ["long", "breaks", "works"])
    results = json.loads((tmp_path / "results.json").read_text())
    assert {name: stage["status"] for name, stage in results["stages"].items()} == {
        "long": "done", "breaks": "failed", "works": "done",
    }  # fmt: skip
    assert results["stages"]["long"]["ended"]
    assert results["stages"]["breaks"]["reason"].startswith("nothing ended with status 1 before its first step")
    assert results["stages"]["works"]["left"] > 10  # all that is left is the last one's
    assert results["about"]["versions"]["torch"]


def test_a_model_that_cannot_be_made_is_a_failed_stage(modules: Any, tmp_path: Path) -> None:
    machine, *_ = modules
    (tmp_path / "out").mkdir()
    where = machine.Machine(tmp_path / "out", tmp_path, ["platform=cpu"], time.monotonic() + 120)
    with pytest.raises(machine.StageError, match=r"large could not be made \(status 1\): OSError: .*smollm2"):
        where.make("large")
    assert not (tmp_path / "out" / "large").exists()


STEP = {"timing_s/step": 2.0, "timing_s/gen": 1.5, "timing_s/adv": 0.01, "perf/total_num_tokens": 4000.0,
        "actor/perf/max_memory_reserved_gb": 20.0, "training/rollout_probs_diff_max": 1e-3}  # fmt: skip


def test_what_is_measured_of_a_run_and_its_tables(modules: Any, tmp_path: Path) -> None:
    machine, stages, tables = modules
    lines = [{"step": 0, "val/accuracy": 0.25}, {"step": 1, **STEP, "timing_s/step": 30.0}, {"step": 2, **STEP},
             {"step": 3, **STEP, "timing_s/step": 4.0, "val/accuracy": 0.5}]  # fmt: skip
    text = "".join(f"{json.dumps(line)}\n" for line in lines) + '{"step": 4, "timing_s/st'
    (tmp_path / "metrics.jsonl").write_text(text)
    run = machine.Machine(tmp_path, tmp_path, []).finished("run", 0, tmp_path / "metrics.jsonl")
    measured = run.measured()
    assert measured["seconds"]["step"] == 3.0  # of the second and third step
    assert measured["first_step_seconds"] == 30.0
    assert measured["tokens_per_second"] == pytest.approx(4000 / 3)
    assert run.curve == {0: 0.25, 3: 0.5}
    block = {**measured, "validation_accuracy": {str(step): value for step, value in run.curve.items()}}
    results = {
        "about": {"date": "2030-01-02", "cards": ["Card"] * 2, "cores": 4, "python": "3.12.1", "cuda": "13.0",
                  "versions": {"torch": "2.11.0"}},
        "stages": {
            "hf": {"status": "done", **block},
            "vllm": {"status": "failed", "reason": "no | room"},
            "large": {"status": "done", "sizes": stages.asdict(stages.SIZES["gpu"]),
                      **{name: [measured] for name in tables.METHODS}},
        },
    }  # fmt: skip
    assert tables.heading(results) == "2030-01-02, 2 × Card, Python 3.12.1, CUDA 13.0, torch 2.11.0:"
    hf, vllm = tables.runs(results).splitlines()[2:]
    assert hf == "| sums, transformers' rollouts | 3 | 3.00 | 20.0 | 25.0% → 50.0% | 1.0e-03 |"
    assert "failed: no / room" in vllm
    last = tables.large(results).splitlines()[-1]
    assert last == "| stock verl, GRPO | 3.00 | 1,333 | generation 1.50, advantage 0.01 | 20.0 |"


def test_the_pages_have_a_place_for_the_tables(modules: Any) -> None:
    *_, tables = modules
    for place in tables.PLACES:
        page = (ROOT / place).read_text(encoding="utf-8")
        written = tables.replaced(page, "NEW")
        assert "NEW" in written
        assert tables.replaced(written, page.split(tables.MARKS[0])[1].split(f"\n{tables.MARKS[1]}")[0]) == page


def test_results_without_a_gpu_stay_out_of_the_pages(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps({"about": {"cards": []}, "stages": {}}))
    done = subprocess.run(
        [sys.executable, str(GPU / "tables.py"), str(tmp_path / "results.json"), "--write"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "without a GPU" in done.stderr
