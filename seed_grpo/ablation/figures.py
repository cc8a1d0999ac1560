"""The figures of a study, as SVG and as PNG."""

from __future__ import annotations

from seed_grpo.ablation.results import Results
from seed_grpo.report.figures import Figure


def draw_all(results: Results) -> list[Figure]:
    """Every figure that the runs suffice for."""
    return []
