"""The responses of an evaluation under another grader: both accuracies and every disagreement, for results.json.

The other grader reads whole responses and finds the answers itself, as it does where it is the only one. So a
disagreement can be about where the answer stands as well as about what it is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seed_grpo.evaluation.backends import Completion
from seed_grpo.evaluation.problems import Benchmark
from seed_grpo.evaluation.responses import Key
from seed_grpo.evaluation.task import Task
from seed_grpo.meaning.graders import SecondOpinion
from seed_grpo.meaning.graders.compare import Case, accuracies, disagreements, opinions


def also_grade(
    other: SecondOpinion, task: Task, have: Mapping[Key, Completion], grades: Mapping[Key, Mapping[str, Any]]
) -> dict[str, Any]:
    """What results.json says under `also_graded`.

    Args:
        other: the other grader.
        task: what was asked for.
        have: every response.
        grades: our `answer` and `correct` for each response.
    """
    numbers: dict[str, dict[str, Any]] = {}
    found: list[dict[str, Any]] = []
    for benchmark in task.benchmarks:
        kinds = {"greedy": task.greedy_keys(benchmark)}
        if task.settings.samples:
            seeds = task.settings.seeds
            kinds["samples"] = [key for seed in seeds for row in task.sample_keys(benchmark, seed) for key in row]
        cases = {kind: _cases(benchmark, keys, have, grades) for kind, keys in kinds.items()}
        together = [case for each in cases.values() for case in each]
        verdicts = opinions(other, together)
        found += disagreements(together, verdicts)
        numbers[benchmark.name] = {}
        for kind, each in cases.items():
            numbers[benchmark.name][kind] = accuracies(each, verdicts[: len(each)])
            verdicts = verdicts[len(each) :]
    return {
        "grader": other.grader.name,
        "version": other.version,
        "average": {
            who: sum(each["greedy"][who] for each in numbers.values()) / len(numbers) for who in ("ours", "theirs")
        },
        "benchmarks": numbers,
        "disagreements": found,
    }


def _cases(
    benchmark: Benchmark, keys: Sequence[Key], have: Mapping[Key, Completion], grades: Mapping[Key, Mapping[str, Any]]
) -> list[Case]:
    golds = {problem.id: problem.golds for problem in benchmark.problems}
    return [
        Case(
            have[key].text,
            grades[key]["answer"],
            golds[key.problem],
            grades[key]["correct"],
            {"benchmark": benchmark.name, "id": key.problem},
        )
        for key in keys
    ]
