"""The results of an evaluation as a table for the terminal, in the layout of the paper's Table 2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def results_table(results: dict[str, Any]) -> Table:
    """Benchmarks as columns, the average last."""
    from rich.table import Table

    numbers = results["benchmarks"]
    table = Table(title=str(results["settings"]["model"]))
    table.add_column("")
    for name in [*numbers, "average"]:
        table.add_column(name, justify="right")

    def add(label: str, values: Iterable[Any], average: str = "") -> None:
        table.add_row(label, *(str(value) for value in values), average)

    each = list(numbers.values())
    add("problems", map(_count, each))
    add("pass@1 (greedy)", (_percent(one["pass_at_1"]) for one in each), _percent(results["average"]))
    add("95 % interval", ("–".join(map(_percent, one["pass_at_1_interval"])) for one in each))
    add("cut off", (one["truncated"] for one in each))
    add("no answer", (one["no_answer"] for one in each))
    if "also_graded" in results:
        other = results["also_graded"]
        theirs = (one["greedy"]["theirs"] for one in other["benchmarks"].values())
        add(f"pass@1, {other['grader']}", map(_percent, theirs), _percent(other["average"]["theirs"]))
        add(
            "disagreements",
            (sum(kind["disagreements"] for kind in one.values()) for one in other["benchmarks"].values()),
        )
    if "averages" in results:
        k, averages = results["settings"]["samples"], results["averages"]
        for label, key in ((f"avg@{k}", "avg_at_k"), (f"maj@{k}", "maj_at_k")):
            add(label, (_with_std(one, key) for one in each), _with_std(averages, key))
        add(
            f"pass@{k}",
            (_percent(one["pass_at_k"][str(k)]) for one in each),
            _percent(averages["pass_at_k"][str(k)]),
        )
        add("AUROC of entropy", map(_auroc, each), _auroc(results))
        add("identical samples", (one["identical_samples"] for one in each))
    return table


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _auroc(numbers: dict[str, Any]) -> str:
    auroc = numbers["uncertainty"]["rao_blackwell"]["auroc"]
    return "–" if auroc is None else f"{auroc:.2f}"


def _count(numbers: dict[str, Any]) -> str:
    expected = numbers["expected_rows"]
    return str(numbers["n"]) if expected in (None, str(numbers["n"])) else f"{numbers['n']} of {expected}"


def _with_std(numbers: dict[str, Any], key: str) -> str:
    std = numbers[f"{key}_std"]
    return _percent(numbers[key]) + ("" if std is None else f" ± {_percent(std)}")
