"""What is written of a study: whole, in part, and damaged."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studies import ARMS, PROBLEMS, make_study, write_run, write_study_folder

from seed_grpo.ablation.paper import TABLES, paper_row
from seed_grpo.ablation.report import as_json, as_report, write_results
from seed_grpo.ablation.results import collect
from seed_grpo.ablation.study import Study, find_study, read_study, shipped_studies, write_study
from seed_grpo.report.build import to_markdown
from seed_grpo.report.load import load
from seed_grpo.runs.names import STUDY

FOUR = ("dr_grpo", "alpha_0.02", "alpha_0.5", "form_exponential")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    """A study whose runs have all ended, and its results."""
    out, study = tmp_path_factory.mktemp("study"), make_study(FOUR)
    write_study_folder(out, study)
    write_results(out, study)
    return out, study


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    """A study of twelve arms that vary five things."""
    out, study = tmp_path_factory.mktemp("many"), make_study(seeds=(1, 2))
    write_study_folder(out, study, steps=4, test_freq=2, prompts=4)
    return out, study


@pytest.fixture
def folder(whole: tuple[Path, Study], tmp_path: Path) -> tuple[Path, Study]:
    """A copy that a test may damage."""
    out, study = whole
    shutil.copytree(out, tmp_path / "study")
    return tmp_path / "study", study


def written(out: Path) -> dict[str, Any]:
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


def computed(out: Path, study: Study) -> tuple[dict[str, Any], str]:
    """What would be written, without drawing: `results.json` and `results.md`."""
    found = collect(out, study)
    return json.loads(json.dumps(as_json(found), allow_nan=False)), to_markdown(as_report(found, []))


def comparison(found: dict[str, Any], arm: str) -> dict[str, Any]:
    return next(each for each in found["comparisons"] if each["arm"] == arm)


def accuracies(out: Path, arm: str, seed: int) -> list[float]:
    lines = (out / "runs" / arm / f"seed_{seed}" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [record["val/accuracy"] for record in map(json.loads, lines) if "val/accuracy" in record]


def rewrite(path: Path, change: Any) -> None:
    """Change every record of a file of JSON lines."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for record in records:
        change(record)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def test_the_numbers_are_those_of_the_runs(whole: tuple[Path, Study]) -> None:
    out, study = whole
    found = written(out)
    for arm in found["arms"]:
        final = [accuracies(out, arm["name"], seed)[-1] for seed in study.seeds]
        best = [max(accuracies(out, arm["name"], seed)[1:]) for seed in study.seeds]
        assert arm["final"] == {"mean": pytest.approx(np.mean(final)), "std": pytest.approx(np.std(final, ddof=1))}
        assert arm["best_of_evaluations_biased"]["mean"] == pytest.approx(np.mean(best))
        assert arm["best_of_evaluations_biased"]["mean"] >= arm["final"]["mean"]
    for each in found["comparisons"]:
        assert each["differences_S"] == pytest.approx(
            [accuracies(out, each["arm"], s)[-1] - accuracies(out, each["against"], s)[-1] for s in study.seeds]
        )
        assert each["comparisons_corrected_for"] == 3
        assert each["holm_p"] >= each["t_p"]
        assert each["sign_flip_floor"] == 0.0625
    assert {(each["arm"], each["against"]) for each in found["comparisons"]} == {
        ("alpha_0.02", "dr_grpo"), ("alpha_0.5", "dr_grpo"), ("form_exponential", "alpha_0.5"),
    }  # fmt: skip
    assert found["test_set"]["problems"] == {"test": PROBLEMS}
    mean = np.mean([arm["final"]["mean"] for arm in found["arms"]])
    assert found["test_set"]["half_interval_95"] == pytest.approx(1.96 * (mean * (1 - mean) / PROBLEMS) ** 0.5, 1e-3)


