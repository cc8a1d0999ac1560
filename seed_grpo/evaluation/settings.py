"""What an evaluation is asked for, apart from its problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from seed_grpo.engines.sampling import Sampling
from seed_grpo.errors import UsageError
from seed_grpo.meaning.settings import MeaningSettings


@dataclass(frozen=True)
class Settings:
    """What is asked for.

    Attributes:
        identity: what responses depend on apart from prompt, seed and sampling: model, revision, backend, precision.
        max_tokens: tokens per response at most.
        k: samples per problem in addition to the greedy response; 1 for none, unless a temperature is given.
        temperature: of the samples; None: 1 if there are samples.
        top_p, top_k: of the samples.
        seeds: the samples are drawn once for each.
        cluster_level: when two answers are the same, for majority and entropy.
        grade_level: the level at which answers are compared with the gold answer.
        also_grade: another grader that is asked too (`seed_grpo.meaning.graders`).
        extra: further settings that results.json names.
    """

    identity: dict[str, Any]
    max_tokens: int = 3000
    k: int = 1
    temperature: float | None = None
    top_p: float = 1.0
    top_k: int = -1
    seeds: tuple[int, ...] = (0,)
    cluster_level: str = "symbolic"
    grade_level: str = "symbolic"
    also_grade: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, ok in (
            ("max_tokens", self.max_tokens >= 1),
            ("k", self.k >= 1),
            ("temperature", self.temperature is None or 0 < self.temperature < float("inf")),
            ("top_p", 0 < self.top_p <= 1),
            ("top_k", self.top_k == -1 or self.top_k >= 1),
        ):
            if not ok:
                raise UsageError(f"{name} is {getattr(self, name)}.", f"see `seed-grpo eval --help` for {name}.")
        MeaningSettings(meaning=self.cluster_level, grade_level=self.grade_level)  # checks that they go together

    @property
    def samples(self) -> int:
        """Samples per problem and seed, in addition to the greedy response."""
        return self.k if self.k > 1 or self.temperature is not None else 0

    @property
    def sample_temperature(self) -> float | None:
        """The temperature of the samples; None if there are none."""
        if not self.samples:
            return None
        return 1.0 if self.temperature is None else self.temperature

    def sampling(self, stop: tuple[str, ...], greedy: bool) -> Sampling:
        """How a response is decoded."""
        if greedy or self.sample_temperature is None:
            return Sampling(self.max_tokens, temperature=0.0, stop=stop)
        return Sampling(self.max_tokens, self.sample_temperature, self.top_p, self.top_k, stop)
