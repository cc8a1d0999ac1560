"""Whole and broken checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from seed_grpo.runs.checkpoints import is_whole, newest_whole, point_to_newest_whole, seal, step_folder
from seed_grpo.runs.names import TRACKER


def write_checkpoint(root: Path, step: int) -> Path:
    folder = step_folder(root, step)
    (folder / "actor").mkdir(parents=True)
    (folder / "actor" / "model.pt").write_bytes(b"x" * 100)
    (folder / "data.pt").write_bytes(b"y" * 10)
    seal(folder)
    (root / TRACKER).write_text(str(step))
    return folder


def test_the_newest_whole_one_is_found_by_its_number(tmp_path: Path) -> None:
    for step in (2, 10, 9):
        write_checkpoint(tmp_path, step)
    assert newest_whole(tmp_path) == 10
    assert newest_whole(tmp_path / "nothing here") is None


@pytest.mark.parametrize("damage", ["truncated", "missing file", "no list", "list cut off", "list is no list"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, damage: str) -> None:
    write_checkpoint(tmp_path, 1)
    newest = write_checkpoint(tmp_path, 2)
    model, files = newest / "actor" / "model.pt", newest / "files.json"
    if damage == "truncated":
        model.write_bytes(b"x" * 99)
    elif damage == "missing file":
        model.unlink()
    elif damage == "no list":
        files.unlink()
    elif damage == "list cut off":
        files.write_text(files.read_text()[:20])
    else:
        files.write_text("[1]")
    assert not is_whole(newest)
    assert point_to_newest_whole(tmp_path) == 1
    assert (tmp_path / TRACKER).read_text() == "1"


def test_without_a_whole_checkpoint_the_run_starts_anew(tmp_path: Path) -> None:
    (write_checkpoint(tmp_path, 1) / "data.pt").unlink()
    assert point_to_newest_whole(tmp_path) is None
    assert not (tmp_path / TRACKER).exists()


def test_a_whole_checkpoint_that_verl_did_not_name_yet_is_used(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 3)
    (tmp_path / TRACKER).write_text("2")
    assert point_to_newest_whole(tmp_path) == 3
    assert (tmp_path / TRACKER).read_text() == "3"
