"""The tables of a second opinion: what another grader makes of an evaluation's responses."""

from __future__ import annotations

from typing import Any

from seed_grpo.report.examples import MAX_ANSWER, shorten
from seed_grpo.report.load import Evaluation
from seed_grpo.report.paper import heading
from seed_grpo.report.tables import Row, Table, count, percent

MOST_ROWS = 200
"""Disagreements that a page shows; results.json has them all."""


def second_opinion_tables(evaluation: Evaluation) -> list[Table]:
    """Both accuracies, and the disagreements; nothing if no other grader was asked."""
    found = evaluation.results.get("also_graded")
    if not isinstance(found, dict):
        return []
    grader = f"{found['grader']} {found['version']}"
    return [_accuracies(evaluation.name, grader, found), _disagreements(evaluation.name, grader, found)]


def _accuracies(name: str, grader: str, found: dict[str, Any]) -> Table:
    numbers = list(found["benchmarks"].values())
    average = found["average"]
    rows = [
        Row(["greedy, ours", *(percent(each["greedy"]["ours"]) for each in numbers), percent(average["ours"])]),
        Row(
            [f"greedy, {grader}", *(percent(each["greedy"]["theirs"]) for each in numbers), percent(average["theirs"])]
        ),
    ]
    kinds = ["greedy"]
    if all("samples" in each for each in numbers):
        kinds.append("samples")
        for label, who in (("ours", "ours"), (grader, "theirs")):
            rows.append(Row([f"samples, {label}", *(percent(each["samples"][who]) for each in numbers), ""]))
    for label, key in (("disagreements", "disagreements"), ("no verdict", "no_verdict")):
        totals = [sum(each[kind][key] for kind in kinds) for each in numbers]
        rows.append(Row([label, *map(str, totals), str(sum(totals))]))
    notes = [
        f"Share of correct responses, in percent. {grader} reads the whole response. A response on which it hangs or "
        "dies has no verdict, and counts as not correct in its row. The last column: the mean over the benchmarks, and "
        "totals."
    ]
    return Table(f"{name}: {grader}", ["", *map(heading, found["benchmarks"]), heading("average")], rows, notes)


def _disagreements(name: str, grader: str, found: dict[str, Any]) -> Table:
    every = found["disagreements"]
    rows = [
        Row(
            [
                f"{each['benchmark']}, {each['id']}",
                _text(each["answer"]),
                _text(" or ".join(each["gold"])),
                _verdict(each["ours"]),
                _verdict(each["theirs"]),
                _text(each["their_answer"]),
                str(each["responses"]),
            ]
        )
        for each in every[:MOST_ROWS]
    ]
    notes = [f"{count(len(every), 'different disagreement')}."]
    if len(every) > MOST_ROWS:
        notes.append(f"The first {MOST_ROWS} are shown; results.json has them all.")
    header = ["problem", "answer", "gold", "ours", f"{grader}", "what it read", "responses"]
    return Table(f"{name}: disagreements with {grader}", header, rows, notes)


def _text(answer: str | None) -> str:
    return "(none)" if answer is None else shorten(answer, MAX_ANSWER)


def _verdict(correct: bool) -> str:
    return "right" if correct else "wrong"
