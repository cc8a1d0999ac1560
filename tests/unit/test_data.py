"""Data preparation: sources of every kind, bad rows, counts, overlap, templates and what verl reads of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from seed_grpo.cli import app
from seed_grpo.data import validate_parquet
from seed_grpo.data.arithmetic import SPLITS
from seed_grpo.data.manifest import read_manifest
from seed_grpo.data.overlap import normalize_problem
from seed_grpo.data.prepare import Options, Prepared, plan, prepare
from seed_grpo.data.registry import BENCHMARKS, DATASETS, TEST, Dataset, exactly, get_dataset
from seed_grpo.data.rows import normalize_gold
from seed_grpo.data.templates import PASS_THROUGH, TEMPLATES, get_template
from seed_grpo.errors import SeedGrpoError, UsageError


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run(names: str, source: Path | list[Path], out: Path, split: str | None = None, **options: Any) -> list[Prepared]:
    sources = [str(path) for path in (source if isinstance(source, list) else [source])]
    return prepare(plan(names.split(","), sources, split=split), out, Options(**options))


def read(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


def golds(path: Path) -> list[list[str]]:
    return [row["reward_model"]["ground_truth"] for row in read(path)]


QUESTION = "What is $1+1$?"


class TestTemplates:
    """The bytes are those of Dr.GRPO's train_zero_math.py."""

    def test_qwen_math(self) -> None:
        assert get_template("qwen_math").text(QUESTION).encode() == (
            b"<|im_start|>system\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
            b"<|im_start|>user\nWhat is $1+1$?<|im_end|>\n<|im_start|>assistant\n"
        )

    def test_r1(self) -> None:
        assert get_template("r1").text(QUESTION).encode() == (
            b"A conversation between User and Assistant. The User asks a question, and the Assistant solves it. "
            b"The Assistant first thinks about the reasoning process in the mind and then provides the User with the "
            b"answer. The reasoning process is enclosed within <think> </think> and answer is enclosed within <answer> "
            b"</answer> tags, respectively, i.e., <think> reasoning process here </think> <answer> answer here "
            b"</answer>.\nUser: What is $1+1$?\nAssistant: <think>"
        )

    def test_none(self) -> None:
        assert get_template("none").text(QUESTION) == get_template("no").text(QUESTION) == QUESTION

    def test_a_problem_may_hold_anything(self) -> None:
        problem = "{Q} {0} %s \\boxed{} {{ x }} <|im_end|>\n\u2028é"
        for template in TEMPLATES.values():
            assert problem in template.text(problem)

    def test_messages_are_the_same_prompt_under_a_chat_template_of_qwen(self) -> None:
        from jinja2 import Template as Jinja

        chat = Jinja(
            "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
            "<|im_start|>assistant\n",
            keep_trailing_newline=True,
        )
        template = get_template("qwen_math")
        assert chat.render(messages=template.messages(QUESTION, "messages")) == template.text(QUESTION)
        text = Jinja(PASS_THROUGH, keep_trailing_newline=True).render(messages=template.messages(QUESTION))
        assert text == template.text(QUESTION)

    def test_r1_is_no_chat(self) -> None:
        with pytest.raises(UsageError, match="not a chat"):
            get_template("r1").messages(QUESTION, "messages")
        with pytest.raises(UsageError, match="qwen_math, r1, none"):
            get_template("qwen")


