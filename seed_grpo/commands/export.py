"""`seed-grpo export`: a checkpoint as a Hugging Face folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seed_grpo.terminal import make_console, say


def export(
    run: Annotated[Path, typer.Argument(help="Output folder of a run, or one of its global_step_N folders.")],
    out: Annotated[Path, typer.Option(help="Folder to write; it must not exist yet.")],
    step: Annotated[
        int | None, typer.Option(help="Step of the checkpoint.", show_default="the newest complete one")
    ] = None,
) -> None:
    """Merge a checkpoint's shards into a folder that transformers and vLLM can load, with a model card.

    Example: seed-grpo export runs/quickstart/seed_1/run --out exported/quickstart

    Example: seed-grpo export runs/qwen2.5_math_7b --step 400 --out exported/qwen2.5_math_7b_400
    """
    from seed_grpo.export.checkpoint import export as export_run

    console = make_console(stderr=True)
    with console.status("merging the shards"):
        exported = export_run(run, out, step)
    for note in exported.notes:
        say(f"note: {note}", console, style="yellow")
    print(f"Step {exported.step}: {exported.folder}")
