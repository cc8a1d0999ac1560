"""docs/meanings.md: its table lists what the registry has, and its example is a meaning."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from seed_grpo.meaning.protocol import Sample
from seed_grpo.meaning.registry import MEANINGS, cluster_groups, make_meaning
from seed_grpo.settings import Settings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "meanings.md").read_text(encoding="utf-8")


def test_the_table_lists_the_registry() -> None:
    rows = [row for row in re.findall(r"^\| `([^`]+)`", PAGE, flags=re.MULTILINE) if row.isidentifier()]
    assert [row for row in rows if row != "seed_grpo"] == list(MEANINGS)


def test_the_example_is_a_meaning_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    (name,) = re.findall(r"`seed_grpo.meaning=([\w.:]+)`", PAGE)
    module = ModuleType(name.split(":")[0])
    exec(compile(code, "docs/meanings.md", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    meaning = make_meaning(Settings(meaning=name))
    answers = ["Paris", "paris of course", None, "London", None]
    assert cluster_groups(meaning, [[Sample(None, answer) for answer in answers]]) == [[0, 0, 1, 2, 1]]
    assert meaning.take_counts() == {"unanswered": 2}
    assert meaning.take_counts() == {"unanswered": 0}