class TestSources:
    ROWS = [{"problem": f"p{i}", "answer": str(i)} for i in range(30)]  # noqa: RUF012

    @pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "stream.arrow", "file.arrow", "saved", "split"])
    def test_every_kind_gives_the_same_rows(self, tmp_path: Path, kind: str) -> None:
        table = pa.Table.from_pylist(self.ROWS)
        source = tmp_path / f"source.{kind}"
        if kind == "jsonl":
            write_lines(source, self.ROWS)
        elif kind == "json":
            source.write_text(json.dumps(self.ROWS))
        elif kind == "parquet":
            pq.write_table(table, source)
        elif kind == "stream.arrow":
            with pa.ipc.new_stream(source, table.schema) as writer:
                writer.write_table(table)
        elif kind == "file.arrow":
            with pa.ipc.new_file(source, table.schema) as writer:
                writer.write_table(table)
        else:
            datasets = pytest.importorskip("datasets")
            saved = datasets.Dataset.from_list(self.ROWS)
            if kind == "split":
                datasets.DatasetDict({"test": saved, "other": saved.select([0])}).save_to_disk(source)
            else:
                saved.save_to_disk(source)
        [done] = run("aime24", source, tmp_path / "out", strict=True, template=get_template("none"))
        rows = read(done.path)
        assert [row["prompt"] for row in rows] == [[{"role": "user", "content": f"p{i}"}] for i in range(30)]
        assert golds(done.path) == [[str(i)] for i in range(30)]
        assert done.manifest["complete"]
        assert not done.warnings

    def test_the_real_benchmarks(self, shared_data: Path, tmp_path: Path) -> None:
        done = run(",".join(BENCHMARKS), shared_data, tmp_path)
        assert {item.path.stem: item.manifest["rows"] for item in done} == {
            "aime24": 30, "amc": 83, "math500": 500, "minerva": 60, "olympiad_bench": 100,
        }  # fmt: skip
        assert [item.path.stem for item in done if not item.manifest["complete"]] == ["minerva", "olympiad_bench"]
        for item in done:
            assert validate_parquet(item.path).rows == item.manifest["rows"]
            assert hashlib.sha256(item.path.read_bytes()).hexdigest() == item.manifest["sha256"]
            assert read_manifest(item.path) == item.manifest
        assert ["25"] in golds(tmp_path / "aime24.parquet")  # 025 in the source
        assert golds(tmp_path / "amc.parquet")[0] == ["142"]  # 142.0
        assert golds(tmp_path / "minerva.parquet")[0] == ["9.6"]  # ["9.6\n"]
        with pytest.raises(SeedGrpoError, match="minerva has 60 rows, not 272"):
            run("minerva", shared_data, tmp_path, strict=True)

    def test_a_folder_laid_out_as_dr_grpo_does(self, tmp_path: Path) -> None:
        for folder in ("aime", "math"):
            pq.write_table(pa.Table.from_pylist(self.ROWS), _file(tmp_path / "suite" / folder / "data.parquet"))
        done = run("aime24,math500", tmp_path / "suite", tmp_path / "out")
        assert [item.manifest["rows"] for item in done] == [30, 30]

    def test_several_candidates_are_not_guessed_between(self, tmp_path: Path) -> None:
        for name in ("amc_first20.jsonl", "amc_last20.jsonl"):
            write_lines(tmp_path / name, self.ROWS)
        with pytest.raises(UsageError, match=r"amc_first20\.jsonl, amc_last20\.jsonl"):
            run("amc", tmp_path, tmp_path / "out")

    def test_one_data_set_is_not_taken_for_another(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "math_lvl3to5.jsonl", self.ROWS)
        with pytest.raises(SeedGrpoError, match="holds no source of math500"):
            run("math500,amc", tmp_path, tmp_path / "out")

    def test_a_byte_order_mark_and_windows_line_ends(self, tmp_path: Path) -> None:
        lines = "".join(json.dumps(row) + "\r\n" for row in self.ROWS)
        (tmp_path / "amc.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.encode())
        [done] = run("amc", tmp_path, tmp_path / "out")
        assert done.manifest["rows"] == 30

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("cut.parquet", b"PAR1 and then nothing", "not a whole parquet file"),
            ("cut.arrow", b"\xff\xff\xff\xff", "not a whole arrow file"),
            ("cut.json", b'[{"problem": ', "not JSON"),
            ("empty.jsonl", b"\n\n", "has no rows"),
            ("table.csv", b"problem,answer\n", "of an unknown kind"),
        ],
    )
    def test_unreadable_files(self, tmp_path: Path, name: str, content: bytes, message: str) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SeedGrpoError, match=message):
            run("amc", tmp_path / name, tmp_path / "out")
        assert not list((tmp_path / "out").glob("*.parquet"))

    def test_a_truncated_parquet_file(self, tmp_path: Path) -> None:
        pq.write_table(pa.Table.from_pylist(self.ROWS), tmp_path / "whole.parquet")
        (tmp_path / "cut.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-100])
        with pytest.raises(SeedGrpoError, match="not a whole parquet file"):
            run("amc", tmp_path / "cut.parquet", tmp_path / "out")

    def test_missing_source(self, tmp_path: Path) -> None:
        with pytest.raises(SeedGrpoError, match="does not exist"):
            run("amc", tmp_path / "nothing.jsonl", tmp_path / "out")

    def test_the_hub_needs_a_revision(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="No revision of math-ai/minervamath"):
            prepare(plan(["minerva"], []), tmp_path, Options())
        with pytest.raises(UsageError, match="No revision of somebody/else"):
            prepare(plan(["amc"], ["somebody/else"]), tmp_path, Options())

    def test_pinned_revisions_are_commits(self) -> None:
        for dataset in DATASETS.values():
            assert dataset.revision is None or (len(dataset.revision) == 40 and int(dataset.revision, 16))


class TestBadRows:
    GOOD = {"problem": "p", "answer": "1", "id": "a"}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b'{"problem": "q", "answer": "2"', "not JSON"),
            (b'{"problem": "q\xff", "answer": "2"}', "not UTF-8"),
            (b'{"problem": "\\ud800", "answer": "2"}', "not valid Unicode"),
            (b'["q", "2"]', "not an object"),
            (b"[" * 100_000, "not JSON"),
            (b'{"problem": "q", "answer": 1' + b"0" * 5_000 + b"}", "not JSON"),
            (b'{"problem": "q", "answer": ""}', "empty gold"),
            (b'{"problem": "q", "answer": " \\n"}', "empty gold"),
            (b'{"problem": "q", "answer": null}', "empty gold"),
            (b'{"problem": "q", "answer": NaN}', "empty gold"),
            (b'{"problem": "q", "answer": []}', "empty gold"),
            (b'{"problem": "q", "answer": ["1", ""]}', "empty gold"),
            (b'{"problem": "q", "answer": {"a": 1}}', "of the type dict"),
            (b'{"problem": "q", "answer": true}', "of the type bool"),
            (b'{"problem": "q", "answer": Infinity}', "infinite"),
            (b'{"problem": "q"}', "empty gold"),
            (b'{"problem": "  ", "answer": "2"}', "no problem"),
            (b'{"problem": 3, "answer": "2"}', "no problem"),
            (b'{"problem": "q", "answer": "2", "id": "a"}', "the id 'a' is already that of"),
        ],
    )
    def test_reported_with_file_and_row_and_left_out_when_asked(self, tmp_path: Path, line: bytes, reason: str) -> None:
        source = tmp_path / "amc.jsonl"
        source.write_bytes(json.dumps(self.GOOD).encode() + b"\n\n" + line + b"\n")
        with pytest.raises(SeedGrpoError, match=reason) as caught:
            run("amc", source, tmp_path / "out")
        assert f"{source}, line 3" in str(caught.value)
        assert not list((tmp_path / "out").glob("*.parquet"))
        [done] = run("amc", source, tmp_path / "out", skip_bad_rows=True)
        assert done.manifest["rows"] == 1
        assert done.manifest["left_out"]["bad_rows"] == 1
        assert any("1 bad rows" in warning for warning in done.warnings)

    def test_strings_of_a_parquet_file_that_are_not_utf8(self, tmp_path: Path) -> None:
        bad = pa.array([b"\xff\xfe", b"fine"]).view(pa.string())
        pq.write_table(pa.table({"problem": bad, "answer": ["1", "2"]}), tmp_path / "amc.parquet")
        with pytest.raises(SeedGrpoError, match="row 1: not UTF-8"):
            run("amc", tmp_path / "amc.parquet", tmp_path / "out")

    def test_nothing_left(self, tmp_path: Path) -> None:
        source = write_lines(tmp_path / "amc.jsonl", [{"problem": "p", "answer": ""}])
        with pytest.raises(SeedGrpoError, match=r"No row of .* is left"):
            run("amc", source, tmp_path / "out", skip_bad_rows=True)


