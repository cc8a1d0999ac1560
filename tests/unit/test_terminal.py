"""Any text on any terminal: brackets, emoji codes, control characters and alphabets that the terminal does not know."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from runs import ROOT
from typer.testing import CliRunner

from seed_grpo import cli
from seed_grpo.runs.records import RunRecords
from seed_grpo.terminal import make_console, say, shown

SOURCES = sorted((ROOT / "seed_grpo").rglob("*.py"))


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rpartition(".")[2], node


def test_every_text_goes_through_a_console_that_takes_nothing_for_markup() -> None:
    made = {path.relative_to(ROOT).as_posix() for path in SOURCES for name, _ in calls(path) if name == "Console"}
    assert made == {"seed_grpo/terminal.py"}
    for path in SOURCES:
        for name, call in calls(path):
            assert name not in ("from_markup", "get_console", "echo"), path
            if name == "TextColumn":
                assert any(word.arg == "markup" for word in call.keywords), path


# ---- help ----------------------------------------------------------------------------------------------------------


def commands(command: Any, words: str = "") -> dict[str, Any]:
    """All commands by the words that call them."""
    found = {words: command}
    for name, each in getattr(command, "commands", {}).items():
        found |= commands(each, f"{words} {name}")
    return found


COMMANDS = commands(typer.main.get_command(cli.app))


@pytest.mark.parametrize("words", COMMANDS)
def test_help_shows_every_word_of_it(words: str) -> None:
    """`[default: …]` in it would be taken for markup, and left out."""
    command = COMMANDS[words]
    done = CliRunner().invoke(cli.app, [*words.split(), "--help"], env={"COLUMNS": "300"})
    assert done.exit_code == 0
    said = "".join(done.output.split())
    for text in [command.help, *(getattr(param, "help", None) for param in command.params)]:
        for word in (text or "").split():
            assert word in said


# ---- streams -------------------------------------------------------------------------------------------------------

NAME = "[red]:smile: (1) é ="


def run_main(monkeypatch: pytest.MonkeyPatch, encoding: str, *arguments: str) -> tuple[int, str, str]:
    """The command line in this process, with streams of an encoding that are as strict as Python's."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    monkeypatch.setattr(sys, "argv", ["seed-grpo", *arguments])
    monkeypatch.setenv("COLUMNS", "200")
    status = 0
    try:
        cli.main()
    except SystemExit as end:
        status = int(end.code or 0)
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)  # type: ignore[attr-defined]
    return status, out, err


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves, in a folder whose name is a trap."""
    folder = tmp_path_factory.mktemp("terminal") / NAME
    records = RunRecords(folder)
    for step in (1, 2, 3):
        prompt = {
            "uid": "u", "prompt": "α → [b]?", "gold": "1", "answers": ["1", "2"], "rewards": [1.0, 0.0],
            "cluster_ids": [0, 1], "entropy": 0.7, "max_entropy": 0.7, "weight": 0.98, "accuracy": 0.5,
        }  # fmt: skip
        records.write_prompts(step, [prompt])
        records.write_step(step, {"val/accuracy": 0.5, "train/accuracy": 0.5})
    return folder


def shown_in(encoding: str, text: str) -> str:
    return text if encoding == "utf-8" else text.replace("é", "\\xe9") if encoding == "ascii" else text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
class TestEncodings:
    def test_report(self, encoding: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        out = tmp_path / NAME
        status, said, err = run_main(monkeypatch, encoding, "report", str(run), "--out", str(out), "--title", "α ±")
        assert status == 0, err
        assert said.splitlines() == [shown_in(encoding, f"{out / name}") for name in ("report.html", "report.md")]
        assert "<title>α ±</title>" in (out / "report.html").read_text(encoding="utf-8")

    def test_analyze(self, encoding: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        out = tmp_path / NAME
        status, said, err = run_main(monkeypatch, encoding, "analyze", str(run), "--out", str(out))
        assert status == 0, err
        assert shown_in(encoding, str(out / "analysis.parquet")) in said

    def test_ablate(self, encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        out = tmp_path / NAME
        arms = ["--arms", "dr_grpo,g4", "--out", str(out)]
        status, said, err = run_main(monkeypatch, encoding, "ablate", "--study", "cpu", "--dry-run", *arms)
        assert status == 0, err
        assert ("64 × 4 × 30" if encoding != "ascii" else "64 x 4 x 30") in said
        (tmp_path / "é").touch()
        status, said, err = run_main(monkeypatch, encoding, "ablate", "--study", "cpu", "--out", str(tmp_path / "é"))
        assert status == 2
        assert shown_in(encoding, f"{tmp_path / 'é'} is a file") in err

    def test_data_list(self, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
        status, said, err = run_main(monkeypatch, encoding, "data", "list")
        assert (status, err) == (0, "")
        assert "aime24" in said

    @pytest.mark.parametrize("words", COMMANDS)
    def test_help(self, encoding: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
        status, said, _ = run_main(monkeypatch, encoding, *words.split(), "--help")
        assert status == 0
        assert "Usage: " in said


@pytest.mark.parametrize("setting", ["PYTHONIOENCODING=ascii", "LC_ALL=C", "PYTHONIOENCODING=latin-1"])
def test_the_real_command_line_on_another_terminal(setting: str, run: Path, tmp_path: Path) -> None:
    """Undecodable bytes in a path, too."""
    name, value = setting.split("=")
    folder = os.fsencode(tmp_path) + b"/\xff[red]"
    os.symlink(os.fsencode(run), folder)
    done = subprocess.run(
        [sys.executable, "-m", "seed_grpo.cli", "report", folder, "--out", folder + b"_report"],
        env={**os.environ, name: value}, capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert b"Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert os.path.isfile(folder + b"_report/report.html")


@pytest.mark.parametrize("text", ["[red]x[/]", "[/nothing]", ":smile:", "a\\[b]", "1 of 2 '3' /path", "{x} %s $x"])
def test_a_line_is_printed_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(text)
    assert capsys.readouterr().out == f"{text}\n"


def test_a_line_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[2Jb\x07\rc\x9b1md")
    assert capsys.readouterr().out == "a\\x1b[2Jb\\x07\\x0dc\\x9b1md\n"
    assert shown("two\nlines") == "two\nlines"


def test_a_table_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    table = Table("[b]head[/b]", title="[i]title")
    table.add_row("[red]cell :smile:")
    make_console(width=80).print(table)
    said = capsys.readouterr().out
    for text in ("[b]head[/b]", "[i]title", "[red]cell :smile:"):
        assert text in said


def test_an_error_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing = f"{tmp_path}/a\nb\x1b[31m"
    status, said, err = run_main(monkeypatch, "utf-8", "report", missing)
    assert (status, said) == (2, "")
    assert err.startswith("seed-grpo: ")
    assert "Remedy: " in err
    assert err.count("\n") == 1
    assert "\x1b" not in err


# ---- progress ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 120])
def test_the_progress_of_a_run_fits_the_terminal(columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    from seed_grpo.runs.names import METRICS, TRAIN_LOG
    from seed_grpo.training.progress import follow

    record = {
        "step": 80, "train/accuracy": 0.67, "seed_grpo/entropy": 1.1, "seed_grpo/weight": 0.989, "timing_s/step": 12.3,
    }  # fmt: skip
    (tmp_path / METRICS).touch()
    (tmp_path / TRAIN_LOG).touch()
    monkeypatch.setenv("COLUMNS", str(columns))

    def ended() -> bool:
        return bool((tmp_path / METRICS).write_text(json.dumps(record) + "\n", encoding="utf-8"))

    follow(tmp_path, 100, ended, 0, silent_seconds=60)
    shown = capsys.readouterr().err
    assert "…" not in shown
    assert "80/100" in shown
    assert "12.3 s/step" in shown


def test_a_run_that_is_silent_for_too_long_is_given_up(tmp_path: Path) -> None:
    from seed_grpo.errors import SeedGrpoError
    from seed_grpo.runs.names import METRICS, TRAIN_LOG
    from seed_grpo.training.progress import follow

    (tmp_path / METRICS).touch()
    (tmp_path / TRAIN_LOG).touch()
    looks = iter(range(1000))

    def ended() -> bool:
        if next(looks) == 5:  # whatever is logged is a sign of life
            (tmp_path / TRAIN_LOG).write_text("still loading", encoding="utf-8")
        return False

    start = time.monotonic()
    with pytest.raises(SeedGrpoError, match="recorded and logged nothing for 2 s, after step 0"):
        follow(tmp_path, 100, ended, 0, silent_seconds=2)
    assert time.monotonic() - start > 2.5
