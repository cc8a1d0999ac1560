"""The report: what it says, that hostile text stays text, and that the page needs nothing but itself."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from seed_grpo.cli import app
from seed_grpo.data.registry import BENCHMARKS
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.evaluation.backends import Completion
from seed_grpo.evaluation.problems import Benchmark, Problem, PromptForm
from seed_grpo.evaluation.responses import GREEDY, Key
from seed_grpo.evaluation.settings import Settings
from seed_grpo.evaluation.summarize import summarize
from seed_grpo.evaluation.task import Task
from seed_grpo.meaning.by_answer import ByAnswer
from seed_grpo.meaning.protocol import Sample
from seed_grpo.measuring import measure_responses
from seed_grpo.method.settings import MethodSettings
from seed_grpo.report.build import collect, to_html, to_markdown, write_report
from seed_grpo.report.paper import paper_data, paper_rows
from seed_grpo.runs.records import RunRecords

HOSTILE = [
    "<script>fetch('http://127.0.0.1:{port}/script')</script>",
    "<img src='http://127.0.0.1:{port}/image' onerror='fetch(\"http://127.0.0.1:{port}/error\")'>",
    "</code></li></ul><link rel=stylesheet href='http://127.0.0.1:{port}/style'>",
    "<style>@import url(http://127.0.0.1:{port}/import)</style>",
    "](http://127.0.0.1:{port}) ![x](http://127.0.0.1:{port}/markdown) `` ` ```",
    "| pipe | \n\n# heading",
    "{{ 7 * 7 }} {% raw %}",
    "\ud800 \u202e \x00 \x1b[31m",
    "-->",
    "9" * 10_000,
]


def make_evaluation(
    folder: Path, names: list[str], texts: list[str] | None = None, seeds: tuple[int, ...] = (0, 1)
) -> None:
    """Write what an evaluation of a made-up model leaves, with our own summary of its responses."""
    generator = np.random.default_rng(len(names))
    benchmarks = [
        Benchmark(
            name,
            tuple(
                Problem(f"{name}/{i}", f"What is {i}? {texts[i % len(texts)] if texts else ''}", (str(i),), [])
                for i in range(12)
            ),
            PromptForm("none"),
            {"file": f"{name}.parquet", "sha256": "0" * 64, "rows": 12, "expected_rows": "30"},
        )
        for name in names
    ]
    settings = Settings(identity={"model": "a/model", "backend": "hf"}, k=8, seeds=seeds)
    have = {}
    for benchmark in benchmarks:
        for i, problem in enumerate(benchmark.problems):
            for seed, sample in [(0, GREEDY), *((seed, k) for seed in seeds for k in range(8))]:
                answer = str(i) if generator.random() < 1 - i / 14 else str(generator.integers(100))
                if texts and sample == 3:
                    answer = texts[i % len(texts)]
                have[Key(benchmark.name, problem.id, seed, sample)] = Completion(f"\\boxed{{{answer}}}", False, 7, -1.0)
    task = Task(settings, tuple(benchmarks))
    summary = summarize(task, have)
    folder.mkdir(parents=True)
    results = {
        **summary.numbers,
        "settings": task.described(),
        "backend": {"versions": {"torch": "2"}},
        "wall_seconds": 3.0,
    }
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "problems.jsonl").write_text("".join(json.dumps(record) + "\n" for record in summary.problems))


def make_run(folder: Path, estimator: str = "seed_grpo", texts: list[str] | None = None, k: int = 1) -> None:
    """Write what a training run leaves."""
    generator = np.random.default_rng(0)
    records = RunRecords(folder)
    for step in range(1, 11):
        answers = [
            (texts[i] if texts and i < len(texts) and step == 10 else str(generator.integers(4))) for i in range(32)
        ]
        batch = measure_responses(
            [f"u{i // 8}" for i in range(32)],
            [Sample(None, answer) for answer in answers],
            [float(answer == "1") for answer in answers],
            ByAnswer("exact"),
            MethodSettings(),
        )
        records.write_prompts(step, batch.records())
        validation = {"val/accuracy": step / 20} if step % 5 == 0 else {}
        if validation and k > 1:
            validation |= {"val/pass@1": step / 20, f"val/pass@{k}": 0.9, "val/distinct_right": step / 5}
        records.write_step(step, {**batch.metrics(), **validation})
    summary: dict[str, Any] = {
        "adv_estimator": estimator, "method": {"alpha": 0.02, "form": "linear"}, "group_size": 8, "seed": 1,
        "steps": 10, "base_accuracy": 0.25, "final_accuracy": 0.5, "entropy": 1.0, "weight": 0.99, "mixed_share": 0.8,
        "training_seconds": 9.0,
    }  # fmt: skip
    if k > 1:
        summary["base_sampled"] = {"pass@1": 0.25, f"pass@{k}": 0.95, "distinct_right": 1.25}
        summary["final_sampled"] = {"pass@1": 0.5, f"pass@{k}": 0.9, "distinct_right": 2.0, "entropy_right": 0.5}
    (folder / "summary.json").write_text(json.dumps(summary))


class _Page(HTMLParser):
    """The tags, attributes and cells of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("report")
    make_evaluation(root / "ours", list(BENCHMARKS))
    make_evaluation(root / "part", ["aime24", "arithmetic"])
    make_run(root / "seed")
    make_run(root / "grpo", "grpo")
    return {path.name: path for path in root.iterdir()}


