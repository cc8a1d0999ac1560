"""From responses to the numbers of `results.json` and the records of `problems.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seed_grpo.evaluation.backends import Completion
from seed_grpo.evaluation.grading import Grade, cluster, grade_responses
from seed_grpo.evaluation.metrics import (
    Bools,
    Floats,
    Ints,
    bootstrap_interval,
    majority,
    majority_correct,
    pass_at_k,
    spread,
)
from seed_grpo.evaluation.problems import Benchmark
from seed_grpo.evaluation.responses import GREEDY, Key
from seed_grpo.evaluation.selective import ESTIMATORS, adaptive_sampling, quality, uncertainties
from seed_grpo.evaluation.settings import Settings
from seed_grpo.evaluation.task import Task
from seed_grpo.method.settings import MethodSettings
from seed_grpo.method.weighting import uncertainty_weight


@dataclass(frozen=True)
class Summary:
    """What an evaluation comes to.

    Attributes:
        numbers: per benchmark and on average.
        problems: a record per problem.
        grades: answer and verdict of each response, for its line in the file.
    """

    numbers: dict[str, Any]
    problems: list[dict[str, Any]]
    grades: dict[Key, dict[str, Any]]


@dataclass(frozen=True)
class _Samples:
    """The samples of one benchmark.

    Attributes:
        correct_SPK, answered_SPK, truncated_SPK: of each sample, by seed, problem and number.
        clusters_SPK: its cluster among the samples of its problem and seed.
        uncertainty_SP: by each estimator.
        majority_SP: whether the majority's answer is correct.
        identical: problems whose samples, of all seeds together, are one text.
    """

    correct_SPK: Bools
    answered_SPK: Bools
    truncated_SPK: Bools
    clusters_SPK: Ints
    uncertainty_SP: dict[str, Floats]
    majority_SP: Bools
    identical: int


@dataclass(frozen=True)
class _Graded:
    """A benchmark with its responses.

    Attributes:
        task: what was asked for.
        benchmark: on which problems.
        have: every response.
        grades: of each response to this benchmark.
    """

    task: Task
    benchmark: Benchmark
    have: Mapping[Key, Completion]
    grades: Mapping[Key, Grade]

    @property
    def greedy_P(self) -> Bools:
        """Whether each greedy response is correct."""
        return np.array([self.grades[key].correct for key in self.task.greedy_keys(self.benchmark)])


def summarize(task: Task, have: Mapping[Key, Completion]) -> Summary:
    """Grade all responses and count.

    Args:
        task: what was asked for.
        have: every response.
    """
    numbers: dict[str, Any] = {}
    records: list[dict[str, Any]] = []
    grades: dict[Key, Grade] = {}
    samples: dict[str, _Samples] = {}
    greedy: dict[str, Bools] = {}
    for benchmark in task.benchmarks:
        graded = _Graded(task, benchmark, have, _grade(task, benchmark, have))
        grades.update(graded.grades)
        greedy[benchmark.name] = graded.greedy_P
        numbers[benchmark.name] = _greedy_numbers(graded)
        if task.settings.samples:
            samples[benchmark.name] = _samples(graded)
            numbers[benchmark.name].update(_sampled_numbers(task.settings, samples[benchmark.name], graded.greedy_P))
        records.extend(_records(graded, samples.get(benchmark.name)))
    totals: dict[str, Any] = {
        "benchmarks": numbers,
        "average": float(np.mean([each["pass_at_1"] for each in numbers.values()])),
        "warnings": _warnings(task, numbers),
    }
    if task.settings.samples:
        totals["averages"] = _averages(task.settings, numbers)
        totals["uncertainty"] = _uncertainty(list(samples.values()), list(greedy.values()))
    lines = {key: {"answer": grade.answer, "correct": grade.correct} for key, grade in grades.items()}
    return Summary(totals, records, lines)


def _grade(task: Task, benchmark: Benchmark, have: Mapping[Key, Completion]) -> dict[Key, Grade]:
    settings = task.settings
    keys = task.greedy_keys(benchmark)
    for seed in settings.seeds if settings.samples else ():
        keys += [key for row in task.sample_keys(benchmark, seed) for key in row]
    golds = {problem.id: problem.golds for problem in benchmark.problems}
    graded = grade_responses(
        [have[key].text for key in keys],
        [golds[key.problem] for key in keys],
        answer_template=benchmark.form.answer_template,
        level=settings.grade_level,
    )
    return dict(zip(keys, graded, strict=True))


def _greedy_numbers(graded: _Graded) -> dict[str, Any]:
    keys = graded.task.greedy_keys(graded.benchmark)
    completions = [graded.have[key] for key in keys]
    tokens = [completion.tokens for completion in completions if completion.tokens is not None]
    return {
        "n": len(keys),
        "expected_rows": graded.benchmark.origin.get("expected_rows"),
        "pass_at_1": float(graded.greedy_P.mean()),
        "pass_at_1_interval": bootstrap_interval(graded.greedy_P.astype(float)),
        "truncated": sum(completion.truncated for completion in completions),
        "no_answer": sum(graded.grades[key].answer is None for key in keys),
        "tokens_mean": float(np.mean(tokens)) if tokens else None,
        "tokens_max": max(tokens, default=None),
    }


def _samples(graded: _Graded) -> _Samples:
    keys_SPK = [graded.task.sample_keys(graded.benchmark, seed) for seed in graded.task.settings.seeds]
    answers_SPK = [[[graded.grades[key].answer for key in row] for row in rows] for rows in keys_SPK]
    groups = [answers for answers_PK in answers_SPK for answers in answers_PK]
    clusters_SPK = np.array(cluster(groups, graded.task.settings.cluster_level)).reshape(
        len(answers_SPK), len(graded.benchmark.problems), -1
    )
    correct_SPK = np.array([[[graded.grades[key].correct for key in row] for row in rows] for rows in keys_SPK])
    answered_SPK = np.array([[[answer is not None for answer in row] for row in rows] for rows in answers_SPK])
    texts_PN = [
        [graded.have[key].text for row in rows_of_seeds for key in row] for rows_of_seeds in zip(*keys_SPK, strict=True)
    ]
    by_seed = [uncertainties(clusters_PK) for clusters_PK in clusters_SPK]
    return _Samples(
        correct_SPK=correct_SPK,
        answered_SPK=answered_SPK,
        truncated_SPK=np.array([[[graded.have[key].truncated for key in row] for row in rows] for rows in keys_SPK]),
        clusters_SPK=clusters_SPK,
        uncertainty_SP={name: np.array([each[name] for each in by_seed]) for name in ESTIMATORS},
        majority_SP=np.array(
            [majority_correct(*rows) for rows in zip(correct_SPK, clusters_SPK, answered_SPK, strict=True)]
        ),
        identical=sum(len(texts) > 1 and len(set(texts)) == 1 for texts in texts_PN),
    )


def _sampled_numbers(settings: Settings, samples: _Samples, greedy_P: Bools) -> dict[str, Any]:
    ks = sorted(
        {
            settings.samples,
            *(2**power for power in range(settings.samples.bit_length()) if 2**power <= settings.samples),
        }
    )
    per_seed: dict[str, dict[str, Any]] = {
        str(seed): {
            "avg_at_k": float(samples.correct_SPK[s].mean()),
            "maj_at_k": float(samples.majority_SP[s].mean()),
            "pass_at_k": {str(k): pass_at_k(samples.correct_SPK[s], k) for k in ks},
        }
        for s, seed in enumerate(settings.seeds)
    }
    average = spread([each["avg_at_k"] for each in per_seed.values()])
    voted = spread([each["maj_at_k"] for each in per_seed.values()])
    return {
        "k": settings.samples,
        "avg_at_k": average["mean"],
        "avg_at_k_std": average["std"],
        "avg_at_k_interval": bootstrap_interval(samples.correct_SPK.mean(axis=(0, 2))),
        "maj_at_k": voted["mean"],
        "maj_at_k_std": voted["std"],
        "maj_at_k_interval": bootstrap_interval(samples.majority_SP.mean(axis=0)),
        "pass_at_k": {str(k): float(np.mean([each["pass_at_k"][str(k)] for each in per_seed.values()])) for k in ks},
        "truncated_samples": int(samples.truncated_SPK.sum()),
        "no_answer_samples": int((~samples.answered_SPK).sum()),
        "identical_samples": samples.identical,
        "entropy": {name: float(samples.uncertainty_SP[name].mean()) for name in ESTIMATORS if name != "disagreement"},
        "per_seed": per_seed,
        "uncertainty": _uncertainty([samples], [greedy_P]),
    }


def _uncertainty(samples: Sequence[_Samples], greedy: Sequence[Bools]) -> dict[str, Any]:
    """How well the uncertainty of each estimator tells right from wrong, over all problems of the benchmarks."""
    majority_PS = np.concatenate([each.majority_SP.T for each in samples])
    greedy_PS = np.concatenate(
        [np.repeat(each[:, None], s.majority_SP.shape[0], 1) for each, s in zip(greedy, samples, strict=True)]
    )
    found: dict[str, Any] = {}
    for name in ESTIMATORS:
        uncertainty_PS = np.concatenate([each.uncertainty_SP[name].T for each in samples])
        of_greedy = quality(uncertainty_PS, greedy_PS)
        found[name] = {
            **quality(uncertainty_PS, majority_PS),
            "greedy_auroc": of_greedy["auroc"],
            "greedy_auroc_interval": of_greedy["auroc_interval"],
        }
    found["adaptive_sampling"] = adaptive_sampling(
        np.concatenate([each.correct_SPK[0] for each in samples]),
        np.concatenate([each.clusters_SPK[0] for each in samples]),
        np.concatenate([each.answered_SPK[0] for each in samples]),
    )
    return found


def _averages(settings: Settings, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Unweighted means over the benchmarks, each with its spread over the seeds."""
    found: dict[str, Any] = {}
    for name in ("avg_at_k", "maj_at_k"):
        by_seed = [
            float(np.mean([each["per_seed"][str(seed)][name] for each in numbers.values()])) for seed in settings.seeds
        ]
        found[name] = spread(by_seed)["mean"]
        found[f"{name}_std"] = spread(by_seed)["std"]
    found["pass_at_k"] = {
        k: float(np.mean([each["pass_at_k"][k] for each in numbers.values()]))
        for k in next(iter(numbers.values()))["pass_at_k"]
    }
    return found


