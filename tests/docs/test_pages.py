"""Every page: links lead somewhere, files that it names exist, and commands that it shows take their options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seed_grpo.cli import app
from seed_grpo.training.compose import compose_config

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


def commands(page: Path) -> list[str]:
    """Every `seed-grpo` command of a page, in a block or in a line; without what only stands for something (…)."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", text)
    found = [match[0] for line in lines if (match := re.search(r"\bseed-grpo [a-z].*", line.split(" #")[0]))]
    return sorted({line for line in found if line.split()[1] in COMMANDS})


COMMANDS = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
SHOWN = [pytest.param(line, id=f"{page.name}: {line}") for page in PAGES for line in commands(page)]


@pytest.mark.parametrize("line", SHOWN)
def test_shown_commands_take_these_options(line: str) -> None:
    """The pages' own tests run what can be run here; this holds for every command of every page."""
    name, *arguments = shlex.split(line)[1:]
    subcommand = [name, arguments.pop(0)] if name == "data" and arguments else [name]
    shown = CliRunner().invoke(app, [*subcommand, "--help"])
    assert shown.exit_code == 0, shown.output
    for option in (argument.split("=")[0] for argument in arguments if re.match(r"--?[a-z]", argument)):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", shown.output), option
    overrides = [argument for argument in arguments if re.fullmatch(r"[+~]*[\w.]+=[^…]*", argument)]
    if name in ("train", "doctor", "plan"):
        compose_config([override for override in overrides if override.split("=")[1] not in ("", "…")])


def test_the_pages_show_commands() -> None:
    assert len(SHOWN) > 40
