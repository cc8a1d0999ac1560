"""From responses to the numbers of `results.json` and the records of `problems.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from seed_grpo.method.settings import MethodSettings
from seed_grpo.method.weighting import uncertainty_weight

if TYPE_CHECKING:
    from seed_grpo.evaluation.run import Settings


@dataclass(frozen=True)
class Summary:
    """What an evaluation comes to.

    Attributes:
        numbers: per benchmark and on average.
        problems: a record a problem.
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
    """

    correct_SPK: Bools
    answered_SPK: Bools
    truncated_SPK: Bools
    clusters_SPK: Ints
    uncertainty_SP: dict[str, Floats]
    majority_SP: Bools


def summarize(settings: Settings, benchmarks: Sequence[Benchmark], have: Mapping[Key, Completion]) -> Summary:
    """Grade all responses and count.

    Args:
        settings: what was asked for.
        benchmarks: what it was asked on.
        have: every response.
    """
    numbers: dict[str, Any] = {}
    records: list[dict[str, Any]] = []
    grades: dict[Key, Grade] = {}
    samples: dict[str, _Samples] = {}
    greedy: dict[str, Bools] = {}
    for benchmark in benchmarks:
        graded = _grade(settings, benchmark, have)
        grades.update(graded)
        greedy_keys = [Key(benchmark.name, problem.id, 0, GREEDY) for problem in benchmark.problems]
        greedy[benchmark.name] = np.array([graded[key].correct for key in greedy_keys])
        numbers[benchmark.name] = {
            "n": len(benchmark.problems),
            "expected_rows": benchmark.origin.get("expected_rows"),
            "pass_at_1": float(greedy[benchmark.name].mean()),
            "pass_at_1_interval": bootstrap_interval(greedy[benchmark.name].astype(float)),
            "truncated": sum(have[key].truncated for key in greedy_keys),
            "no_answer": sum(graded[key].answer is None for key in greedy_keys),
            **_lengths([have[key] for key in greedy_keys]),
        }
        if settings.samples:
            samples[benchmark.name] = _samples(settings, benchmark, have, graded)
            numbers[benchmark.name].update(_sampled_numbers(settings, samples[benchmark.name], greedy[benchmark.name]))
        records.extend(_records(settings, benchmark, graded, samples.get(benchmark.name)))
    totals: dict[str, Any] = {
        "benchmarks": numbers,
        "average": float(np.mean([each["pass_at_1"] for each in numbers.values()])),
    }
    if settings.samples:
        totals["averages"] = _averages(settings, numbers)
        totals["uncertainty"] = _uncertainty(list(samples.values()), list(greedy.values()))
    lines = {key: {"answer": grade.answer, "correct": grade.correct} for key, grade in grades.items()}
    return Summary(totals, records, lines)


def _grade(settings: Settings, benchmark: Benchmark, have: Mapping[Key, Completion]) -> dict[Key, Grade]:
    keys = [
        Key(benchmark.name, problem.id, seed, sample)
        for problem in benchmark.problems
        for seed, sample in [(0, GREEDY), *((s, k) for s in settings.seeds for k in range(settings.samples))]
    ]
    golds = {problem.id: problem.golds for problem in benchmark.problems}
    graded = grade_responses(
        [have[key].text for key in keys],
        [golds[key.problem] for key in keys],
        answer_template=benchmark.template.answer_template,
        level=settings.grade_level,
    )
    return dict(zip(keys, graded, strict=True))


def _samples(
    settings: Settings, benchmark: Benchmark, have: Mapping[Key, Completion], graded: Mapping[Key, Grade]
) -> _Samples:
    keys_SPK = [
        [[Key(benchmark.name, problem.id, seed, k) for k in range(settings.samples)] for problem in benchmark.problems]
        for seed in settings.seeds
    ]
    clusters_SPK = np.array(
        [cluster([[graded[key].answer for key in row] for row in rows], settings.cluster_level) for rows in keys_SPK]
    )
    correct_SPK = np.array([[[graded[key].correct for key in row] for row in rows] for rows in keys_SPK])
    answered_SPK = np.array([[[graded[key].answer is not None for key in row] for row in rows] for rows in keys_SPK])
    by_seed = [uncertainties(clusters_PK) for clusters_PK in clusters_SPK]
    return _Samples(
        correct_SPK=correct_SPK,
        answered_SPK=answered_SPK,
        truncated_SPK=np.array([[[have[key].truncated for key in row] for row in rows] for rows in keys_SPK]),
        clusters_SPK=clusters_SPK,
        uncertainty_SP={name: np.array([each[name] for each in by_seed]) for name in ESTIMATORS},
        majority_SP=np.array(
            [majority_correct(*rows) for rows in zip(correct_SPK, clusters_SPK, answered_SPK, strict=True)]
        ),
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


def _lengths(completions: Sequence[Completion]) -> dict[str, Any]:
    tokens = [completion.tokens for completion in completions if completion.tokens is not None]
    if not tokens:
        return {"tokens_mean": None, "tokens_max": None}
    return {"tokens_mean": float(np.mean(tokens)), "tokens_max": max(tokens)}


def _records(
    settings: Settings, benchmark: Benchmark, graded: Mapping[Key, Grade], samples: _Samples | None
) -> list[dict[str, Any]]:
    method = MethodSettings()
    records = []
    for p, problem in enumerate(benchmark.problems):
        greedy = graded[Key(benchmark.name, problem.id, 0, GREEDY)]
        record: dict[str, Any] = {
            "benchmark": benchmark.name,
            "id": problem.id,
            "problem": problem.problem,
            "gold": list(problem.golds),
            "greedy_answer": greedy.answer,
            "greedy_correct": greedy.correct,
        }
        if samples is not None:
            record["seeds"] = []
            for s, seed in enumerate(settings.seeds):
                answers = [graded[Key(benchmark.name, problem.id, seed, k)].answer for k in range(settings.samples)]
                chosen = majority(samples.clusters_SPK[s, p].tolist(), samples.answered_SPK[s, p].tolist())
                entropy = float(samples.uncertainty_SP["monte_carlo"][s, p])
                record["seeds"].append(
                    {
                        "seed": seed,
                        "answers": answers,
                        "cluster_ids": samples.clusters_SPK[s, p].tolist(),
                        "correct": samples.correct_SPK[s, p].tolist(),
                        "accuracy": float(samples.correct_SPK[s, p].mean()),
                        "majority_answer": None if chosen is None else answers[chosen],
                        "majority_correct": bool(samples.majority_SP[s, p]),
                        "K": len(set(samples.clusters_SPK[s, p].tolist())),
                        "entropy": entropy,
                        "entropy_rao_blackwell": float(samples.uncertainty_SP["rao_blackwell"][s, p]),
                        "max_entropy": float(np.log(settings.samples)),
                        # What training with the paper's settings would multiply this prompt's advantages by.
                        "weight": uncertainty_weight(
                            entropy, float(np.log(settings.samples)), alpha=method.alpha, form=method.form
                        ),
                    }
                )
        records.append(record)
    return records
