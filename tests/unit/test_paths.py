"""Paths as people have them: the home folder, names with blanks and signs, and folders that take no files."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from seed_grpo.cli import app
from seed_grpo.data import check_plain_path
from seed_grpo.data.prepare import Options, plan, prepare
from seed_grpo.data.templates import get_template
from seed_grpo.errors import UsageError
from seed_grpo.quickstart.prepare import base_folder, run_overrides
from seed_grpo.training.compose import compose_config

ODD = [
    "with blanks",
    "ünïcode",
    "copy (1)",
    "a=b",
    "a,b",
    "it's",
    'say "x"',
    "[red]x",
    "{x}",
    "#1",
    "100%",
    "$HOME",
    "~x",
]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


class TestQuickstart:
    @pytest.mark.parametrize("name", [name for name in ODD if not set("[$") & set(name)])
    def test_a_folder_of_any_name(self, name: str, tmp_path: Path) -> None:
        config = compose_config(run_overrides(tmp_path / name, 2))
        assert config.actor_rollout_ref.model.path == str(tmp_path / name / "seed_2" / "base" / "model")
        assert config.data.train_files == f"{tmp_path / name}/seed_2/base/data/arithmetic_train.parquet"
        assert config.trainer.default_local_dir == str(tmp_path / name / "seed_2" / "run")
        assert base_folder(tmp_path / name, 2) == tmp_path / name / "seed_2" / "base"

    @pytest.mark.parametrize(
        ("out", "overrides", "words"),
        [
            ("${seed}", [], "reads as a reference"),
            ("[red]x", [], "has the sign ["),
            ("what?", [], "has the sign ?"),
            ("a*b", [], "has the sign *"),
            ("a::b", [], "has the sign ::"),
            ("$HOME", [], "has the sign $"),
            ("file", [], "is a file"),
            ("file/below", [], "cannot be made"),
            ("x" * 300, [], "cannot be made"),
            ("fine", ["seed_grpo.alhpa=1"], "alhpa"),
            ("fine", ["seed_grpo.alpha=7"], "alpha is 7"),
        ],
    )
    def test_what_cannot_be_is_refused_before_any_work(
        self, out: str, overrides: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("seed_grpo.quickstart.prepare.prepare", lambda *arguments: pytest.fail("work was begun"))
        (tmp_path / "file").touch()
        done = run("quickstart", "--out", str(tmp_path / out), *overrides)
        assert isinstance(done.exception, UsageError)
        assert words in str(done.exception)


def test_the_home_folder_in_a_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = compose_config(
        [
            "experiment=qwen2.5_math_7b", "platform=gpu", "data_dir=~/data", "actor_rollout_ref.model.path=~/model",
            "trainer.default_local_dir=~/run",
        ]
    )  # fmt: skip
    assert config.data.train_files == f"{tmp_path}/data/math_lvl3to5.parquet"
    assert next(iter(config.data.val_files)) == f"{tmp_path}/data/aime24.parquet"
    assert (config.actor_rollout_ref.model.path, config.trainer.default_local_dir) == (
        f"{tmp_path}/model", f"{tmp_path}/run",
    )  # fmt: skip
    mixed = compose_config(["data.val_files=[~/a (1).parquet, 'b.parquet']", "data.train_files='~/c d.parquet'"])
    assert list(mixed.data.val_files) == [f"{tmp_path}/a (1).parquet", "b.parquet"]
    assert mixed.data.train_files == f"{tmp_path}/c d.parquet"


def test_training_data_whose_path_is_a_pattern(tmp_path: Path) -> None:
    """Checked against `datasets` itself, through which verl reads: it finds nothing under such a name."""
    from datasets import load_dataset

    folder = tmp_path / "[red]"
    folder.mkdir()
    prepare(plan(["arithmetic"], [], split="test"), folder, Options(get_template("none")))
    file = str(folder / "arithmetic_test.parquet")
    with pytest.raises(Exception, match=r"valid data file|Unable to find"):
        load_dataset("parquet", data_files=file)
    with pytest.raises(UsageError, match=r"has the sign \["):
        check_plain_path(file)
    for name in (name for name in ODD if not set("[$") & set(name)):
        plain = tmp_path / name / "x.parquet"
        plain.parent.mkdir()
        plain.write_bytes(Path(file).read_bytes())
        check_plain_path(plain)
        loaded = load_dataset("parquet", data_files=str(plain), cache_dir=str(tmp_path / "cache"))
        assert len(loaded["train"]) == 258, name


def test_the_home_folder_when_data_are_prepared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "amc.jsonl").write_text('{"problem": "1+1?", "answer": "2"}\n')
    done = run("data", "prepare", "-d", "amc", "--source", "~/amc.jsonl", "--out", "~/out", "--against", "~")
    assert done.exit_code == 0, (done.output, done.exception)
    assert (tmp_path / "out" / "amc.parquet").is_file()


@pytest.mark.parametrize("name", ODD)
def test_data_in_a_folder_of_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    (tmp_path / name).mkdir()
    (tmp_path / name / "amc.jsonl").write_text('{"problem": "1+1?", "answer": "2"}\n')
    folder = str(tmp_path / name)
    done = run("data", "prepare", "-d", "amc", "--source", folder, "--out", folder)
    assert done.exit_code == 0, (done.output, done.exception)
    assert f"{folder}/amc.parquet" in done.output


@pytest.mark.parametrize("out", ["file", "file/below", "x" * 300, "/proc/nowhere/out"])
@pytest.mark.parametrize("command", ["eval", "data"])
def test_a_folder_that_takes_no_files(command: str, out: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    prepare(plan(["arithmetic"], [], split="test"), tmp_path / "data", Options(get_template("none")))
    arguments = {
        "eval": ["eval", "--model", "m", "--data", str(tmp_path / "data"), "--benchmarks", "arithmetic"],
        "data": ["data", "prepare", "-d", "arithmetic"],
    }
    done = run(*arguments[command], "--out", str(tmp_path / out))
    assert isinstance(done.exception, UsageError)
    assert "--out" in str(done.exception)
    assert "\n" not in str(done.exception)
