"""The tables of a report, as rows of text: both forms of the report print the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seed_grpo.data.registry import BENCHMARKS
from seed_grpo.report.load import Evaluation, Run
from seed_grpo.report.paper import PaperRow, heading, paper_rows


@dataclass(frozen=True)
class Row:
    """A row: its label and cells; `quoted` where the numbers are the paper's, not measured here."""

    cells: list[str]
    quoted: bool = False


@dataclass(frozen=True)
class Table:
    """A table: its title, heading, rows and notes."""

    title: str
    header: list[str]
    rows: list[Row]
    notes: list[str] = field(default_factory=list)


def main_table(evaluations: Sequence[Evaluation]) -> Table:
    """In the layout of the paper's Table 2, with the paper's rows below ours."""
    ours = list(dict.fromkeys(name for each in evaluations for name in each.results["benchmarks"]))
    # All five or none: the average of some of them would stand below the paper's average of all.
    five = BENCHMARKS if set(ours) & set(BENCHMARKS) else ()
    columns = [*five, *(name for name in ours if name not in BENCHMARKS)]
    averaged = five or columns
    rows, notes = [], []
    for evaluation in evaluations:
        numbers = evaluation.results["benchmarks"]
        complete = set(averaged) <= set(numbers)
        average = sum(numbers[name]["pass_at_1"] for name in averaged) / len(averaged) if complete else None
        rows.append(Row([evaluation.name, *(_with_interval(numbers.get(name)) for name in columns), percent(average)]))
        parts = [
            f"{heading(name)} {each['n']} of {each['expected_rows']}"
            for name, each in numbers.items()
            if _partial(each)
        ]
        if parts:
            notes.append(f"{evaluation.name} was evaluated on a part of the problems: {', '.join(parts)}.")
        if not complete:
            notes.append(f"{evaluation.name} lacks some of {', '.join(map(heading, averaged))}: no average.")
    if five:
        quoted = paper_rows()
        marks: dict[str, int] = {}
        for row in quoted:
            rows.append(Row([f"{row.label} {row.size}", *_quoted_cells(row, columns, marks)], quoted=True))
        notes.append(
            "Rows marked “quoted” are the paper's Table 2 as printed (arXiv 2505.12346v1); "
            "none of them was measured here."
        )
        notes += [f"[{number}] {why}" for why, number in marks.items()]
    notes.insert(0, "Pass@1 of the greedy response, in percent, and the 95 % interval over resampled problems. "
                    "A response that was cut off counts by its answer, as in the paper's evaluation.")  # fmt: skip
    return Table("Pass@1", ["", *map(heading, columns), heading("average")], rows, notes)


def paper_tables() -> list[Table]:
    """The paper's ablations as printed, for comparison."""
    from seed_grpo.report.paper import paper_data

    tables = []
    for each in paper_data()["tables"]:
        if each["table"].startswith("4"):
            marks: dict[str, int] = {}
            rows = [
                Row([f"{row.label} {row.size}", *_quoted_cells(row, list(BENCHMARKS), marks)], quoted=True)
                for row in paper_rows(each["table"])
            ]
            notes = [f"[{number}] {why}" for why, number in marks.items()]
            header = ["", *map(heading, BENCHMARKS), heading("average")]
            tables.append(Table(f"Table {each['table']}: {each['caption']}", header, rows, notes))
    return tables


