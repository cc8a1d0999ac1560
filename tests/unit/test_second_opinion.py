"""`--also-grade`: another grader next to ours, in evaluations, analyses and reports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from seed_grpo.cli import app
from seed_grpo.data.prepare import Options, plan, prepare
from seed_grpo.data.templates import get_template
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.evaluation.backends import Completion
from seed_grpo.evaluation.problems import Benchmark, Problem, PromptForm
from seed_grpo.evaluation.responses import GREEDY, Key
from seed_grpo.evaluation.second_opinion import also_grade
from seed_grpo.evaluation.settings import Settings
from seed_grpo.evaluation.summarize import summarize
from seed_grpo.evaluation.table import results_table
from seed_grpo.evaluation.task import Task
from seed_grpo.meaning.graders import GRADERS, Grader, SecondOpinion
from seed_grpo.report.build import collect, to_html, to_markdown

pytest.importorskip("math_verify")

ABSENT = Grader("math-verify", "x:y", "a-package-that-is-not-there", "pip install 'math-verify[antlr4_9_3]==0.9.0'.")
HOSTILE = ["<script>alert(1)</script>", "](http://127.0.0.1) | pipe `` ` ```", "{{ 7 * 7 }} \ud800", "9" * 10_000]


@pytest.fixture(scope="module")
def other() -> Iterator[SecondOpinion]:
    opinion = SecondOpinion("math-verify", workers=1)
    yield opinion
    opinion.close()


def evaluated(
    other: SecondOpinion, answers: list[list[str]], golds: list[str], samples: int = 0
) -> tuple[dict[str, Any], Task]:
    """The results of a made-up evaluation: `answers` holds for each problem the greedy answer and the samples'."""
    problems = tuple(Problem(str(i), "?", (gold,), []) for i, gold in enumerate(golds))
    benchmark = Benchmark("amc", problems, PromptForm("none"), {"expected_rows": None, "sha256": "0"})
    settings = Settings(
        identity={"model": "m", "backend": "hf"}, k=max(samples, 1), also_grade="math-verify", seeds=(0,)
    )
    task = Task(settings, (benchmark,))
    have = {
        Key("amc", str(i), 0, GREEDY if k == 0 else k - 1): Completion(rf"so \boxed{{{text}}}", False, 3, -1.0)
        for i, row in enumerate(answers)
        for k, text in enumerate(row)
    }
    summary = summarize(task, have)
    extra = {"settings": task.described(), "backend": {}, "wall_seconds": 1.0}
    return {**summary.numbers, **extra, "also_graded": also_grade(other, task, have, summary.grades)}, task


class TestResults:
    def test_both_numbers_and_every_disagreement(self, other: SecondOpinion) -> None:
        results, _ = evaluated(other, [["1:2"], ["5"], ["6"], [r"(3,\infty)"]], [r"\frac12", "5", "5", "x>3"])
        found = results["also_graded"]
        assert found["grader"] == "math-verify"
        assert found["version"] == "0.9.0"
        assert found["average"] == {"ours": 0.5, "theirs": 0.75}
        assert found["average"]["ours"] == results["average"]
        greedy = found["benchmarks"]["amc"]["greedy"]
        assert greedy == {"n": 4, "ours": 0.5, "theirs": 0.75, "no_verdict": 0, "disagreements": 1}
        assert found["disagreements"] == [
            {
                "benchmark": "amc", "id": "0", "answer": "1:2", "their_answer": "1:2", "gold": [r"\frac12"],
                "ours": False, "theirs": True, "responses": 1,
            }
        ]  # fmt: skip

    def test_samples_are_counted_apart_and_the_same_ones_once(self, other: SecondOpinion) -> None:
        answers = [["5", "5", "1:2", "1:2", "5"], ["7", "7", "7", "8", "7"]]
        results, _ = evaluated(other, answers, [r"\frac12", "7"], samples=4)
        found = results["also_graded"]
        assert set(found["benchmarks"]["amc"]) == {"greedy", "samples"}
        samples = found["benchmarks"]["amc"]["samples"]
        assert (samples["n"], samples["ours"], samples["theirs"]) == (8, 3 / 8, 5 / 8)
        assert samples["ours"] == results["benchmarks"]["amc"]["avg_at_k"]
        assert [each["responses"] for each in found["disagreements"]] == [2]

    def test_the_terminal_shows_both(self, other: SecondOpinion) -> None:
        from rich.console import Console

        results, _ = evaluated(other, [["1:2"], ["5"]], [r"\frac12", "5"])
        console = Console(record=True, width=120, file=open("/dev/null", "w"))  # noqa: SIM115
        console.print(results_table(results))
        lines = [line.replace("│", " ").split() for line in console.export_text().splitlines()]
        assert ["pass@1", "(greedy)", "50.0", "50.0"] in lines
        assert ["pass@1,", "math-verify", "100.0", "100.0"] in lines
        assert ["disagreements", "1"] in lines