def test_the_page_says_what_was_seen_and_what_could_not_be(whole: tuple[Path, Study]) -> None:
    out, _ = whole
    page = (out / "results.md").read_text(encoding="utf-8")
    found = written(out)
    for each in found["comparisons"]:
        assert each["verdict"] in page.replace("\\", "")
    null = comparison(found, "alpha_0.02")
    low, high = (f"{100 * abs(bound):.1f}" for bound in null["t_interval"])
    visible = f"{100 * null['smallest_visible']:.1f}"
    assert null["verdict"] == (
        f"no difference seen: interval −{low} to +{high} points; a difference below {visible} points could not have "
        "been seen reliably with 5 seeds."
    )
    for words in (
        "biased",
        "0.0625: it cannot reach 0.05",
        "258 problems",
        "Holm",
        "cannot explain the paper's 2.3 points",
    ):
        assert words in page
    assert "Runs that do not count" not in page
    assert "20 of 20 runs count" in page


def test_a_line_a_run(whole: tuple[Path, Study]) -> None:
    out, study = whole
    with open(out / "results.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["arm"], int(row["seed"])) for row in rows] == [(arm, s) for arm in FOUR for s in study.seeds]
    assert all(float(row["final"]) == accuracies(out, row["arm"], int(row["seed"]))[-1] for row in rows)


def test_several_samples_per_problem(folder: tuple[Path, Study]) -> None:
    """Their table, with the difference from the arm that each is compared with, seed by seed."""
    out, study = folder
    random = np.random.default_rng(0)
    values: dict[str, list[float]] = {}
    for arm in FOUR[:3]:
        values[arm] = [float(value) for value in random.uniform(0.4, 0.9, len(study.seeds))]
        for seed, value in zip(study.seeds, values[arm], strict=True):
            path = out / "runs" / arm / f"seed_{seed}" / "summary.json"
            sampled = {"pass@1": value / 2, "pass@8": value, "distinct_right": 2 * value, "entropy_right": value}
            rewrite(path, lambda summary, sampled=sampled: summary.update(final_sampled=sampled))
    write_results(out, study)
    difference = 100 * (np.mean(values["alpha_0.5"]) - np.mean(values["dr_grpo"]))
    page = (out / "results.md").read_text(encoding="utf-8").replace("−", "-")
    table = page[page.index("With several samples per problem") :]
    row = next(line for line in table.splitlines() if "α = 0.5" in line and "exponential" not in line)
    assert f"{100 * np.mean(values['alpha_0.5']):.1f} ±" in row
    assert f"({difference:+.1f}, " in row
    assert "| – |" in next(line for line in table.splitlines() if "exponential" in line)
    found = {arm["name"]: arm["sampled"] for arm in written(out)["arms"]}
    assert found["dr_grpo"]["pass@8"]["mean"] == pytest.approx(np.mean(values["dr_grpo"]))
    assert found["form_exponential"] == {}
    with open(out / "results.csv", encoding="utf-8", newline="") as file:
        assert float(next(csv.DictReader(file))["pass@8"]) == values["dr_grpo"][0]


def test_the_paper_beside(whole: tuple[Path, Study]) -> None:
    out, _ = whole
    found = written(out)
    assert comparison(found, "alpha_0.02")["paper_rows"] == ["4(a) SEED-GRPO", "4(a) Dr.GRPO"]
    assert comparison(found, "alpha_0.02")["paper_difference"] == pytest.approx(0.052)
    # The form is compared at one α, though not at the paper's.
    assert comparison(found, "form_exponential")["paper_rows"] == ["4(c) Exponential", "4(c) Linear"]
    # The paper has no arm at α = 0.5.
    assert comparison(found, "alpha_0.5")["paper_rows"] is None
    page = (out / "results.md").read_text(encoding="utf-8").replace("\\", "")
    assert "| exponential, α = 0.5 |" in page
    assert "α = 0.5 here, 0.02 there" in page


@pytest.mark.parametrize(
    ("table", "words"),
    [("4b", "52.7 to 56.6"), ("4c", "less than 0.0004"), ("4d", "not monotone"), ("4a", "928 steps")],
)
def test_a_table_brings_its_own_notes_only(table: str, words: str, tmp_path: Path) -> None:
    study = make_study(("dr_grpo", "alpha_0.02"), seeds=(1, 2), table=table)
    write_study_folder(tmp_path, study)
    found, _ = computed(tmp_path, study)
    said = " ".join(found["paper"])
    assert words in said
    assert ("52.7 to 56.6" in said) == (table == "4b")
    assert ("not monotone" in said) == (table == "4d")


def test_an_arm_may_name_its_row(tmp_path: Path) -> None:
    study = make_study(("dr_grpo", "alpha_1"), seeds=(1, 2), table="4b")
    study = replace(study, arms=(study.arms[0], replace(study.arms[1], paper="α = 0.03")))
    write_study_folder(tmp_path, study)
    found, _ = computed(tmp_path, study)
    [found] = found["comparisons"]
    assert found["paper_rows"] == ["4(b) α = 0.03", "4(a) Dr.GRPO"]
    assert found["paper_difference"] == pytest.approx(0.032)


@pytest.mark.parametrize("name", shipped_studies())
def test_the_rows_that_shipped_studies_name_are_the_papers(name: str) -> None:
    study = read_study(find_study(name))
    assert study.table is None or study.table in TABLES
    for arm in study.arms:
        assert arm.paper is None or (study.table and paper_row(study.table, arm, None)), arm.name


def test_nothing_has_run(tmp_path: Path) -> None:
    study = make_study(FOUR)
    found, page = computed(tmp_path, study)
    assert {run["state"] for run in found["runs"]} == {"missing"}
    assert all(arm["final"] is None for arm in found["arms"])
    assert all("not compared" in each["verdict"] for each in found["comparisons"])
    assert "0 of 20 runs count" in page


def test_what_does_not_count_is_named(folder: tuple[Path, Study]) -> None:
    out, study = folder
    runs = out / "runs"
    shutil.rmtree(runs / "dr_grpo" / "seed_1")
    (runs / "alpha_0.02" / "seed_2" / "failed.json").write_text('{"cause": "out\\nof | memory"}')
    (runs / "alpha_0.02" / "seed_3" / "summary.json").unlink()
    (runs / "alpha_0.5" / "seed_4" / "metrics.jsonl").write_text('{"step": 0}\nnot json\n{"step": 1}\n')
    (runs / "alpha_0.5" / "seed_5" / "summary.json").write_text("[]")
    rewrite(runs / "form_exponential" / "seed_1" / "metrics.jsonl", lambda record: record.pop("val/accuracy", None))
    rewrite(
        runs / "form_exponential" / "seed_2" / "metrics.jsonl",
        lambda record: record["step"] == 16 and record.pop("val/accuracy"),
    )
    found, page = computed(out, study)
    states = {
        (run["arm"], run["seed"]): (run["state"], run["reason"]) for run in found["runs"] if run["state"] != "done"
    }
    assert states["dr_grpo", 1] == ("missing", "not started")
    assert states["alpha_0.02", 2] == ("failed", "out of | memory")
    assert states["alpha_0.02", 3] == ("unfinished", "at step 16")
    assert states["alpha_0.5", 4][0] == states["alpha_0.5", 5][0] == "unusable"
    assert states["form_exponential", 1] == ("unusable", "never validated")
    assert states["form_exponential", 2] == ("unusable", "last validated at step 12")
    assert len(states) == 7
    assert comparison(found, "alpha_0.02")["unpaired_seeds"] == [1, 2, 3]
    assert len(comparison(found, "alpha_0.02")["differences_S"]) == 2
    assert comparison(found, "form_exponential")["unpaired_seeds"] == [1, 2, 4, 5]
    assert "Seeds 1, 2, 3 left out" in page
    assert "13 of 20 runs count" in page
    assert "Runs that do not count" in page
    assert "one seed: no interval" in page


def test_a_run_that_ended_early_does_not_count(folder: tuple[Path, Study]) -> None:
    out, study = folder
    path = out / "runs" / "alpha_0.5" / "seed_2"
    shutil.rmtree(path)
    write_run(path, "alpha_0.5", 2, out / "base" / "test.parquet", steps=8)
    found, _ = computed(out, study)
    [run] = [run for run in found["runs"] if run["state"] != "done"]
    assert (run["seed"], run["state"], run["reason"]) == (2, "unusable", "ended after step 8 of 16")


@pytest.mark.parametrize(
    "damage", ["[]", '{"step": "one"}', '{"step": 1, "seed_grpo/entropy": "high"}', '{"x": 1}', "null"]
)
def test_records_that_hold_no_numbers(folder: tuple[Path, Study], damage: str) -> None:
    out, study = folder
    path = out / "runs" / "alpha_0.5" / "seed_2" / "metrics.jsonl"
    path.write_text(damage + "\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    summary = out / "runs" / "alpha_0.5" / "seed_3" / "summary.json"
    summary.write_text('{"versions": [1], "step_seconds_median": "fast", "commit": {}}')
    found, _ = computed(out, study)
    [run] = [run for run in found["runs"] if run["state"] != "done"]
    assert (run["arm"], run["seed"], run["state"]) == ("alpha_0.5", 2, "unusable")


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "1.5", '"high"'])
def test_an_accuracy_that_is_none(folder: tuple[Path, Study], bad: str) -> None:
    out, study = folder
    path = out / "runs" / "alpha_0.5" / "seed_2" / "metrics.jsonl"
    text = re.sub(r'"(val/accuracy)": [0-9.]+', f'"\\1": {bad}', path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    found, _ = computed(out, study)
    [run] = [run for run in found["runs"] if run["state"] != "done"]
    assert (run["arm"], run["seed"], run["state"]) == ("alpha_0.5", 2, "unusable")


def test_one_seed(tmp_path: Path) -> None:
    study = make_study(FOUR, seeds=(7,))
    write_study_folder(tmp_path, study)
    found, _ = computed(tmp_path, study)
    assert all(arm["final"]["std"] is None for arm in found["arms"])
    for each in found["comparisons"]:
        assert each["t_interval"] is None
        assert each["smallest_visible"] is None
        assert each["seeds_for_one_point"] is None
        assert "from one seed: no interval" in each["verdict"]


def test_identical_runs(folder: tuple[Path, Study]) -> None:
    """As α = 0 beside Dr.GRPO: bit-identical runs are called identical, not a null result with an interval."""
    out, study = folder
    for seed in study.seeds:
        for name in ("metrics.jsonl", "prompts.jsonl"):
            path = Path(f"seed_{seed}") / name
            shutil.copy(out / "runs" / "dr_grpo" / path, out / "runs" / "alpha_0.02" / path)
    found, _ = computed(out, study)
    same = comparison(found, "alpha_0.02")
    assert same["verdict"] == "identical: the same accuracy in each of 5 pairs."
    assert (same["std"], same["t_p"], same["holm_p"]) == (0.0, None, None)
    assert comparison(found, "alpha_0.5")["comparisons_corrected_for"] == 2


def test_several_benchmarks_are_averaged_as_the_paper_does(folder: tuple[Path, Study]) -> None:
    out, study = folder

    def second(record: dict) -> None:
        if "val/accuracy" in record:
            record["val-core/amc/acc/mean@1"] = 0.25

    for arm in FOUR:
        for seed in study.seeds:
            rewrite(out / "runs" / arm / f"seed_{seed}" / "metrics.jsonl", second)
    found, page = computed(out, study)
    run = found["runs"][0]
    assert run["final"] == pytest.approx((accuracies(out, "dr_grpo", 1)[-1] + 0.25) / 2)
    assert "By benchmark" in page
    assert "| 25.0 ± 0.0 |" in page


def test_benchmarks_after_training(folder: tuple[Path, Study]) -> None:
    """With benchmarks the outcome is their evaluation's, not the validation's; a run without one does not count."""
    out, study = folder
    study = replace(study, benchmarks=("amc", "aime24"))
    for index, arm in enumerate(FOUR):
        for seed in study.seeds:
            path = out / "runs" / arm / f"seed_{seed}" / "eval" / "results.json"
            path.parent.mkdir()
            rates = {"amc": 0.5 + 0.01 * index + 0.001 * seed * (index + 1), "aime24": 0.1, "minerva": 0.9}
            path.write_text(json.dumps({"benchmarks": {name: {"pass_at_1": rate} for name, rate in rates.items()}}))
    (out / "runs" / "alpha_0.5" / "seed_3" / "eval" / "results.json").unlink()
    found, _ = computed(out, study)
    assert found["runs"][0]["final"] == pytest.approx((0.501 + 0.1) / 2)
    assert found["runs"][0]["best_of_evaluations_biased"] is None
    assert comparison(found, "alpha_0.02")["mean"] == pytest.approx((0.01 + 0.003) / 2)
    [run] = [run for run in found["runs"] if run["state"] != "done"]
    assert run["reason"] == "not evaluated on amc, aime24"


def test_a_test_file_that_is_gone(folder: tuple[Path, Study]) -> None:
    out, study = folder
    shutil.rmtree(out / "base")
    for path in out.glob("runs/*/*/config.yaml"):
        path.write_text(re.sub(r"val_files: .*", f"val_files: {out}/base/test.parquet", path.read_text()))
    found, page = computed(out, study)
    assert found["test_set"] == {"problems": None, "half_interval_95": None}
    assert "its own sampling error is not given" in page


def test_runs_that_were_not_made_alike(folder: tuple[Path, Study]) -> None:
    out, study = folder
    path = out / "runs" / "alpha_0.5" / "seed_2" / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "commit": "beef", "versions": {"verl": "0.9.2"}}))
    found, _ = computed(out, study)
    notes = " ".join(found["notes"])
    assert "2 commits" in notes
    assert "2 different sets of package versions" in notes