class TestPaper:
    """The data file against the paper's own arithmetic."""

    def test_averages_agree_with_their_rows_or_are_flagged(self) -> None:
        for table in (each["table"] for each in paper_data()["tables"]):
            for row in paper_rows(table):
                values = [value for value in row.values.values() if value is not None]
                if len(values) < 5 or row.average is None:
                    continue
                agrees = abs(np.mean(values) - row.average) < 0.06
                assert agrees or row.flags, row
                assert not agrees or "mean" not in " ".join(row.flags.values()), row

    def test_known_misprints_are_flagged_and_not_corrected(self) -> None:
        rows = {(row.label, row.size): row for row in paper_rows("2")}
        base = rows["Qwen2.5-Math-base", "7B"]
        assert base.values["aime24"] == 0.2
        assert "20.0" in base.flags["aime24"]
        three = rows["SEED-GRPO (Linear, α=0.02), 3 runs", "7B"]
        assert (three.average, three.std["average"]) == (54.73, 2.0)
        assert "54.08" in three.flags["average"]
        assert round(float(np.mean(list(three.values.values()))), 2) == 54.08  # type: ignore[arg-type]
        distilled = {row.label: row for row in paper_rows("4(e)")}["R1-Distill 7B: base"]
        assert "37.46" in distilled.flags["average"]
        assert round(float(np.mean(list(distilled.values.values()))), 2) == 37.46  # type: ignore[arg-type]

    def test_headline_numbers(self) -> None:
        """The abstract's: AIME24 56.7, AMC 68.7, MATH 83.4, Minerva 34.2, OlympiadBench 48.0."""
        best = next(row for row in paper_rows("2") if "G=16" in row.label)
        assert list(best.values.values()) == [56.7, 68.7, 83.4, 34.2, 48.0]
        assert best.average == 58.2

    def test_every_row_names_its_columns(self) -> None:
        assert [table["table"] for table in paper_data()["tables"]] == [
            "2",
            "3",
            "4(a)",
            "4(b)",
            "4(c)",
            "4(d)",
            "4(e)",
        ]
        for table in paper_data()["tables"]:
            for row in paper_rows(table["table"]):
                assert list(row.values) == list(BENCHMARKS)


