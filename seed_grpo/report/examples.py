"""Prompts that a person can read: answers, clusters, entropy and weight of a few, from the certain to the uncertain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seed_grpo.report.load import Evaluation, Run

MAX_PROBLEM, MAX_ANSWER = 1_500, 160


@dataclass(frozen=True)
class Cluster:
    """One cluster: its first answer as written (None: no answer), how many there are, whether they are right."""

    answer: str | None
    count: int
    correct: bool


@dataclass(frozen=True)
class Example:
    """A prompt and its clusters, the largest first."""

    title: str
    problem: str
    gold: str
    entropy: float
    max_entropy: float
    weight: float
    accuracy: float
    clusters: list[Cluster]


def from_evaluation(evaluation: Evaluation, count: int = 6) -> list[Example]:
    """Problems of one evaluation, spread evenly over their entropies (first seed)."""
    sampled = [problem for problem in evaluation.problems if problem.get("seeds")]
    return [
        _example(
            {**problem["seeds"][0], "rewards": problem["seeds"][0]["correct"]},
            title=f"{problem['benchmark']}, {problem['id']}",
            problem=problem["problem"],
            gold=" or ".join(problem["gold"]),
        )
        for problem in _spread(sampled, lambda problem: problem["seeds"][0]["entropy"], count)
    ]


def from_run(run: Run, count: int = 6) -> list[Example]:
    """Prompts of a run's last step; mixed ones if there are any, for only there the weight acts."""
    if not run.prompts:
        return []
    last = max(prompt["step"] for prompt in run.prompts)
    prompts = [prompt for prompt in run.prompts if prompt["step"] == last]
    mixed = [prompt for prompt in prompts if 0 < prompt["accuracy"] < 1]
    return [
        _example(
            prompt, title=f"step {last}, {prompt['uid']}", problem=str(prompt.get("prompt") or ""), gold=_gold(prompt)
        )
        for prompt in _spread(mixed or prompts, lambda prompt: prompt["entropy"], count)
    ]


def _gold(prompt: dict[str, Any]) -> str:
    gold = prompt.get("gold")
    return "" if gold is None else " or ".join(map(str, gold)) if isinstance(gold, list) else str(gold)


def _example(record: dict[str, Any], *, title: str, problem: str, gold: str) -> Example:
    members: dict[int, list[int]] = {}
    for index, cluster in enumerate(record["cluster_ids"]):
        members.setdefault(cluster, []).append(index)
    clusters = [
        Cluster(
            answer=None if record["answers"][rows[0]] is None else shorten(record["answers"][rows[0]], MAX_ANSWER),
            count=len(rows),
            correct=bool(record["rewards"][rows[0]]),
        )
        for rows in sorted(members.values(), key=len, reverse=True)
    ]
    return Example(
        title=title,
        problem=shorten(problem, MAX_PROBLEM),
        gold=shorten(gold, MAX_ANSWER),
        entropy=record["entropy"],
        max_entropy=record["max_entropy"],
        weight=record["weight"],
        accuracy=record["accuracy"],
        clusters=clusters,
    )


def shorten(text: str, limit: int) -> str:
    """At most so many characters, and none that a page cannot show."""
    text = "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text[: limit + 1])
    return text if len(text) <= limit else text[:limit] + " …"


def _spread(items: Sequence[Any], key: Any, count: int) -> list[Any]:
    """Some of the items, from the least to the greatest key at even distances."""
    ordered = sorted(items, key=key)
    if len(ordered) <= count:
        return ordered
    return [ordered[round(at * (len(ordered) - 1) / (count - 1))] for at in range(count)]
