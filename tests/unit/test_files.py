"""Files that are replaced as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seed_grpo.runs.checkpoints import is_whole, seal
from seed_grpo.runs.files import replace_file, replacing
from seed_grpo.runs.records import RunRecords
from seed_grpo.runs.summary import write_summary


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "ü [1].json"
    replace_file(path, "old")
    with replacing(path) as unfinished:
        unfinished.write_text("half")
        assert path.read_text() == "old"
        unfinished.write_text("whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    replace_file(path, b"old")

    def fail() -> None:
        with replacing(path) as unfinished:
            unfinished.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("what", ["summary", "records", "checkpoint"])
def test_a_killed_writer_leaves_the_old_file(what: str, tmp_path: Path) -> None:
    """The process dies where the new file is about to take the old one's place."""
    if what == "summary":
        write_summary(tmp_path, {"steps": 1})
        target, act = tmp_path / "summary.json", "write_summary(folder, {'steps': 2})"
    elif what == "records":
        for step in (1, 2):
            RunRecords(tmp_path, last_step=step - 1).write_step(step, {"loss": 1.0})
        target, act = tmp_path / "metrics.jsonl", "RunRecords(folder, last_step=1)"
    else:
        (tmp_path / "weights").write_text("1")
        seal(tmp_path)
        target, act = tmp_path / "files.json", "seal(folder)"
    before = target.read_bytes()
    program = f"""
import os, sys
from pathlib import Path
from seed_grpo.runs.checkpoints import seal
from seed_grpo.runs.records import RunRecords
from seed_grpo.runs.summary import write_summary
os.replace = lambda source, target: os._exit(9)
folder = Path({str(tmp_path)!r})
{act}
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == 9
    assert target.read_bytes() == before
    assert what != "checkpoint" or is_whole(tmp_path)