def test_damaged_prompts_and_configurations_are_named_and_cost_nothing_else(folder: tuple[Path, Study]) -> None:
    out, study = folder
    (out / "runs" / "alpha_0.5" / "seed_2" / "prompts.jsonl").write_text('{"step": 1}\n{\n{}\n')
    (out / "runs" / "alpha_0.5" / "seed_1" / "config.yaml").write_text("[")
    found, page = computed(out, study)
    assert "alpha_0.5, seed 2" in " ".join(found["notes"])
    assert "20 of 20 runs count" in page
    assert next(arm for arm in found["arms"] if arm["name"] == "alpha_0.5")["settings"]["alpha"] == 0.5


def test_the_other_report_takes_a_study_for_its_runs(folder: tuple[Path, Study]) -> None:
    out, study = folder
    write_study(study, out / STUDY)
    runs, evaluations = load([out])
    assert (len(runs), evaluations) == (20, [])


def test_hostile_labels_stay_text(tmp_path: Path) -> None:
    study = make_study(("dr_grpo", "alpha_0.5"), seeds=(1, 2))
    arms = (study.arms[0], replace(study.arms[1], label="<b>$x$</b> | ![](http://x) `"))
    study = replace(study, arms=arms, title="# <script>")
    write_study_folder(tmp_path, study)
    _, page = computed(tmp_path, study)
    assert "<script>" not in page.replace("\\<", "").replace("\\>", "")
    assert "\\<b\\>\\$x\\$\\</b\\> \\|" in page


