"""What an evaluation is: settings and benchmarks, and from them every response that is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from seed_grpo.evaluation.problems import Benchmark
from seed_grpo.evaluation.responses import GREEDY, Key
from seed_grpo.evaluation.settings import Settings


@dataclass(frozen=True)
class Batch:
    """Responses of one benchmark that are decoded in one way."""

    benchmark: Benchmark
    keys: list[Key]
    greedy: bool


@dataclass(frozen=True)
class Task:
    """What is asked for, and on which problems."""

    settings: Settings
    benchmarks: tuple[Benchmark, ...]

    def batches(self, size: int) -> Iterator[Batch]:
        """All responses in order, at most `size` at a time."""
        settings = self.settings
        for benchmark in self.benchmarks:
            passes = [self.greedy_keys(benchmark)]
            passes += [
                [key for keys in self.sample_keys(benchmark, seed) for key in keys]
                for seed in (settings.seeds if settings.samples else ())
            ]
            for number, keys in enumerate(passes):
                for start in range(0, len(keys), size):
                    yield Batch(benchmark, keys[start : start + size], greedy=number == 0)

    def keys(self) -> list[Key]:
        """The responses that are wanted, in order."""
        return [key for batch in self.batches(1 << 20) for key in batch.keys]

    def greedy_keys(self, benchmark: Benchmark) -> list[Key]:
        """The greedy response to each problem."""
        return [Key(benchmark.name, problem.id, 0, GREEDY) for problem in benchmark.problems]

    def sample_keys(self, benchmark: Benchmark, seed: int) -> list[list[Key]]:
        """The samples of each problem under a seed."""
        return [
            [Key(benchmark.name, problem.id, seed, sample) for sample in range(self.settings.samples)]
            for problem in benchmark.problems
        ]

    def described(self) -> dict[str, Any]:
        """The settings as results.json names them."""
        settings = self.settings
        return {
            **settings.identity,
            **settings.extra,
            "max_tokens": settings.max_tokens,
            "k": settings.k,
            "samples": settings.samples,
            "temperature": settings.sample_temperature,
            "top_p": settings.top_p,
            "top_k": settings.top_k,
            "seeds": list(settings.seeds),
            "template": {benchmark.name: benchmark.form.name for benchmark in self.benchmarks},
            "answer_template": {benchmark.name: benchmark.form.answer_template for benchmark in self.benchmarks},
            "cluster_level": settings.cluster_level,
            "grade_level": settings.grade_level,
            "also_grade": settings.also_grade,
            "truncated_rule": "an answer in a response that was cut off counts, as in the paper's evaluation",
            "data": {benchmark.name: benchmark.origin for benchmark in self.benchmarks},
        }
