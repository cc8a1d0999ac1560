"""`seed-grpo train`: one training run."""

from __future__ import annotations

from typing import Annotated

import typer

from seed_grpo.terminal import make_console, say


def train(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Hydra overrides.", metavar="[KEY=VALUE]...", show_default=False)
    ] = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print the resolved configuration and stop.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show verl's log, not only the progress.")] = False,
) -> None:
    """Train with SEED-GRPO or a baseline. Started again, an interrupted run resumes from its last checkpoint.

    Example: seed-grpo train experiment=quickstart baseline=dr_grpo

    Example: seed-grpo train experiment=qwen2.5_math_7b platform=gpu seed_grpo.alpha=0.1
    """

    from seed_grpo.runs.summary import summary_table
    from seed_grpo.training.compose import as_yaml, compose_config
    from seed_grpo.training.launch import run_training

    config = compose_config(overrides or [])
    if show_config:
        print(as_yaml(config))
        return
    summary = run_training(config, verbose=verbose)
    make_console().print(summary_table(summary))
    if not config.trainer.val_only:
        say(f"Records, curves.png and checkpoints: {config.trainer.default_local_dir}")