class TestColumns:
    def test_the_hubs_math(self, tmp_path: Path) -> None:
        rows = [
            {"problem": "a", "level": "Level 3", "type": "Algebra", "solution": "so $x=\\boxed{\\frac{1}{2}}$."},
            {"problem": "b", "level": "Level 5", "type": "Geometry", "solution": "\\boxed{1}, or rather \\boxed{2}"},
            {"problem": "c", "level": "Level 2", "type": "Algebra", "solution": "\\boxed{3}"},
            {"problem": "d", "level": "Level ?", "type": "Algebra", "solution": "\\boxed{4}"},
        ]
        [done] = run("math_lvl3to5", write_lines(tmp_path / "math.jsonl", rows), tmp_path / "out")
        assert golds(done.path) == [["\\frac{1}{2}"], ["2"]]
        assert [(row["extra_info"]["level"], row["extra_info"]["subject"]) for row in read(done.path)] == [
            (3.0, "Algebra"), (5.0, "Geometry"),
        ]  # fmt: skip
        assert done.manifest["left_out"]["other_levels"] == 2
        assert not done.manifest["complete"]

    def test_a_solution_without_an_answer(self, tmp_path: Path) -> None:
        rows = [{"problem": "a", "level": 3, "solution": "it is 2"}]
        with pytest.raises(SeedGrpoError, match="without \\\\boxed"):
            run("math_lvl3to5", write_lines(tmp_path / "math.jsonl", rows), tmp_path / "out")

    def test_levels_need_a_column(self, tmp_path: Path) -> None:
        source = write_lines(tmp_path / "m.jsonl", [{"problem": "a", "answer": "2", "how_hard": "4"}])
        with pytest.raises(UsageError, match="--level-column"):
            run("math_lvl3to5", source, tmp_path / "out")
        [done] = run("math_lvl3to5", source, tmp_path / "out", columns={"level": "how_hard"})
        assert done.manifest["rows"] == 1

    @pytest.mark.parametrize(
        ("answer", "gold"),
        [
            ("6 * 7 = 42\n#### 42", "42"),
            ("#### 1,234,567", "1234567"),
            ("#### $ 1,200.50", "1200.50"),
            ("#### -7", "-7"),
        ],
    )
    def test_the_hubs_gsm8k(self, tmp_path: Path, answer: str, gold: str) -> None:
        source = write_lines(tmp_path / "g.jsonl", [{"question": "q", "answer": answer}])
        [done] = run("gsm8k", source, tmp_path / "out", split="train")
        assert done.path.name == "gsm8k_train.parquet"
        assert golds(done.path) == [[gold]]

    def test_a_mark_with_nothing_behind_it(self, tmp_path: Path) -> None:
        source = write_lines(tmp_path / "g.jsonl", [{"question": "q", "answer": "6 * 7\n####"}])
        with pytest.raises(SeedGrpoError, match="empty gold"):
            run("gsm8k", source, tmp_path / "out")

    def test_wrong_columns(self, tmp_path: Path) -> None:
        source = write_lines(tmp_path / "a.jsonl", [{"task": "p", "reply": "1"}])
        with pytest.raises(UsageError, match="no column with the problem; it has task, reply"):
            run("amc", source, tmp_path / "out")
        with pytest.raises(UsageError, match="no column with the answer"):
            run("amc", source, tmp_path / "out", columns={"problem": "task"})
        with pytest.raises(UsageError, match="no column 'x'; it has task, reply"):
            run("amc", source, tmp_path / "out", columns={"problem": "x"})
        [done] = run("amc", source, tmp_path / "out", columns={"problem": "task", "answer": "reply"})
        assert golds(done.path) == [["1"]]

    @pytest.mark.parametrize(
        ("raw", "gold"),
        [("025", "25"), ("142.0", "142"), ("$x^2$", "x^2"), ("$69$,$84$", "$69$,$84$"), ("9.6\n", "9.6"), ("0", "0"),
         ("000", "0"), ("0.50", "0.50"), ("-007", "-7"), ("1,234", "1,234"), ("$", "$"), ("$5", "$5")],
    )  # fmt: skip
    def test_golds(self, raw: str, gold: str) -> None:
        assert normalize_gold(raw) == gold


