"""Every page: links lead somewhere, and files that it names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md",
    *(page for name in ("docs", "docker", "requirements", "recipe") for page in sorted((ROOT / name).rglob("*.md"))),
]  # fmt: skip
FOLDERS = "seed_grpo|configs|tests|examples|benchmarks|recipe|docker|requirements|docs|gpu"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(rf"(?<![\w./-])((?:{FOLDERS})/[\w./-]+\.(?:py|sh|md|yaml|txt|sbatch|json))(?![\w-])", text)
    elsewhere = {"examples/qwen2.5-math-7b.sh"}  # a file of Dr.GRPO's
    missing = [name for name in {*named} - elsewhere if not any((at / name).exists() for at in (ROOT, page.parent))]
    assert not missing