def _warnings(task: Task, numbers: Mapping[str, Any]) -> list[str]:
    """What a person should look at before they believe the numbers."""
    found = []
    for benchmark in task.benchmarks:
        each, template = numbers[benchmark.name], benchmark.form.answer_template
        if each.get("identical_samples") == each["n"]:
            found.append(
                f"{benchmark.name}: the samples of every problem are one and the same text at temperature "
                f"{task.settings.sample_temperature:g}, so entropy and spread say nothing; see whether the server "
                "decodes greedily."
            )
        if each["no_answer"] == each["n"]:
            found.append(
                f"{benchmark.name}: no greedy response has an answer of the form {template!r}; --answer-template names "
                "another form."
            )
    return found


def _records(graded: _Graded, samples: _Samples | None) -> list[dict[str, Any]]:
    """A record per problem, as problems.jsonl has it."""
    records = []
    for p, problem in enumerate(graded.benchmark.problems):
        greedy = graded.grades[Key(graded.benchmark.name, problem.id, 0, GREEDY)]
        record: dict[str, Any] = {
            "benchmark": graded.benchmark.name,
            "id": problem.id,
            "problem": problem.problem,
            "gold": list(problem.golds),
            "greedy_answer": greedy.answer,
            "greedy_correct": greedy.correct,
        }
        if samples is not None:
            record["seeds"] = [_seed_record(graded, samples, s, p) for s in range(len(graded.task.settings.seeds))]
        records.append(record)
    return records