def test_the_whole_of_it_is_quick_and_repeats_itself(whole: tuple[Path, Study]) -> None:
    import time

    out, study = whole
    before = {path: path.read_bytes() for path in out.glob("**/*") if path.is_file() and "runs" not in path.parts}
    began = time.monotonic()
    write_results(out, study)
    assert time.monotonic() - began < 60
    assert {path: path.read_bytes() for path in before} == before
    assert len(ARMS) > len(FOUR)


FIGURES = {"training_curves", "entropy_accuracy", "weight_distribution", "alpha_effect", "differences"}


def names(out: Path) -> set[str]:
    return {path.stem for path in (out / "figures").iterdir()}


def test_figures_in_both_forms(whole: tuple[Path, Study]) -> None:
    from xml.etree import ElementTree

    from PIL import Image

    out, _ = whole
    page = (out / "results.md").read_text(encoding="utf-8")
    assert names(out) == FIGURES
    for name in FIGURES:
        assert f"(figures/{name}.png)" in page
        assert ElementTree.parse(out / "figures" / f"{name}.svg").getroot().tag.endswith("svg")
        with Image.open(out / "figures" / f"{name}.png") as image:
            assert round(image.info["dpi"][0]) == 200
            assert image.width >= 1200
            colors = image.convert("RGB").getcolors(10**6)
            assert colors is not None
            assert len(colors) > 10  # something is drawn