def details_table(evaluation: Evaluation) -> Table:
    """All other counts, by benchmark."""
    numbers = evaluation.results["benchmarks"]
    settings = evaluation.results["settings"]
    k = settings.get("samples") or 0
    lines: list[tuple[str, list[str]]] = [
        (
            "problems",
            [
                f"{each['n']} of {each['expected_rows']}" if _partial(each) else str(each["n"])
                for each in numbers.values()
            ],
        ),
        ("cut off at the limit", [str(each["truncated"]) for each in numbers.values()]),
        ("without an answer", [str(each["no_answer"]) for each in numbers.values()]),
        ("tokens, mean", [number(each["tokens_mean"], "{:.0f}") for each in numbers.values()]),
    ]
    if k:
        for label, key in ((f"avg@{k}", "avg_at_k"), (f"maj@{k}", "maj_at_k")):
            lines.append(
                (
                    label,
                    [
                        f"{mean_and_std(each[key], each[f'{key}_std'])} ({_interval(each[f'{key}_interval'])})"
                        for each in numbers.values()
                    ],
                )
            )
        for power in next(iter(numbers.values()))["pass_at_k"]:
            lines.append((f"pass@{power}", [percent(each["pass_at_k"][power]) for each in numbers.values()]))
        lines.append(("samples cut off", [str(each["truncated_samples"]) for each in numbers.values()]))
        lines.append(("entropy, Eq. 5 (nats)", [f"{each['entropy']['monte_carlo']:.3f}" for each in numbers.values()]))
        lines.append(
            ("entropy, Eq. 4 (nats)", [f"{each['entropy']['rao_blackwell']:.3f}" for each in numbers.values()])
        )
    seeds = ", ".join(map(str, settings["seeds"]))
    note = f"{settings['model']}, backend {settings['backend']}, at most {settings['max_tokens']} tokens"
    if k:
        note += f"; {k} samples at temperature {settings['temperature']}, top_p {settings['top_p']}, seeds {seeds}"
        note += ", ± standard deviation over the seeds" if len(settings["seeds"]) > 1 else ""
    versions = (evaluation.results.get("backend") or {}).get("versions", {})
    note += "; " + ", ".join(f"{package} {version}" for package, version in versions.items())
    return Table(
        evaluation.name,
        ["", *map(heading, numbers)],
        [Row([label, *cells]) for label, cells in lines],
        [note + f"; {evaluation.results['wall_seconds']:.0f} s.", *evaluation.results.get("warnings", [])],
    )


def uncertainty_table(evaluation: Evaluation) -> Table | None:
    """Whether the uncertainty of the samples tells right from wrong."""
    found = evaluation.results.get("uncertainty")
    if not found:
        return None
    names = {"rao_blackwell": "entropy, Eq. 4", "monte_carlo": "entropy, Eq. 5", "disagreement": "1 − largest cluster"}
    shares = list(found["rao_blackwell"]["accuracy_when_unanswered"])
    header = [
        "uncertainty",
        "AUROC (majority)",
        "AUROC (greedy)",
        *("all" if share == "0" else f"−{share} %" for share in shares),
    ]
    rows = []
    for name, label in names.items():
        each = found[name]
        rows.append(
            Row(
                [
                    label,
                    _score(each["auroc"], each["auroc_interval"]),
                    _score(each["greedy_auroc"], each["greedy_auroc_interval"]),
                    *(percent(each["accuracy_when_unanswered"][share]) for share in shares),
                ]
            )
        )
    notes = [
        "AUROC: the chance that a wrongly answered problem is more uncertain than a rightly answered one; "
        "0.5 is chance. The other columns: accuracy of the majority's answer, in percent, when so many of the most "
        "uncertain problems are left unanswered."
    ]
    adaptive = found.get("adaptive_sampling")
    if adaptive:
        low, high = (100 * bound for bound in adaptive["gain_interval"])
        notes.append(
            "More samples where the entropy is high, at the same total budget of "
            f"{adaptive['budget_per_problem']} a problem ({adaptive['first_round']} in the first round): "
            f"majority right on {percent(adaptive['adaptive'])} % of the problems against "
            f"{percent(adaptive['fixed'])} % with the same number for each; "
            f"gain {100 * adaptive['gain']:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})."
        )
    return Table(evaluation.name, header, rows, notes)


