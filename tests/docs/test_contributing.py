"""CONTRIBUTING's table of changes: at most three files each, and the files are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_each_change_has_a_place_and_touches_at_most_three_files() -> None:
    table = PAGE.split("<!-- changes -->")[1].split("<!-- /changes -->")[0]
    rows = [line.strip("|").split("|") for line in table.strip().splitlines()[2:]]
    assert len(rows) == 9
    for name, *cells in rows:
        assert len(cells) == 3, name
        for path in re.findall(r"`([\w./]+/[\w./]*)`", " ".join(cells)):
            assert (ROOT / path).exists(), f"{name.strip()}: {path}"


def test_each_room_is_there() -> None:
    rooms = set(re.findall(r"`(\w+)/`", PAGE.split("## Where a change goes")[0].split("| --- | --- | --- |")[1]))
    present = {path.name for path in (ROOT / "seed_grpo").iterdir() if (path / "__init__.py").is_file()}
    assert present <= rooms, f"CONTRIBUTING does not say what {sorted(present - rooms)} hold"
