"""Write a study's results: `results.json`, `results.csv`, `results.md` and its figures, from whatever has ended."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seed_grpo.ablation import figures, hypotheses, measures, tables
from seed_grpo.ablation.paper import paper_notes
from seed_grpo.ablation.results import ONE_POINT, ArmResult, Comparison, Results, collect
from seed_grpo.evaluation.metrics import spread
from seed_grpo.report.build import Report, Section, to_markdown
from seed_grpo.report.style import Figure
from seed_grpo.runs.files import replace_file

if TYPE_CHECKING:
    from seed_grpo.ablation.load import StudyRun
    from seed_grpo.ablation.study import Study

JSON, CSV, MARKDOWN, FIGURES = "results.json", "results.csv", "results.md", "figures"


def write_results(out: Path, study: Study) -> None:
    """Write the results of the runs that have ended; may be called at any time.

    Args:
        out: the study's folder.
        study: what was asked for.
    """
    results = collect(out, study)
    drawn = figures.draw_all(results)
    folder = out / FIGURES
    folder.mkdir(parents=True, exist_ok=True)
    for stale in [*folder.glob("*.svg"), *folder.glob("*.png")]:
        if stale.stem not in {figure.name for figure in drawn}:
            stale.unlink()
    for figure in drawn:
        replace_file(folder / f"{figure.name}.svg", figure.svg)
        replace_file(folder / f"{figure.name}.png", figure.png)
    numbers = json.dumps(as_json(results), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    for name, text in ((JSON, numbers), (CSV, as_csv(results)), (MARKDOWN, to_markdown(as_report(results, drawn)))):
        # The cause of a failure can hold a lone surrogate, which has no UTF-8 form.
        replace_file(out / name, text.encode("utf-8", "replace"))


def as_report(results: Results, drawn: list[Figure]) -> Report:
    """Tables, words and figures in the order in which they are read."""
    done = sum(run.state == "done" for run in results.runs)
    found = [
        hypotheses.hypotheses_table(results),
        tables.arms_table(results),
        tables.benchmarks_table(results),
        tables.differences_table(results) if results.comparisons else None,
        tables.power_table(results) if results.comparisons else None,
        measures.sampled_table(results),
        tables.paper_table(results),
    ]
    sections = [Section(table.title, tables=[table]) for table in found if table is not None]
    if drawn:
        sections.append(Section("Figures", figures=drawn))
    missing = tables.missing_table(results)
    if missing:
        sections.append(Section(missing.title, tables=[missing]))
    up_to = "up to " if any(each.arm.seeds for each in results.arms) else ""
    subtitle = (
        f"{len(results.arms)} arms × {up_to}{len(results.study.seeds)} seeds: {done} of {len(results.runs)} runs count."
    )
    if missing:
        subtitle += " The others are named at the end; nothing stands in for them."
    return Report(results.study.title, subtitle, sections)


def as_json(results: Results) -> dict[str, Any]:
    """Everything that was computed, for machines. Accuracies and differences are shares."""
    study, names = results.study, measures.measures(results)
    return {
        "study": {"name": study.name, "title": study.title, "table": study.table, "baseline": study.baseline,
                  "seeds": list(study.seeds), "benchmarks": list(study.benchmarks)},
        "outcome": "greedy accuracy after the last step" + (", mean over the benchmarks" if study.benchmarks else ""),
        "test_set": {"problems": results.problems, "half_interval_95": results.test_error},
        "arms": [_arm(each, names) for each in results.arms],
        "hypotheses": [hypotheses.as_dict(each) for each in hypotheses.judged(results)],
        "comparisons": [_comparison(each) for each in results.comparisons],
        "runs": [_run(run) for run in results.runs],
        "paper": paper_notes(results.tables),
        "notes": results.notes,
    }  # fmt: skip


def as_csv(results: Results) -> str:
    """A line per run."""
    names = measures.measures(results)
    rows = [_run(run) for run in results.runs]
    for row in rows:
        found = row.pop("sampled")
        row.update({name: found.get(name) for name in names})
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _arm(each: ArmResult, names: list[str]) -> dict[str, Any]:
    return {
        "name": each.arm.name,
        "label": each.label,
        "against": each.against,
        "settings": None if each.settings is None else asdict(each.settings),
        "seeds": sorted(each.runs),
        "before": each.spread("before"),
        "final": each.spread("final"),
        "sampled": {name: spread(list(found.values())) for name in names if (found := measures.measure(each, name))},
        "best_of_evaluations_biased": each.spread("best"),
        "entropy": each.mean("seed_grpo/entropy"),
        "entropy_mixed": each.mean("seed_grpo/entropy_mixed"),
        "mixed_share": each.mean("seed_grpo/mixed_share"),
        "weight_mixed": each.mean("seed_grpo/weight_mixed"),
        "weight_mixed_5_95": each.weight_range,
        "weights_act": None if each.settings is None else each.settings.weighted,
        "step_seconds_median": each.step_seconds,
    }


def _comparison(each: Comparison) -> dict[str, Any]:
    def needed(difference: float | None) -> dict[str, int | None] | None:
        found = each.seeds_for(difference)
        return None if found is None else asdict(found)

    return {
        "arm": each.arm,
        "against": each.against,
        **asdict(each.paired),
        "unpaired_seeds": list(each.unpaired),
        "holm_p": each.holm_p,
        "sign_flip_holm_p": each.sign_flip_holm_p,
        "comparisons_corrected_for": each.compared,
        "smallest_visible": each.visible,
        "seeds_for_observed": needed(each.paired.mean),
        "seeds_for_paper": needed(each.paper_difference),
        "seeds_for_one_point": needed(ONE_POINT),
        "paper_difference": each.paper_difference,
        "paper_rows": None if each.paper is None else [f"{row.table} {row.label}" for row in each.paper],
        "verdict": each.verdict,
    }


def _run(run: StudyRun) -> dict[str, Any]:
    return {
        "arm": run.arm,
        "seed": run.seed,
        "state": run.state,
        "reason": run.reason,
        "steps": run.last_step or None,
        "before": run.before,
        "final": run.final,
        "sampled": measures.sampled(run),
        "best_of_evaluations_biased": run.best,
        "entropy": run.mean("seed_grpo/entropy"),
        "mixed_share": run.mean("seed_grpo/mixed_share"),
        "weight_mixed": run.mean("seed_grpo/weight_mixed"),
        "training_seconds": run.summary.get("training_seconds"),
        "commit": run.summary.get("commit"),
    }
