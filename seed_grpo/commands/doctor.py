"""`seed-grpo doctor`: can this machine run it?"""

from __future__ import annotations

from typing import Annotated

import typer

from seed_grpo.terminal import make_console


def doctor(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Hydra overrides.", metavar="[KEY=VALUE]...", show_default=False)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Do not start Ray to look for the plugin there.")] = False,
) -> None:
    """Check versions, plugin, devices, logical CPUs, disk and shared memory for a configuration. Exit 1 if one fails.

    Example: seed-grpo doctor

    Example: seed-grpo doctor experiment=qwen2.5_math_7b platform=gpu
    """
    from rich.table import Column, Table
    from rich.text import Text

    from seed_grpo.training.compose import compose_config
    from seed_grpo.training.doctor import examine

    findings = examine(compose_config(overrides or []), start_ray=not quick)
    # A name that is cut off cannot be typed.
    table = Table("", "check", Column("seen", overflow="fold"), Column("remedy", overflow="fold"))
    for finding in findings:
        mark = Text("ok", style="green") if finding.ok else Text("no", style="red")
        table.add_row(mark, finding.name, finding.seen, "" if finding.ok else finding.remedy)
    make_console().print(table)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