class TestReport:
    def write(self, folder: Path, results: dict[str, Any]) -> Path:
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(results))
        return folder

    def test_both_accuracies_and_the_disagreements(self, other: SecondOpinion, tmp_path: Path) -> None:
        answers = [["1:2", "1:2", "5"], ["5", "5", "5"]]
        results, _ = evaluated(other, answers, [r"\frac12", "5"], samples=2)
        report = collect([self.write(tmp_path / "e", results)], "t")
        section = next(each for each in report.sections if each.title == "A second opinion")
        numbers, differences = section.tables
        assert [row.cells for row in numbers.rows] == [
            ["greedy, ours", "50.0", "50.0"],
            ["greedy, math-verify 0.9.0", "100.0", "100.0"],
            ["samples, ours", "50.0", ""],
            ["samples, math-verify 0.9.0", "75.0", ""],
            ["disagreements", "2", "2"],
            ["no verdict", "0", "0"],
        ]
        assert [row.cells for row in differences.rows] == [["amc, 0", "1:2", r"\frac12", "wrong", "right", "1:2", "2"]]

    def test_without_another_grader_there_is_no_such_section(self, other: SecondOpinion, tmp_path: Path) -> None:
        results, _ = evaluated(other, [["5"]], ["5"])
        del results["also_graded"]
        report = collect([self.write(tmp_path / "e", results)], "t")
        assert "A second opinion" not in [section.title for section in report.sections]

    def test_what_a_model_wrote_is_only_text(self, other: SecondOpinion, tmp_path: Path) -> None:
        results, _ = evaluated(other, [[text] for text in HOSTILE], ["5"] * len(HOSTILE))
        for each, text in zip(HOSTILE, HOSTILE, strict=True):
            record = {"benchmark": "amc", "id": each[:9], "answer": text, "their_answer": text, "gold": [text]}
            results["also_graded"]["disagreements"].append({**record, "ours": True, "theirs": False, "responses": 1})
        report = collect([self.write(tmp_path / "e", results)], "t")
        page = to_html(report)
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page
        assert "{{ 7 * 7 }}" in page
        assert "9" * 1_000 not in page
        table = [line for line in to_markdown(report).splitlines() if line.startswith("| amc, ")]
        assert len(table) >= len(HOSTILE)
        assert all(line.replace("\\|", "").count("|") == 8 for line in table)

    def test_a_page_shows_so_many_and_says_so(self, other: SecondOpinion, tmp_path: Path) -> None:
        results, _ = evaluated(other, [["1:2"]], [r"\frac12"])
        results["also_graded"]["disagreements"] *= 300
        table = collect([self.write(tmp_path / "e", results)], "t").sections
        shown = next(each for each in table if each.title == "A second opinion").tables[1]
        assert len(shown.rows) == 200
        assert shown.notes == ["300 different disagreements.", "The first 200 are shown; results.json has them all."]