def _seed_record(graded: _Graded, samples: _Samples, s: int, p: int) -> dict[str, Any]:
    """The samples of problem p under seed s."""
    settings, method = graded.task.settings, MethodSettings()
    seed, problem = settings.seeds[s], graded.benchmark.problems[p]
    keys = [Key(graded.benchmark.name, problem.id, seed, k) for k in range(settings.samples)]
    answers = [graded.grades[key].answer for key in keys]
    clusters_K = samples.clusters_SPK[s, p].tolist()
    chosen = majority(clusters_K, samples.answered_SPK[s, p].tolist())
    entropy, max_entropy = float(samples.uncertainty_SP["monte_carlo"][s, p]), float(np.log(settings.samples))
    return {
        "seed": seed,
        "answers": answers,
        "cluster_ids": clusters_K,
        "correct": samples.correct_SPK[s, p].tolist(),
        "accuracy": float(samples.correct_SPK[s, p].mean()),
        "majority_answer": None if chosen is None else answers[chosen],
        "majority_correct": bool(samples.majority_SP[s, p]),
        "K": len(set(clusters_K)),
        "entropy": entropy,
        "entropy_rao_blackwell": float(samples.uncertainty_SP["rao_blackwell"][s, p]),
        "max_entropy": max_entropy,
        # What training with the paper's settings would multiply this prompt's advantages by.
        "weight": uncertainty_weight(entropy, max_entropy, alpha=method.alpha, form=method.form),
    }
