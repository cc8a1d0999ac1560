"""`seed-grpo train`: one training run."""

from __future__ import annotations

from typing import Annotated

import typer


def train(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Hydra overrides.", metavar="[KEY=VALUE]...", show_default=False)
    ] = None,
    show_config: Annotated[bool, typer.Option("--show-config", help="Print the configuration and stop.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show verl's log, not only the progress.")] = False,
) -> None:
    """Train with SEED-GRPO or a baseline. Started again, an interrupted run continues from its last checkpoint.

    Example: seed-grpo train experiment=quickstart seed_grpo.alpha=0.1

    Example: seed-grpo train baseline=dr_grpo trainer.experiment_name=quickstart_dr_grpo
    """
    from rich.console import Console

    from seed_grpo.runs.summary import summary_table
    from seed_grpo.training.compose import compose_config
    from seed_grpo.training.launch import run_training

    config = compose_config(overrides or [])
    if show_config:
        from omegaconf import OmegaConf

        print(OmegaConf.to_yaml(config))
        return
    summary = run_training(config, verbose=verbose)
    console = Console()
    console.print(summary_table(summary))
    console.print(f"Records, curves.png and checkpoints: {config.trainer.default_local_dir}")
