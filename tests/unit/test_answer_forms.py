"""Which answer template goes with a data set and a prompt template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from seed_grpo import extract_answer
from seed_grpo.cli import app
from seed_grpo.data.answer_forms import READERS, misfit, reads, written_form
from seed_grpo.data.manifest import read_manifest
from seed_grpo.data.prepare import Options, plan, prepare
from seed_grpo.data.registry import DATASETS
from seed_grpo.data.templates import TEMPLATES, get_template
from seed_grpo.errors import UsageError
from seed_grpo.meaning.answers import TEMPLATES as ANSWER_TEMPLATES

WRITTEN = {
    "boxed": r"so \boxed{42}",
    "answer_tag": "so</think> <answer>42</answer>",
    "answer_line": "so\nAnswer: 42",
    "gsm8k": "so\n#### 42",
}
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("form", list(WRITTEN))
@pytest.mark.parametrize("answer_template", list(ANSWER_TEMPLATES))
def test_a_form_is_read_by_the_templates_that_are_said_to_read_it(form: str, answer_template: str) -> None:
    found = extract_answer(WRITTEN[form], template=answer_template) == "42"
    assert found == reads(answer_template, form)


def test_every_form_has_readers() -> None:
    forms = {written_form(dataset, template) for dataset in DATASETS.values() for template in TEMPLATES.values()}
    assert forms <= set(READERS)
    assert all(form == readers[0] and set(readers) <= set(ANSWER_TEMPLATES) for form, readers in READERS.items())


def test_the_table_of_the_page() -> None:
    lines = PAGE.split("## Where the answer of a response stands")[1].split("\n|", 1)[1].split("\n\n")[0].splitlines()
    head, _, *rows = ([cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines)
    assert head[1:] == list(TEMPLATES)
    assert {row[0]: row[1:] for row in rows} == {
        name: [written_form(dataset, template) for template in TEMPLATES.values()] for name, dataset in DATASETS.items()
    }


def test_the_warning_of_the_page() -> None:
    assert f"\n{misfit(DATASETS['gsm8k'], TEMPLATES['none'], 'boxed')}\n" in PAGE


@pytest.mark.parametrize(
    ("dataset", "template", "answer_template", "warns"),
    [
        ("gsm8k", "none", "boxed", "--answer-template gsm8k, or --template qwen_math"),
        ("gsm8k", "none", "gsm8k", None),
        ("gsm8k", "none", "auto", "--answer-template gsm8k"),
        ("gsm8k", "qwen_math", "boxed", None),
        ("gsm8k", "qwen_math", "gsm8k", "asks for the form boxed"),
        ("gsm8k", "r1", "answer_tag", None),
        ("math500", "none", "boxed", None),
        ("math500", "none", "auto", None),
        ("math500", "none", "answer_tag", "solutions of math500 have boxed"),
        ("math500", "r1", "auto", None),
        ("math500", "r1", "boxed", "asks for the form answer_tag"),
        ("arithmetic", "none", "answer_line", "solutions of arithmetic have boxed"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    dataset: str, template: str, answer_template: str, warns: str | None
) -> None:
    said = misfit(DATASETS[dataset], get_template(template), answer_template)
    if warns is None:
        assert said is None
    else:
        assert said is not None
        assert "\n" not in said
        assert warns in said


class TestPrepare:
    def prepared(self, folder: Path, template: str, **options: Any) -> tuple[list[str], str]:
        done = prepare(plan(["arithmetic"], [], split="test"), folder, Options(get_template(template), **options))[0]
        return done.warnings, read_manifest(done.path)["answer_template"]

    def test_the_prompt_templates_own(self, tmp_path: Path) -> None:
        assert self.prepared(tmp_path, "none") == ([], "boxed")
        assert self.prepared(tmp_path, "r1") == ([], "answer_tag")

    def test_another_that_reads_the_same_form(self, tmp_path: Path) -> None:
        assert self.prepared(tmp_path, "r1", answer_template="auto") == ([], "auto")

    def test_one_that_does_not(self, tmp_path: Path) -> None:
        warnings, written = self.prepared(tmp_path, "qwen_math", answer_template="gsm8k")
        assert written == "gsm8k"
        assert len(warnings) == 1
        assert "looked for as gsm8k" in warnings[0]

    def test_one_that_does_not_exist(self) -> None:
        with pytest.raises(UsageError, match="boxed, answer_tag"):
            Options(answer_template="box")

    def test_the_command_says_it_on_standard_error(self, tmp_path: Path) -> None:
        command = ["data", "prepare", "-d", "arithmetic", "--split", "test", "--template", "none", "--out"]
        result = CliRunner().invoke(app, [*command, str(tmp_path / "a")])
        assert (result.exit_code, result.stderr) == (0, "")
        result = CliRunner().invoke(app, [*command, str(tmp_path / "b"), "--answer-template", "gsm8k"])
        assert result.exit_code == 0
        assert [line.startswith("warning: arithmetic: answers") for line in result.stderr.splitlines()] == [True]
