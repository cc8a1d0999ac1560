"""SEED-GRPO: GRPO whose advantages are scaled down where the policy's own answers disagree (arXiv 2505.12346).

    response → answer → key → cluster → entropy → weight → advantage

Each arrow is a function below; none of them needs torch, verl or Ray. `seed_grpo.verl_plugin` trains with them.
"""

from seed_grpo.advantage import seed_grpo_advantages
from seed_grpo.entropy import semantic_entropy
from seed_grpo.version import __version__
from seed_grpo.weighting import uncertainty_weight

__all__ = [
    "__version__",
    "seed_grpo_advantages",
    "semantic_entropy",
    "uncertainty_weight",
]