class TestPage:
    def test_the_main_table(self, folders: dict[str, Path]) -> None:
        page = _Page(to_html(collect([folders["ours"], folders["part"]], "t")))
        assert page.rows[0] == ["", "AIME24", "AMC", "MATH", "MIN.", "OLY.", "arithmetic", "Avg."]
        results = json.loads((folders["part"] / "results.json").read_text())
        ours, part = page.rows[1], page.rows[2]
        assert ours[0] == "ours"
        whole = json.loads((folders["ours"] / "results.json").read_text())
        assert ours[6:] == ["–", f"{100 * whole['average']:.1f}"], "the average is that of the paper's five columns"
        assert part[-1] == "–", "no average over some of them"
        assert part[1].startswith(f"{100 * results['benchmarks']['aime24']['pass_at_1']:.1f} (")
        quoted = [row for row in page.rows if row and row[0].endswith("quoted")]
        assert [
            "SEED-GRPO (Linear, α=0.02, G=16) 7Bquoted",
            "56.7",
            "68.7",
            "83.4",
            "34.2",
            "48.0",
            "–",
            "58.2",
        ] in quoted
        assert quoted[1][1] == "0.2 [1]", "the misprint as printed, with its mark"

    def test_an_average_where_every_column_is_there(self, folders: dict[str, Path]) -> None:
        page = _Page(to_html(collect([folders["ours"]], "t")))
        results = json.loads((folders["ours"] / "results.json").read_text())
        assert page.rows[1][-1] == f"{100 * results['average']:.1f}"

    def test_numbers_of_the_uncertainty(self, folders: dict[str, Path]) -> None:
        text = to_html(collect([folders["ours"]], "t"))
        found = json.loads((folders["ours"] / "results.json").read_text())["uncertainty"]
        assert f"{found['rao_blackwell']['auroc']:.3f} (" in text
        assert f"{100 * found['adaptive_sampling']['gain']:+.1f} points" in text
        assert text.count("<svg") == 2

    def test_validations_with_several_samples_have_a_table(self, folders: dict[str, Path], tmp_path: Path) -> None:
        make_run(tmp_path / "several", k=8)
        [section] = [each for each in collect([folders["seed"], tmp_path / "several"], "t").sections
                     if each.title == "Training runs"]  # fmt: skip
        runs, several = section.tables
        assert len(runs.rows) == 2
        assert [row.cells for row in several.rows] == [
            ["several", "8", "25.0 → 50.0", "95.0 → 90.0", "1.25 → 2.00", "– → 0.50"]
        ]
        svg = section.figures[0].svg
        assert "pass@8" in svg
        assert "Distinct right answers" in svg

    def test_runs(self, folders: dict[str, Path]) -> None:
        report = collect([folders["seed"], folders["grpo"]], "t")
        text = to_html(report)
        assert text.count("<svg") == 2
        rows = _Page(text).rows
        assert [
            "seed",
            "seed_grpo",
            "0.02",
            "linear",
            "8",
            "1",
            "10",
            "25.0",
            "50.0",
            "1.000",
            "0.9900",
            "80.0",
            "9 s",
        ] in rows
        assert any(row[:4] == ["grpo", "grpo", "–", "–"] for row in rows), "a baseline has no α and no f"
        assert "Pass@1" not in [section.title for section in report.sections]

    def test_a_run_that_has_not_ended(self, folders: dict[str, Path], tmp_path: Path) -> None:
        shutil.copytree(folders["seed"], tmp_path / "young")
        (tmp_path / "young/summary.json").unlink()
        assert "has not ended" in to_html(collect([tmp_path / "young"], "t"))

    def test_greedy_only(self, tmp_path: Path) -> None:
        make_evaluation(tmp_path / "e", ["amc"])
        results = json.loads((tmp_path / "e/results.json").read_text())
        for name in ("uncertainty", "averages"):
            del results[name]
        results["settings"]["samples"] = 0
        (tmp_path / "e/results.json").write_text(json.dumps(results))
        (tmp_path / "e/problems.jsonl").unlink()
        assert "<svg" not in to_html(collect([tmp_path / "e"], "t"))

    def test_a_folder_of_folders_and_files(self, folders: dict[str, Path]) -> None:
        root = folders["ours"].parent
        assert collect([root], "t").subtitle == "2 evaluations and 2 training runs."
        assert collect([folders["ours"] / "results.json", folders["ours"]], "t").subtitle.startswith(
            "1 evaluation and 0"
        )

    def test_twice_the_same_bytes(self, folders: dict[str, Path], tmp_path: Path) -> None:
        for name in "ab":
            write_report(list(folders.values()), tmp_path / name)
        for file in ("report.html", "report.md"):
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()

    def test_ids_are_unique_and_found(self, folders: dict[str, Path]) -> None:
        page = _Page(to_html(collect(list(folders.values()), "t")))
        ids = [value for name, value in page.attributes if name == "id"]
        used = [value for name, value in page.attributes if name in ("xlink:href", "href")]
        assert len(ids) == len(set(ids))
        assert {value.removeprefix("#") for value in used if value} <= set(ids)