class TestOverlap:
    def test_rows_of_a_benchmark_are_dropped_and_counted(self, tmp_path: Path) -> None:
        tests = [{"problem": "Find $x$ if  $2x = \\dfrac{1}{2}$.", "answer": "1"}, {"problem": "Same", "answer": "2"}]
        training = [
            {"problem": "Same", "answer": "2", "level": 3},
            {"problem": "find $x$\nif $2x=\\frac{1}{2}$", "answer": "1", "level": 3},
            {"problem": "Find $x$ if $3x = \\frac{1}{2}$.", "answer": "1/6", "level": 3},
        ]
        sources = [write_lines(tmp_path / f"{i}.jsonl", rows) for i, rows in enumerate([training, tests])]
        done = {item.manifest["dataset"]: item for item in run("math_lvl3to5,amc", sources, tmp_path / "out")}
        manifest = done["math_lvl3to5"].manifest
        assert manifest["left_out"]["overlap_exact"] == 1
        assert manifest["left_out"]["overlap_normalized"] == 1
        assert manifest["compared_with"] == {"amc": 2}
        assert [item["benchmark"] for item in manifest["overlap"]] == ["amc", "amc"]
        assert [row["extra_info"]["problem"] for row in read(done["math_lvl3to5"].path)] == [training[2]["problem"]]

        # Another folder that holds no test set: said aloud, and mended by --against.
        requests = plan(["math_lvl3to5"], [str(sources[0])])
        [alone] = prepare(requests, tmp_path / "alone", Options())
        assert any("compared with no test set" in warning for warning in alone.warnings)
        [against] = prepare(requests, tmp_path / "alone", Options(), against=[tmp_path / "out"])
        assert against.manifest["rows"] == 1

    def test_different_problems_stay_different(self) -> None:
        texts = ["$x+1$", "$x-1$", "$x_1$", "$x^1$", "x1", "Find x", "Find y", "1.5", "15"]
        assert len({normalize_problem(text) for text in texts}) == len(texts)

    def test_math500_itself(self, shared_data: Path, tmp_path: Path) -> None:
        """MATH500 given as training data is dropped as a whole: every row stands in the benchmark."""
        run("math500", shared_data / "math500.jsonl", tmp_path)
        with pytest.raises(SeedGrpoError, match=r"No row of .* is left"):
            run("math_lvl3to5", shared_data / "math500.jsonl", tmp_path)