class TestEvaluate:
    @pytest.fixture(scope="class")
    def model(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        pytest.importorskip("transformers")
        from seed_grpo.quickstart.model import build_model

        folder = tmp_path_factory.mktemp("model")
        build_model(folder, seed=0, hidden_size=32, layers=1)
        return folder

    def arguments(self, model: Path, folder: Path) -> list[str]:
        prepare(plan(["arithmetic"], [], split="test"), folder / "data", Options(get_template("none")))
        return ["eval", "--model", str(model), "--data", str(folder / "data"), "--out", str(folder / "out"),
                "--benchmarks", "arithmetic", "--device", "cpu", "--max-tokens", "8", "--limit", "10"]  # fmt: skip

    def test_responses_that_are_there_are_graded_again(self, model: Path, tmp_path: Path) -> None:
        arguments = self.arguments(model, tmp_path)
        assert CliRunner().invoke(app, arguments).exit_code == 0
        responses = (tmp_path / "out" / "responses.jsonl").read_bytes()
        assert "also_graded" not in json.loads((tmp_path / "out" / "results.json").read_text())
        done = CliRunner().invoke(app, [*arguments, "--also-grade", "math-verify"])
        assert done.exit_code == 0, done.output
        assert "pass@1, math-verify" in done.output
        results = json.loads((tmp_path / "out" / "results.json").read_text())
        assert results["settings"]["also_grade"] == "math-verify"
        assert results["also_graded"]["benchmarks"]["arithmetic"]["greedy"]["n"] == 10
        assert results["also_graded"]["average"]["ours"] == results["average"]
        assert (tmp_path / "out" / "responses.jsonl").read_bytes() == responses

    def test_a_missing_package_is_said_before_anything_is_sampled(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(GRADERS, "math-verify", ABSENT)
        done = CliRunner().invoke(app, [*self.arguments(model, tmp_path), "--also-grade", "math-verify"])
        assert isinstance(done.exception, UsageError)
        assert "pip install 'math-verify" in str(done.exception)
        assert "\n" not in str(done.exception)
        assert not list((tmp_path / "out").glob("responses.jsonl"))

    def test_an_unknown_grader(self, model: Path, tmp_path: Path) -> None:
        done = CliRunner().invoke(app, [*self.arguments(model, tmp_path), "--also-grade", "sympy"])
        assert isinstance(done.exception, UsageError)
        assert "choose one of math-verify" in str(done.exception)


class TestAnalyze:
    ROLLOUTS = (
        {"step": 1, "uid": "a", "answers": ["1:2", "1:2", "0.5", None], "rewards": [0.0, 0.0, 1.0, 0.0],
         "prompt": "p", "gold": [r"\frac12"]},
        {"step": 1, "uid": "b", "answers": ["7", "8", "7", "7"], "rewards": [1.0, 0.0, 1.0, 1.0], "gold": "7"},
        {"step": 1, "uid": "c", "answers": ["7", "8", "7", "7"], "rewards": [1.0, 0.0, 1.0, 1.0]},
    )  # fmt: skip

    def analyze(self, folder: Path, records: Any) -> Any:
        file = folder / "prompts.jsonl"
        file.write_text("".join(json.dumps(record) + "\n" for record in records))
        command = ["analyze", str(file), "--out", str(folder / "out"), "--also-grade", "math-verify"]
        return CliRunner().invoke(app, command)

    def test_both_numbers_and_every_disagreement(self, tmp_path: Path) -> None:
        done = self.analyze(tmp_path, self.ROLLOUTS)
        assert done.exit_code == 0, done.exception
        assert "Of 8 responses, 75.0 % are correct by math-verify 0.9.0 and 50.0 % by the rewards" in done.output
        found = json.loads((tmp_path / "out" / "also_graded.json").read_text())
        assert found["responses"] == {"n": 8, "ours": 0.5, "theirs": 0.75, "no_verdict": 0, "disagreements": 2}
        [record] = found["disagreements"]
        assert (record["uid"], record["answer"], record["ours"], record["theirs"], record["responses"]) == (
            "a", "1:2", False, True, 2
        )  # fmt: skip

    def test_without_a_gold_answer(self, tmp_path: Path) -> None:
        done = self.analyze(tmp_path, self.ROLLOUTS[2:])
        assert isinstance(done.exception, SeedGrpoError)
        assert "No prompt has a gold answer" in str(done.exception)

    def test_a_missing_package_is_said_before_anything_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(GRADERS, "math-verify", ABSENT)
        done = self.analyze(tmp_path, self.ROLLOUTS)
        assert isinstance(done.exception, UsageError)
        assert not (tmp_path / "out").exists()
