"""Second opinions: other people's graders, so that anybody can see what the choice of a grader is worth.

A grader is a function `package.module:function` from one JSON text, `[response, [gold, …]]`, to
`{"correct": bool, "answer": str | None}`: whether the response is correct by any of the gold answers, and what the
grader took for its answer. It runs in sandboxed workers, because it reads what a model wrote. A new grader is a module
here and a row of `GRADERS`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.sandbox import Sandbox

SECONDS, MEMORY_BYTES = 5.0, 1 << 30
"""What one response may take of a worker; a grader that needs more gives no verdict."""


@dataclass(frozen=True)
class Grader:
    """Another grader.

    Attributes:
        name: its name on the command line and in results.
        function: what the workers call.
        package: the distribution that it comes from.
        remedy: how to install that.
    """

    name: str
    function: str
    package: str
    remedy: str


GRADERS = {
    grader.name: grader
    for grader in (
        Grader(
            "math-verify",
            "seed_grpo.meaning.graders.math_verify:grade",
            "math-verify",
            "pip install 'math-verify[antlr4_9_3]==0.9.0' (the extra seed-grpo[benchmark]).",
        ),
    )
}


@dataclass(frozen=True)
class Opinion:
    """What another grader says of a response.

    Attributes:
        correct: its verdict; None if it ran out of time or memory, died, or failed.
        answer: what it took for the answer; None if it found none, or gave no verdict.
    """

    correct: bool | None
    answer: str | None = None


class SecondOpinion:
    """Another grader at work.

    Args:
        name: a key of `GRADERS`.
        workers: processes at most.
        seconds: time for one response.
        memory_bytes: address space of each worker.

    Raises:
        UsageError: an unknown name, or a package that is not installed.
        SeedGrpoError: the grader does not work here; said before there is anything to grade.
    """

    def __init__(
        self, name: str, *, workers: int = 2, seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        if name not in GRADERS:
            raise UsageError(f"Unknown grader {name!r}.", f"choose one of {', '.join(GRADERS)}.")
        self.grader = GRADERS[name]
        try:
            self.version = version(self.grader.package)
        except PackageNotFoundError:
            raise UsageError(
                f"Grading with {name} needs a package that is not installed.", self.grader.remedy
            ) from None
        self._sandbox = Sandbox(self.grader.function, workers=workers, soft_seconds=seconds, memory_bytes=memory_bytes)
        try:
            works = self.grade([r"\boxed{1}"], [["1"]])[0].correct is True
        except SeedGrpoError:
            works = False
        if not works:
            self.close()
            raise SeedGrpoError(f"{self.grader.package} {self.version} does not work here.", self.grader.remedy)

    def grade(self, responses: Sequence[str], golds: Sequence[Sequence[str]]) -> list[Opinion]:
        """An opinion on each response; `golds` holds the gold answers of each, any of which counts.

        Raises:
            SeedGrpoError: the workers do not start.
        """
        texts = [json.dumps([response, list(gold)]) for response, gold in zip(responses, golds, strict=True)]
        different = list(dict.fromkeys(texts))
        outcomes = dict(zip(different, self._sandbox.evaluate(different), strict=True))
        return [_opinion(outcomes[text].value) for text in texts]

    def close(self) -> None:
        """End the workers."""
        self._sandbox.close()


def _opinion(value: object) -> Opinion:
    if not isinstance(value, dict) or not isinstance(value.get("correct"), bool):
        return Opinion(None)
    answer = value.get("answer")
    return Opinion(value["correct"], answer if isinstance(answer, str) else None)
