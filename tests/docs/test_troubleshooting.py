"""docs/troubleshooting.md: every message that it explains is one that the code can print."""

from __future__ import annotations

import ast
import difflib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)`( \(verl's\))?(?:, or `[^`]+`)? \|", PAGE, flags=re.MULTILINE)
PROSE = re.findall(r"`(verl did not load [^`]+)`", PAGE) + re.findall(r"`, or `([^`]+)` \|", PAGE)


def texts(path: Path) -> set[str]:
    """The texts of a Python file, with … for each value that is filled in."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
            found.add("".join(map(str, parts)))
    return found


@pytest.fixture(scope="module")
def messages() -> set[str]:
    scripts = re.findall(r'say "([^"]+)"', (ROOT / "examples" / "slurm" / "train.sbatch").read_text(encoding="utf-8"))
    return set(scripts).union(*(texts(path) for path in (ROOT / "seed_grpo").rglob("*.py")))


def could_print(text: str, message: str) -> bool:
    """Whether a text of the code, with its values filled in, reads as on the page. Texts of few words do not count."""
    words = text.split("…")
    return sum(map(len, words)) >= 16 and re.fullmatch(".*".join(map(re.escape, words)), message) is not None


def test_a_message_that_the_code_does_not_have_is_found(messages: set[str]) -> None:
    assert any(could_print(text, "The model … cannot be loaded (…).") for text in messages)
    for reworded in ("The model … can not be loaded (…).", "… is no study.", "alpha was …."):
        assert reworded not in messages
        assert not any(could_print(text, reworded) for text in messages), reworded


def test_the_page_explains_enough_to_be_of_use() -> None:
    assert len(ROWS) > 50
    assert len(PROSE) == 2


@pytest.mark.parametrize("message", [message for message, foreign in ROWS if not foreign] + PROSE)
def test_the_code_has_the_message(message: str, messages: set[str]) -> None:
    if message not in messages and not any(could_print(text, message) for text in messages):
        pytest.fail(f"{message!r} is not in the code; nearest: {difflib.get_close_matches(message, messages, n=2)}")


@pytest.mark.parametrize("message", [message for message, foreign in ROWS if foreign])
def test_verl_has_its_messages(message: str) -> None:
    verl = pytest.importorskip("verl")
    buffer = Path(verl.__file__).parent / "trainer" / "ppo" / "v1" / "replay_buffer.py"
    assert message in texts(buffer)