class TestCommand:
    runner = CliRunner()

    def test_the_issue_s_command(self, shared_data: Path, tmp_path: Path) -> None:
        arguments = ["--dataset", "aime24", "--source", str(shared_data / "aime24.jsonl"), "--template", "qwen_math"]
        done = self.runner.invoke(app, ["data", "prepare", *arguments, "--out", str(tmp_path)])
        assert done.exit_code == 0, done.output
        [row, *_] = read(tmp_path / "aime24.parquet")
        assert row["prompt"][0]["content"] == get_template("qwen_math").text(row["extra_info"]["problem"])
        assert row["extra_info"]["id"] == "aime24/test/0"

    def test_arithmetic(self, tmp_path: Path) -> None:
        done = self.runner.invoke(
            app, ["data", "prepare", "-d", "arithmetic", "--template", "none", "--out", str(tmp_path)]
        )
        assert done.exit_code == 0, done.output
        assert validate_parquet(tmp_path / "arithmetic_train.parquet").rows == SPLITS["train"]
        assert validate_parquet(tmp_path / "arithmetic_test.parquet").rows == SPLITS["test"]
        assert read_manifest(tmp_path / "arithmetic_train.parquet")["left_out"]["overlap_exact"] == 0

    def test_preparing_twice_gives_the_same_bytes(self, shared_data: Path, tmp_path: Path) -> None:
        for folder in ("a", "b"):
            run("amc", shared_data, tmp_path / folder)
        assert (tmp_path / "a/amc.parquet").read_bytes() == (tmp_path / "b/amc.parquet").read_bytes()

    @pytest.mark.parametrize(
        "arguments",
        [
            ["-d", "nothing"],
            ["-d", "amc", "--split", "train"],
            ["-d", "amc,aime24", "--source", "/tmp/one.jsonl"],
            ["-d", "amc,aime24", "--revision", "0" * 40],
            ["-d", "amc", "--template", "chatml"],
            ["-d", "aime24", "--source", "FILE", "--template", "r1", "--prompt-format", "messages"],
        ],
    )
    def test_wrong_usage(self, tmp_path: Path, arguments: list[str]) -> None:
        source = write_lines(tmp_path / "a.jsonl", [{"problem": "p", "answer": "1"}])
        arguments = [str(source) if argument == "FILE" else argument for argument in arguments]
        done = self.runner.invoke(app, ["data", "prepare", *arguments, "--out", str(tmp_path / "out")])
        assert isinstance(done.exception, UsageError)

    def test_list(self) -> None:
        done = self.runner.invoke(app, ["data", "list"])
        assert done.exit_code == 0
        for dataset in DATASETS.values():
            assert dataset.name in done.output
            assert (dataset.revision or "") in done.output

    def test_a_new_data_set_is_one_declaration(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        new = Dataset("olympics", {TEST: exactly(2)}, aliases=("oly",), columns={"problem": "task"})
        monkeypatch.setitem(DATASETS, new.name, new)
        source = write_lines(tmp_path / "oly.jsonl", [{"task": f"{i}+{i}?", "answer": 2 * i} for i in range(2)])
        done = self.runner.invoke(
            app, ["data", "prepare", "-d", "oly", "--source", str(tmp_path), "--out", str(tmp_path / "out"), "--strict"]
        )
        assert done.exit_code == 0, done.output
        assert golds(tmp_path / "out/olympics.parquet") == [["0"], ["2"]]
        assert "olympics" in self.runner.invoke(app, ["data", "list"]).output
        with pytest.raises(UsageError, match="no column 'problem'"):
            run("oly", source, tmp_path / "named", columns={"problem": "problem"})

    def test_names(self) -> None:
        assert get_dataset("math_train") is DATASETS["math_lvl3to5"]
        with pytest.raises(UsageError, match="choose among"):
            get_dataset("math")


@pytest.mark.slow
def test_verl_reads_it(tmp_path: Path, shared_data: Path) -> None:
    """verl's own data set gives the template's bytes to the model, from files of different data sets joined."""
    pytest.importorskip("verl")
    from omegaconf import OmegaConf
    from verl.utils.dataset.rl_dataset import RLHFDataset

    from seed_grpo.quickstart.model import build_tokenizer

    done = run("amc,gsm8k", shared_data, tmp_path)
    done += prepare(plan(["arithmetic"], []), tmp_path, Options())
    tokenizer = build_tokenizer()
    tokenizer.chat_template = PASS_THROUGH
    config = OmegaConf.create({"max_prompt_length": 4096, "filter_overlong_prompts": False, "cache_dir": str(tmp_path)})
    rows = RLHFDataset([str(item.path) for item in done], tokenizer, config)
    assert len(rows) == 83 + 8792 + SPLITS["test"] + SPLITS["train"]
    first = rows[0]
    assert tokenizer.apply_chat_template(first["raw_prompt"], tokenize=False) == get_template("qwen_math").text(
        first["extra_info"]["problem"]
    )
    assert first["reward_model"]["ground_truth"] == ["142"]


def _file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


class TestHoldOut:
    """A test set of a file that names no split."""

    def rows(self, count: int) -> list[dict[str, Any]]:
        return [{"problem": f"What is {index} + {index}?", "answer": str(2 * index)} for index in range(count)]

    def test_the_two_files_share_nothing_and_lose_nothing(self, tmp_path: Path) -> None:
        source = write_lines(tmp_path / "all.jsonl", self.rows(50))
        held, rest = run("gsm8k", source, tmp_path / "out", hold_out=8)
        assert (held.path.name, rest.path.name) == ("gsm8k_test.parquet", "gsm8k_train.parquet")
        problems = [{row["extra_info"]["problem"] for row in read(part.path)} for part in (held, rest)]
        assert [len(each) for each in problems] == [8, 42]
        assert problems[0] | problems[1] == {row["problem"] for row in self.rows(50)}
        assert [part.manifest["test"] for part in (held, rest)] == [True, False]
        assert held.manifest["held_out_here"]
        assert rest.manifest["compared_with"] == {"gsm8k_test": 8}
        assert held.warnings == rest.warnings == []

    def test_the_order_of_the_source_does_not_matter(self, tmp_path: Path) -> None:
        rows = self.rows(50)
        held = []
        for number, each in enumerate((rows, rows[::-1])):
            source = write_lines(tmp_path / f"{number}.jsonl", each)
            path = run("gsm8k", source, tmp_path / f"out{number}", hold_out=8)[0].path
            held.append({row["extra_info"]["problem"] for row in read(path)})
        assert held[0] == held[1]
        assert held[0] != {row["problem"] for row in rows[:8]}, "these are just the first"

    def test_a_problem_twice_is_not_on_both_sides(self, tmp_path: Path) -> None:
        source = write_lines(tmp_path / "all.jsonl", self.rows(10) * 2)
        held, rest = run("gsm8k", source, tmp_path / "out", hold_out=5)
        problems = [{row["extra_info"]["problem"] for row in read(part.path)} for part in (held, rest)]
        assert not problems[0] & problems[1]

    def test_what_cannot_be_held_out(self, tmp_path: Path) -> None:
        source = write_lines(tmp_path / "all.jsonl", self.rows(5))
        with pytest.raises(UsageError, match="leaves nothing of the 5 problems"):
            run("gsm8k", source, tmp_path / "out", hold_out=5)
        with pytest.raises(UsageError, match="is a split already"):
            run("gsm8k", source, tmp_path / "out", split="test", hold_out=2)
        with pytest.raises(UsageError, match="--hold-out is 0"):
            run("gsm8k", source, tmp_path / "out", hold_out=0)
