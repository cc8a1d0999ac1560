"""Reports of damaged and foreign files: what can be read is, and the rest is one line with cause and remedy."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from studies import make_study, write_run, write_study_folder
from test_report import make_evaluation, make_run

from seed_grpo.ablation.report import as_json, as_report, write_results
from seed_grpo.ablation.results import collect as collect_study
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.report.build import collect, to_html, to_markdown, write_report
from seed_grpo.runs.records import read_lines

HOSTILE: list[Any] = [
    1e300, -1e300, 1e308, 10**400, float("nan"), float("inf"), -1, 0.5, 2**60, True, None, "", "x", "\ud800", [], [1],
    [[]], [None], {}, {"a": 1},
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_run(folder / "run")
    make_evaluation(folder / "evaluation", ["amc", "minerva"])
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(made, tmp_path / "made")
    return tmp_path / "made"


def change_line(path: Path, number: int, change: Callable[[dict[str, Any]], Any]) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    record = json.loads(lines[number])
    changed = change(record)
    lines[number] = json.dumps(record if changed is None else changed)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def told(path: Path) -> str:
    """The error of a report on a folder, which has to name it and a remedy."""
    with pytest.raises(SeedGrpoError) as caught:
        collect([path], "t")
    assert str(path) in caught.value.cause
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return caught.value.cause


# ---- tolerated -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["metrics.jsonl", "prompts.jsonl", "summary.json"])
def test_a_byte_order_mark(name: str, folder: Path) -> None:
    path = folder / "run" / name
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert "25.0" in to_markdown(collect([folder / "run"], "t"))


def test_blank_lines_and_windows_ends_of_lines(folder: Path) -> None:
    for name in ("metrics.jsonl", "prompts.jsonl"):
        path = folder / "run" / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n\r\n"))
    assert "25.0" in to_markdown(collect([folder / "run"], "t"))


def test_a_last_line_that_was_cut_within_a_character(folder: Path) -> None:
    path = folder / "run" / "prompts.jsonl"
    whole = list(read_lines(path))
    path.write_bytes(path.read_bytes() + '{"prompt": "é'.encode()[:-1])
    assert list(read_lines(path)) == whole


def test_prompts_of_every_type_and_lone_surrogates(folder: Path) -> None:
    path = folder / "run" / "prompts.jsonl"
    prompts = [None, "", "text \ud800", [{"role": "user", "content": "What?"}], {"a": 1}, 7, True]
    lines = len(path.read_text().splitlines())
    for number in range(lines):
        prompt = prompts[number % len(prompts)]
        change_line(path, number, lambda record, it=prompt: record.update(prompt=it, uid=it, gold=it))
    [page, text] = write_report([folder / "run"], folder / "report", title="\ud800")
    assert "What?" in page.read_text(encoding="utf-8")
    assert "What?" in text.read_text(encoding="utf-8")


def test_a_folder_whose_name_is_not_text(folder: Path) -> None:
    strange = Path(os.fsdecode(os.fsencode(folder) + b"/\xff<b>$x$"))
    (folder / "run").rename(strange)
    make_run(folder / "other")
    pages = write_report([strange, folder / "other"], folder / "report")
    assert all(page.is_file() for page in pages)


# ---- refused -------------------------------------------------------------------------------------------------------

LINES: dict[str, tuple[str, Callable[[dict[str, Any]], Any], str]] = {
    "a step that is none": ("metrics", lambda record: record.update(step=1e300), "step is 1e+300"),
    "half a step": ("metrics", lambda record: record.update(step=1.5), "step is 1.5"),
    "a step before the first": ("prompts", lambda record: record.update(step=-3), "step is -3"),
    "a step too large": ("prompts", lambda record: record.update(step=2**60), "not the number of a step"),
    "no step": ("metrics", lambda record: record.pop("step") and None, "'step' is None"),
    "a step that is true": ("metrics", lambda record: record.update(step=True), "'step' is True"),
    "a metric that is text": ("metrics", lambda record: record.update({"seed_grpo/weight": "1"}), "weight' is '1'"),
    "a metric beyond all numbers": ("metrics", lambda record: record.update({"a": 10**400}), "'a' is 1000000"),
    "a metric that is not a number": ("metrics", lambda record: record.update({"a": float("nan")}), "'a' is nan"),
    "a list": ("metrics", lambda record: [record], "line 3 is not a JSON object"),
    "an entropy that is text": ("prompts", lambda record: record.update(entropy="high"), "'entropy' is 'high'"),
    "no weight": ("prompts", lambda record: record.pop("weight") and None, "'weight' is None"),
    "fewer rewards": (
        "prompts",
        lambda record: record.update(rewards=record["rewards"][1:]),
        "not lists of one length",
    ),
    "no responses": ("prompts", lambda record: record.update(answers=[], rewards=[], cluster_ids=[]), "not lists"),
    "an answer that is a number": ("prompts", lambda record: record["answers"].__setitem__(0, 5), "an answer is 5"),
    "a reward that is text": ("prompts", lambda record: record["rewards"].__setitem__(0, "1"), "'rewards' is '1'"),
}


@pytest.mark.parametrize("case", LINES)
def test_a_line_that_is_not_a_record_of_ours(case: str, folder: Path) -> None:
    name, change, said = LINES[case]
    path = folder / "run" / f"{name}.jsonl"
    change_line(path, 2, change)
    cause = told(folder / "run")
    assert said in cause
    assert str(path) in cause


@pytest.mark.parametrize(("name", "line"), [("metrics.jsonl", 2), ("prompts.jsonl", 1)])
def test_a_byte_that_is_not_utf_8(name: str, line: int, folder: Path) -> None:
    path = folder / "run" / name
    lines = path.read_bytes().split(b"\n")
    lines[line - 1] = lines[line - 1].replace(b"{", b'{"note": "\xe9", ', 1)
    path.write_bytes(b"\n".join(lines))
    assert f"{name}, line {line} is not UTF-8" in told(folder / "run")


@pytest.mark.parametrize("name", ["summary.json", "results.json"])
@pytest.mark.parametrize("content", [b'{"a": "\xe9"}', b"{", b"[]", b"[" * 100_000])
def test_a_file_that_is_not_an_object(name: str, content: bytes, folder: Path) -> None:
    parent = folder / ("run" if name == "summary.json" else "evaluation")
    (parent / name).write_bytes(content)
    assert name in told(parent)


def test_the_folder_with_the_damage_is_named_among_others(folder: Path) -> None:
    summary = folder / "run" / "summary.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), "entropy": "high"}))
    with pytest.raises(SeedGrpoError) as caught:
        collect([folder / "evaluation", folder / "run"], "t")
    assert str(folder / "run") in caught.value.cause
    assert str(folder / "evaluation") not in caught.value.cause


@pytest.mark.parametrize("name", ["file", "file/out", "/proc/report"])
def test_a_folder_that_cannot_be_written(name: str, folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(UsageError) as caught:
        write_report([folder / "run"], folder / name)
    assert str(folder / name) in caught.value.cause
    assert caught.value.remedy == "choose another --out."


# ---- anything ------------------------------------------------------------------------------------------------------


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where a value can be replaced."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, child in inside for place in places(child, (*path, key)))]


def replaced(node: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[place[0]] = replaced(node[place[0]], place[1:], value)
    return copy


def damage(path: Path, draw: random.Random) -> None:
    """Put something else in the place of one value."""
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        place = draw.choice(places(content))
        path.write_text(json.dumps(replaced(content, place, draw.choice(HOSTILE))), encoding="utf-8")
    else:
        number = draw.randrange(len(path.read_text(encoding="utf-8").splitlines()))

        def change(record: dict[str, Any]) -> Any:
            return replaced(record, draw.choice(places(record)[1:]), draw.choice(HOSTILE))

        change_line(path, number, change)


FILES = ["run/metrics.jsonl", "run/prompts.jsonl", "run/summary.json", "evaluation/results.json",
         "evaluation/problems.jsonl"]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", FILES)
def test_whatever_stands_in_a_file_the_error_is_ours(name: str, seed: int, folder: Path) -> None:
    draw = random.Random(f"{name} {seed}")
    for _ in range(3):
        damage(folder / name, draw)
    try:
        report = collect([(folder / name).parent], "t")
    except (SeedGrpoError, UsageError) as error:
        assert str(folder) in str(error)  # noqa: PT017
        return
    to_html(report).encode("utf-8", "replace")
    to_markdown(report).encode("utf-8", "replace")


def test_a_failure_whose_cause_is_not_text(tmp_path: Path) -> None:
    study = make_study(("dr_grpo", "alpha_0.5"), seeds=(1, 2))
    write_study_folder(tmp_path, study, steps=4, test_freq=2, prompts=4, skip=[("alpha_0.5", 2)])
    failed = tmp_path / "runs" / "alpha_0.5" / "seed_2" / "failed.json"
    failed.parent.mkdir(parents=True)
    failed.write_text(json.dumps({"cause": "no \ud800 space"}), encoding="utf-8")
    write_results(tmp_path, study)
    for name in ("results.md", "results.csv", "results.json"):
        assert "no ? space" in (tmp_path / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("seed", range(6))
def test_whatever_stands_in_a_studys_runs_it_has_results(seed: int, tmp_path: Path) -> None:
    """One damaged run takes no other with it."""
    study = make_study(("dr_grpo", "alpha_0.5"), seeds=(1, 2, 3))
    write_study_folder(tmp_path, study, steps=4, test_freq=2, prompts=4, skip=[("alpha_0.5", 2)])
    run = tmp_path / "runs" / "alpha_0.5" / "seed_2"
    write_run(run, "alpha_0.5", 2, tmp_path / "base" / "test.parquet", 4, 2, 4)
    draw = random.Random(seed)
    for name in ("metrics.jsonl", "prompts.jsonl", "summary.json"):
        damage(run / name, draw)
    results = collect_study(tmp_path, study)
    to_markdown(as_report(results, [])).encode("utf-8", "replace")
    json.dumps(as_json(results))
    assert {state.state for state in results.runs if state.folder != run} == {"done"}