class TestMarkdown:
    def test_tables_are_whole(self, folders: dict[str, Path], tmp_path: Path) -> None:
        write_report(list(folders.values()), tmp_path)
        text = (tmp_path / "report.md").read_text()
        for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
            cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(cells) == 1
        assert "(quoted)" in text
        for picture in re.findall(r"\]\((figures/[^)]+)\)", text):
            assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")

    def test_hostile_text_is_only_text(self, tmp_path: Path) -> None:
        markdown_it = pytest.importorskip("markdown_it")
        texts = [text.replace("{port}", "1") for text in HOSTILE]
        make_evaluation(tmp_path / "e", ["amc"], texts)
        html = markdown_it.MarkdownIt("commonmark").enable("table").render(to_markdown(collect([tmp_path / "e"], "t")))
        page = _Page(html)
        assert not {"script", "link", "style"} & set(page.tags)
        assert all(value and value.startswith("figures/") for name, value in page.attributes if name in ("src", "href"))
        assert page.tags.count("h1") == 1


class TestMisuse:
    def test_paths_that_are_neither(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="does not exist"):
            collect([tmp_path / "nothing"], "t")
        with pytest.raises(UsageError, match="neither a run nor an evaluation"):
            collect([tmp_path], "t")

    @pytest.mark.parametrize("content", ["{", "[]", "{}", '{"benchmarks": {}}'])
    def test_damaged_results(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "results.json").write_text(content)
        with pytest.raises(SeedGrpoError):
            collect([tmp_path], "t")

    def test_command(self, folders: dict[str, Path], tmp_path: Path) -> None:
        done = CliRunner().invoke(
            app, ["report", str(folders["seed"]), "--out", str(tmp_path / "r"), "--title", "A <b>"]
        )
        assert done.exit_code == 0, done.output
        assert "<title>A &lt;b&gt;</title>" in (tmp_path / "r/report.html").read_text()


@pytest.mark.slow
def test_chromium_opens_the_page_and_asks_for_nothing(tmp_path: Path) -> None:
    """The page, full of hostile text, in a real browser: no request leaves it, no script runs, and it is not blank."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here (apt-get install chromium)")
    asked: list[str] = []

    class Trap(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    trap = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Trap)
    threading.Thread(target=trap.serve_forever, daemon=True).start()
    try:
        texts = [text.replace("{port}", str(trap.server_port)) for text in HOSTILE]
        make_evaluation(tmp_path / "evaluation", ["amc", "minerva"], texts)
        make_run(tmp_path / "run", texts=texts)
        page, _ = write_report([tmp_path / "evaluation", tmp_path / "run"], tmp_path / "report", title=texts[0])

        def open_page(path: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                 "--window-size=1300,3000",
                 "--disable-background-networking", "--no-first-run", f"--user-data-dir={tmp_path / name}",
                 f"--log-net-log={tmp_path / name}.json", *arguments, path.as_uri()],
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip

        # The trap works: a page that does ask is caught.
        bait = tmp_path / "bait.html"
        bait.write_text(f"<img src='http://127.0.0.1:{trap.server_port}/bait'>")
        open_page(bait, "bait", "--dump-dom")
        assert asked == ["/bait"]

        shot = tmp_path / "page.png"
        done = open_page(page, "page", f"--screenshot={shot}")
        assert done.returncode == 0, done.stderr[-2000:]
        assert asked == ["/bait"]
        urls = re.findall(r'"url":"(https?://[^"]+)"', (tmp_path / "page.json").read_text(errors="replace"))
        assert [url for url in urls if "127.0.0.1" in url] == []
        dom = open_page(page, "dom", "--dump-dom").stdout
        tags = set(_Page(dom).tags)
        assert not {"script", "img", "link", "iframe", "object"} & tags
        assert "svg" in tags
    finally:
        trap.shutdown()
        trap.server_close()
    import matplotlib.image

    pixels = matplotlib.image.imread(shot)
    assert pixels.shape[:2] == (3000, 1300)
    assert 0.01 < (pixels[..., :3].mean(axis=-1) < 0.9).mean() < 0.8, "text and curves on a background"