def runs_table(runs: Sequence[Run]) -> Table | None:
    """The training runs, one per row."""
    if not runs:
        return None
    header = [
        "run",
        "method",
        "α",
        "f",
        "G",
        "seed",
        "steps",
        "before",
        "after",
        "entropy",
        "weight",
        "mixed prompts",
        "time",
    ]
    rows = []
    for run in runs:
        summary, method = run.summary, run.summary.get("method") or {}
        weighted = summary.get("adv_estimator") == "seed_grpo"
        rows.append(
            Row(
                [
                    run.name,
                    str(summary.get("adv_estimator", "has not ended")),
                    str(method.get("alpha", "–")) if weighted else "–",
                    str(method.get("form", "–")) if weighted else "–",
                    number(summary.get("group_size"), "{}"),
                    number(summary.get("seed"), "{}"),
                    str(summary.get("steps", run.metrics[-1].get("step"))),
                    percent(summary.get("base_accuracy")),
                    _final_accuracy(summary),
                    number(summary.get("entropy"), "{:.3f}"),
                    number(summary.get("weight"), "{:.4f}"),
                    percent(summary.get("mixed_share")),
                    number(summary.get("training_seconds"), "{:.0f} s"),
                ]
            )
        )
    note = (
        "Accuracy on the validation set before and after, greedy, in percent; entropy (nats) and weight f are means "
        "over all prompts and steps."
    )
    return Table("Training runs", header, rows, [note])


def sampled_table(runs: Sequence[Run]) -> Table | None:
    """What validations with several samples per problem measured, for the runs that have them."""
    rows = []
    for run in runs:
        before, after = (run.summary.get(key) or {} for key in ("base_sampled", "final_sampled"))
        names = {**before, **after}
        if not names:
            continue
        k = max(int(name.removeprefix("pass@")) for name in names if name.startswith("pass@"))
        shown = [
            " → ".join(form(each.get(name)) for each in (before, after))
            for name, form in (
                ("pass@1", percent), (f"pass@{k}", percent), ("distinct_right", _two), ("entropy_right", _two),
            )
        ]  # fmt: skip
        rows.append(Row([run.name, str(k), *shown]))
    if not rows:
        return None
    header = ["run", "k", "pass@1", "pass@k", "distinct right answers", "entropy of the right answers"]
    note = (
        "Before → after. Pass@1 and pass@k in percent: the share of samples that are right, and of problems with a "
        "right one among k. Where pass@1 rises and pass@k falls, the model became surer and knows less. Distinct right "
        "answers per problem; entropy (nats) over the problems with a right answer."
    )
    return Table("Validation with several samples", header, rows, [note])


def _two(value: float | None) -> str:
    return number(value, "{:.2f}")


def _final_accuracy(summary: Mapping[str, Any]) -> str:
    """The last accuracy of a run, with its step if that is not the run's last."""
    step = summary.get("final_step")
    of_step = "" if step in (None, summary.get("steps")) else f" (step {step})"
    return percent(summary.get("final_accuracy")) + of_step


def percent(value: float | None) -> str:
    """A share as percent with one decimal; a dash for None."""
    return "–" if value is None else f"{100 * value:.1f}"


def number(value: Any, form: str) -> str:
    """A number in a format; a dash for None."""
    return "–" if value is None else form.format(value)


def mean_and_std(mean: float | None, std: float | None) -> str:
    """Shares as percent: mean ± standard deviation, if there is one."""
    return percent(mean) + ("" if std is None else f" ± {percent(std)}")


def count(number: int, what: str) -> str:
    """A number of things, such as `1 run` and `2 runs`."""
    return f"{number} {what}" + ("" if number == 1 else "s")


def _partial(numbers: Mapping[str, Any]) -> bool:
    return numbers.get("expected_rows") not in (None, str(numbers["n"]))


def _with_interval(numbers: Mapping[str, Any] | None) -> str:
    return "–" if numbers is None else f"{percent(numbers['pass_at_1'])} ({_interval(numbers['pass_at_1_interval'])})"


def _interval(bounds: Sequence[float]) -> str:
    return f"{percent(bounds[0])}–{percent(bounds[1])}"


def _score(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None or interval is None:
        return "–"
    return f"{value:.3f} ({interval[0]:.2f}–{interval[1]:.2f})"


def _quoted_cells(row: PaperRow, columns: Sequence[str], marks: dict[str, int]) -> list[str]:
    """The printed values, with a mark at each that contradicts itself."""
    cells = []
    for name, value in [*((name, row.values.get(name)) for name in columns), ("average", row.average)]:
        text = "–" if value is None else f"{value:g}" if name in row.std else f"{value:.1f}"
        text += f" ± {row.std[name]:g}" if name in row.std else ""
        if name in row.flags:
            text += f" [{marks.setdefault(row.flags[name], len(marks) + 1)}]"
        cells.append(text)
    return cells