@pytest.mark.parametrize("name", ["whole", "many"])
def test_no_text_is_cut_off_or_lies_on_another(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Titles, labels, ticks and legends of every figure keep inside the picture and off each other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from seed_grpo.ablation import figures

    results = collect(*request.getfixturevalue(name))
    seen: dict[int, tuple[Figure, list[tuple[str, Any]]]] = {}
    save = Figure.savefig

    def measure(canvas: Figure, *args: Any, **options: Any) -> None:
        save(canvas, *args, **options)
        agg = FigureCanvasAgg(canvas)
        agg.draw()
        hidden = beyond_the_axes(canvas)
        texts = [text for text in canvas.findobj(Text) if text.get_visible() and text.get_text().strip()]
        renderer = agg.get_renderer()
        boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts if text not in hidden]
        seen[id(canvas)] = canvas, boxes

    monkeypatch.setattr(Figure, "savefig", measure)
    figures.draw_all(results)
    assert len(seen) == len(FIGURES)
    for canvas, boxes in seen.values():
        for index, (text, box) in enumerate(boxes):
            assert box.x0 >= -1, text
            assert box.y0 >= -1, text
            assert box.x1 <= canvas.bbox.x1 + 1, text
            assert box.y1 <= canvas.bbox.y1 + 1, text
            for other, other_box in boxes[index + 1 :]:
                assert not box.padded(-1).overlaps(other_box.padded(-1)), (text, other)


