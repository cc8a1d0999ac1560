"""Settings: how answers are found, graded and clustered."""

from __future__ import annotations

from dataclasses import dataclass

from seed_grpo.errors import UsageError
from seed_grpo.meaning.answers import TEMPLATES
from seed_grpo.meaning.equivalence import NO_ANSWER_RULES
from seed_grpo.meaning.equivalence.keys import LEVELS
from seed_grpo.meaning.registry import check_name


@dataclass(frozen=True)
class MeaningSettings:
    """How answers are found, graded and clustered; the defaults are the paper's.

    Attributes:
        meaning: when two responses mean the same: `exact`, `normalized` or `symbolic` (equal keys of the final
            answers), or `package.module:factory` (`seed_grpo.meaning.registry`).
        no_answer: a response without an answer is a cluster of its own (`singleton`), shares one with the others
            (`shared`), or takes no part in the entropy (`drop`).
        grade_level: the level at which an answer is compared with the gold answer; never finer than a `meaning` by
            answers, so that a cluster is right or wrong as a whole.
        answer_template: where a response holds its answer (`seed_grpo.meaning.answers`).
    """

    meaning: str = "exact"
    no_answer: str = "singleton"
    grade_level: str = "symbolic"
    answer_template: str = "boxed"

    def __post_init__(self) -> None:
        check_name(self.meaning)
        for name, choices in (
            ("no_answer", NO_ANSWER_RULES),
            ("grade_level", LEVELS),
            ("answer_template", tuple(TEMPLATES)),
        ):
            if getattr(self, name) not in choices:
                raise UsageError(f"Unknown {name} {getattr(self, name)!r}.", f"choose one of {', '.join(choices)}.")
        if self.meaning in LEVELS and LEVELS.index(self.grade_level) < LEVELS.index(self.meaning):
            raise UsageError(
                f"grade_level {self.grade_level!r} is finer than meaning {self.meaning!r}: "
                "a cluster could be half rewarded.",
                "choose a grade_level at least as coarse as the meaning.",
            )
