"""SEED-GRPO: GRPO whose advantages are scaled down where the policy's own answers disagree (arXiv 2505.12346).

    response → answer → key → cluster → entropy → weight → advantage

Each arrow is a function below; none of them needs torch, verl or Ray. `seed_grpo.verl_plugin` trains with them. A
function is loaded when it is first used: the processes that compare answers load no numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from seed_grpo.version import __version__

if TYPE_CHECKING:
    from seed_grpo.advantages import seed_grpo_advantages
    from seed_grpo.meaning.answers import extract_answer
    from seed_grpo.meaning.equivalence import cluster_answers, grade_answer
    from seed_grpo.method.entropy import semantic_entropy
    from seed_grpo.method.weighting import uncertainty_weight

__all__ = [
    "__version__",
    "cluster_answers",
    "extract_answer",
    "grade_answer",
    "seed_grpo_advantages",
    "semantic_entropy",
    "uncertainty_weight",
]

_MODULES = {
    "extract_answer": "seed_grpo.meaning.answers",
    "cluster_answers": "seed_grpo.meaning.equivalence",
    "grade_answer": "seed_grpo.meaning.equivalence",
    "semantic_entropy": "seed_grpo.method.entropy",
    "uncertainty_weight": "seed_grpo.method.weighting",
    "seed_grpo_advantages": "seed_grpo.advantages",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
