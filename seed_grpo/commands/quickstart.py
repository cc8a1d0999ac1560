"""`seed-grpo quickstart`: a small model, made here, learns sums with SEED-GRPO."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seed_grpo.engines.threads import let_threads_sleep
from seed_grpo.engines.vllm import require_vllm
from seed_grpo.errors import UsageError

PLATFORMS = {"hf": "cpu", "vllm": "cpu_vllm"}
"""The engines, and the platform of the configuration that each belongs to."""


def quickstart(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Hydra overrides.", metavar="[KEY=VALUE]...", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of model, warm start, data order and sampling.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for model, data and the run.")] = Path("runs/quickstart"),
    engine: Annotated[
        str, typer.Option(help="What decodes: hf (transformers), or vllm (its CPU build, in an environment with it).")
    ] = "hf",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show verl's log, not only the progress.")] = False,
) -> None:
    """Build a small Qwen2 model, warm-start it on sums, and train it through verl's own trainer. Minutes, no GPU.

    Example: seed-grpo quickstart --seed 2

    Example: seed-grpo quickstart --out runs/alpha_1 seed_grpo.alpha=1.0

    Example: bash examples/quickstart.sh --engine vllm
    """
    if engine not in PLATFORMS:
        raise UsageError(f"Unknown engine {engine!r}.", f"choose one of {', '.join(PLATFORMS)}.")
    if engine == "vllm":
        require_vllm()
    let_threads_sleep()
    from seed_grpo.commands.train import train
    from seed_grpo.quickstart.prepare import base_folder, prepare, run_overrides
    from seed_grpo.training.compose import compose_config

    chosen = [*run_overrides(out, seed), f"platform={PLATFORMS[engine]}", *(overrides or [])]
    compose_config(chosen)  # an override that is refused is refused now, and not after the warm start
    prepare(base_folder(out, seed), seed)
    train(chosen, show_config=False, verbose=verbose)
