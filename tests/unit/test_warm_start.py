"""A model learns to box its answers in its own words (seed_grpo.warm_start)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seed_grpo.cli import app
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.meaning.answers import extract_answer
from seed_grpo.warm_start.boxes import BoxSettings, in_a_box, teach_boxes

TASK = ("--examples", "16", "--max-tokens", "16", "--epochs", "1")


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("She has 3 apples and 4 pears, so 7 fruits in all.", "7"),
        ("First 2 + 2 = 4.\nSo he pays $1,250.50 for it. Thank you!", "1250.50"),
        ("It falls to -3 degrees", "-3"),
        ("The total is 42.", "42"),
        ("It is \\boxed{8}, as I said. Not 9.", "8"),
        ("The box \\boxed{ is left open at 5", "5"),
        ("About 3.5 hours.", "3.5"),
    ],
)
def test_the_last_number_goes_into_the_box(response: str, answer: str) -> None:
    boxed = in_a_box(response)
    assert boxed is not None
    assert extract_answer(boxed) == answer
    assert in_a_box(boxed) == boxed


def test_what_comes_behind_the_sentence_is_left_out() -> None:
    assert in_a_box("So 7 in all. Do you want more?") == "So 7 in all.\nThe final answer is \\boxed{7}"


@pytest.mark.parametrize("response", ["", "I cannot say.", "x = y", "\\boxed{"])
def test_without_a_number_there_is_no_box(response: str) -> None:
    assert in_a_box(response) is None


@pytest.mark.parametrize("piece", ["1", "1,", "1.", "$", "-", "\\boxed{", "1 ", "1. ", "}", "\n", "1,1.1 "])
def test_long_responses_take_no_longer_than_their_length(piece: str) -> None:
    start = time.process_time()
    in_a_box(piece * (200_000 // len(piece)))
    assert time.process_time() - start < 5  # a quadratic rule would take minutes


def test_a_model_learns_in_its_own_words(quickstart_base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    out = tmp_path / "new"
    done = CliRunner().invoke(
        app, ["data", "warm-start", str(quickstart_base / "model"), "--out", str(out), *TASK,
              "--data", str(quickstart_base / "data" / "arithmetic_train.parquet")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert f"{out}: learned from 16 of its 16 responses" in done.output.replace("\n", "")
    before, after = (
        AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (quickstart_base / "model", out)
    )
    assert before.keys() == after.keys()
    assert any(bool((before[name] != after[name]).any()) for name in before)
    assert (out / "generation_config.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_model_whose_responses_are_of_no_use(untrained_base: Path, tmp_path: Path) -> None:
    data = untrained_base / "data" / "arithmetic_train.parquet"
    with pytest.raises(SeedGrpoError, match="Only 0 of 16 responses end within 16 tokens and name a number"):
        teach_boxes(untrained_base / "model", data, tmp_path / "out", BoxSettings(examples=16, max_tokens=16))
    assert not list(tmp_path.iterdir())


def test_wrong_settings_and_files(untrained_base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 16"):
        BoxSettings(examples=15)
    for wrong in ({"learning_rate": float("nan")}, {"epochs": 0}, {"batch_size": -1}, {"max_tokens": 0}):
        with pytest.raises(UsageError, match="not positive"):
            BoxSettings(**wrong)  # type: ignore[arg-type]
    model, data = untrained_base / "model", untrained_base / "data" / "arithmetic_train.parquet"
    with pytest.raises(UsageError, match="there already"):
        teach_boxes(model, data, tmp_path, BoxSettings())
    with pytest.raises(UsageError, match="not a file of problems"):
        teach_boxes(model, model / "config.json", tmp_path / "out", BoxSettings())
    with pytest.raises(SeedGrpoError, match="cannot be loaded"):
        teach_boxes(tmp_path / "nowhere", data, tmp_path / "out", BoxSettings())
    assert not list(tmp_path.iterdir())