def beyond_the_axes(canvas: Any) -> list[Any]:
    """Labels of ticks outside an axis' limits: matplotlib keeps them and does not draw them."""
    labels = []
    for axis in [axis for axes in canvas.axes for axis in (axes.xaxis, axes.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        for tick in [*axis.majorTicks, *axis.minorTicks]:
            if not low <= tick.get_loc() <= high:
                labels += [tick.label1, tick.label2]
    return labels


def test_what_cannot_be_drawn_is_left_out_and_an_old_picture_removed(folder: tuple[Path, Study]) -> None:
    out, study = folder
    shutil.rmtree(out / "runs" / "alpha_0.5")
    for path in out.glob("runs/*/*/prompts.jsonl"):
        path.unlink()
    write_results(out, study)
    assert names(out) == {"training_curves", "entropy_accuracy", "differences"}
    shutil.rmtree(out / "runs")
    write_results(out, study)
    assert names(out) == set()


def test_arms_are_grouped_by_what_they_vary(many: tuple[Path, Study]) -> None:
    """Also where the first seed of an arm is missing, and its settings are another seed's."""
    from seed_grpo.ablation.groups import groups

    shutil.rmtree(many[0] / "runs" / "alpha_0.5" / "seed_1", ignore_errors=True)

    found = {group.title: [each.arm.name for each in group.arms] for group in groups(collect(*many))}
    assert found == {
        "Method": ["dr_grpo", "grpo", "alpha_0.02"],
        "Strength α": ["dr_grpo", "alpha_0.02", "alpha_0.1", "alpha_0.5", "alpha_1"],
        "Form of f": ["alpha_0.5", "form_exponential", "form_focal", "form_reciprocal"],
        "Entropy": ["alpha_0.5", "rao_blackwell"],
        "Responses per prompt, G": ["alpha_0.5", "g4", "g16"],
    }
