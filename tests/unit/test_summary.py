"""The numbers that a run ends with: each of its step, and none that was not measured."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from seed_grpo.errors import SeedGrpoError
from seed_grpo.runs.records import RunRecords, read_lines
from seed_grpo.runs.summary import summarize, summary_table
from seed_grpo.training.compose import compose_config

STEP = {"train/accuracy": 0.25, "seed_grpo/entropy": 1.0, "timing_s/step": 2.0, "perf/samples_per_second": 8.0}


@pytest.fixture(scope="module")
def config() -> DictConfig:
    return compose_config(["experiment=quickstart"])


def record(folder: Path, steps: int, validated: dict[int, float]) -> None:
    records = RunRecords(folder)
    if 0 in validated:
        records.write_validation(0, {"val/accuracy": validated[0]})
    for step in range(1, steps + 1):
        accuracy = {"val/accuracy": validated[step]} if step in validated else {}
        records.write_step(step, {**STEP, **accuracy})


def shown(summary: dict[str, Any]) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=100)
    console.print(summary_table(summary))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("validated", "base", "final"),
    [
        ({}, (None, None), (None, None)),
        ({0: 0.5}, (0.5, 0), (None, None)),  # trainer.test_freq=-1
        ({3: 0.75}, (None, None), (0.75, 3)),  # trainer.val_before_train=false, and stopped before the last step
        ({0: 0.5, 2: 0.6, 4: 0.75}, (0.5, 0), (0.75, 4)),
    ],
)
def test_an_accuracy_is_of_a_step(
    validated: dict[int, float], base: tuple, final: tuple, config: DictConfig, tmp_path: Path
) -> None:
    record(tmp_path, 4, validated)
    summary = summarize(tmp_path, config, 10.0)
    assert (summary["base_accuracy"], summary["base_step"]) == base
    assert (summary["final_accuracy"], summary["final_step"]) == final
    text = shown(summary)
    assert ("before step 1" in text) == (base[0] is not None)
    assert ("validation accuracy after" in text) == (final[0] is not None)
    assert ("points" in text) == (None not in (base[0], final[0]))
    if final[0] is not None:
        assert f"after step {final[1]} " in text
        assert f"{final[0]:.1%}" in text
    assert "steps 1 to 4" in text


def test_what_was_not_measured_has_no_row(config: DictConfig, tmp_path: Path) -> None:
    record(tmp_path, 2, {})
    text = shown(summarize(tmp_path, config, 10.0))
    assert "mixed" not in text
    assert "1.000 nats" in text


def test_a_run_without_a_step_is_an_error(config: DictConfig, tmp_path: Path) -> None:
    record(tmp_path, 0, {0: 0.5})
    with pytest.raises(SeedGrpoError, match="no training step"):
        summarize(tmp_path, config, 1.0)
    only = config.copy()
    only.trainer.val_only = True
    summary = summarize(tmp_path, only, 1.0)
    assert (summary["base_accuracy"], summary["steps"], summary["step_seconds_median"]) == (0.5, 0, None)
    assert "50.0%" in shown(summary)


def test_the_validation_before_a_resumed_run_is_recorded_once(tmp_path: Path) -> None:
    """It is of a step that stands there already, without a validation of its own."""
    record(tmp_path, 3, {0: 0.5})
    for _ in range(2):
        records = RunRecords(tmp_path, last_step=3)
        records.write_validation(3, {"val/accuracy": 0.7})
        records.write_step(3, STEP)  # already there
    records.write_step(4, STEP)
    found = [(line["step"], line.get("val/accuracy"), line.get("train/accuracy"))
             for line in read_lines(tmp_path / "metrics.jsonl")]  # fmt: skip
    assert found == [(0, 0.5, None), (1, None, 0.25), (2, None, 0.25), (3, None, 0.25), (3, 0.7, None), (4, None, 0.25)]
    # Resumed before that step, its validation goes with it.
    RunRecords(tmp_path, last_step=2)
    assert [line["step"] for line in read_lines(tmp_path / "metrics.jsonl")] == [0, 1, 2]
