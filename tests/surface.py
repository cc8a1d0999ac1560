"""Every command on paths of every kind, in this process and its environment: `python surface.py FOLDER OUT.json`.

Each call ends early by design (a dry run, a missing model, a small file), so that the surface is what is tested: a
status, one line for a failure, never a traceback. `test_surface.py` starts it in several environments.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

KINDS = {
    "blank": "a folder",
    "umlaut": "grüße",
    "bracket": "[red]x",
    "equals": "a=b",
    "long": "l" * 120,
    "tilde": "~",
}


def commands(folder: Path, given: str) -> dict[str, tuple[list[str], int]]:
    """Arguments and status of each command; `given` is the folder as a person types it."""
    quoted = f"'{given}/%s'"  # as docs say for Hydra overrides with special characters

    def hydra(key: str, name: str) -> str:
        return f"{key}={quoted % name}"

    prepare = ["data", "prepare", "-d", "gsm8k", "--split", "test"]
    return {
        "help": (["--help"], 0),
        "train --help": (["train", "--help"], 0),
        "analyze": (["analyze", f"{given}/run/prompts.jsonl", "--out", f"{given}/analysis"], 0),
        "report": (["report", f"{given}/run", "--out", f"{given}/report"], 0),
        "data prepare": ([*prepare, "--source", f"{given}/gsm8k.jsonl", "--out", f"{given}/data"], 0),
        "plan": (["plan", "experiment=qwen2.5_math_7b", "platform=gpu", "--gpu", "h100", hydra("data_dir", "data")], 0),
        "train": (["train", hydra("data.train_files", "gone.parquet"), hydra("trainer.default_local_dir", "new")], 1),
        "ablate": (["ablate", "--study", "table4d", "--dry-run", "--out", f"{given}/study"], 0),
        "eval": (["eval", "--model", f"{given}/none", "--data", f"{given}/data", "--out", f"{given}/results"], 1),
        "export": (["export", f"{given}/run", "--out", f"{given}/exported"], 2),
        "quickstart": (["quickstart", "--out", f"{given}/gsm8k.jsonl"], 2),
    }


def call(arguments: list[str], output: io.TextIOBase | None) -> dict[str, Any]:
    """One command in this process, as its console script would run it."""
    from seed_grpo.cli import main

    errors = io.StringIO()
    sys.argv = ["seed-grpo", *arguments]
    status: Any = 0
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(output):
            main()
    except SystemExit as end:
        status = 0 if end.code is None else end.code
    except BaseException:
        status = traceback.format_exc()
    lines = [line for line in errors.getvalue().splitlines() if line.startswith("seed-grpo:")]
    return {"status": status, "errors": lines, "stderr": errors.getvalue()[-2000:]}


class Encoded(io.TextIOWrapper):
    """Standard output of the environment's encoding that keeps what was written."""

    def __init__(self) -> None:
        super().__init__(
            io.BytesIO(), encoding=sys.__stdout__.encoding, errors=sys.__stdout__.errors, write_through=True
        )  # type: ignore[union-attr]

    def text(self) -> str:
        return self.buffer.getvalue().decode(self.encoding, "replace")  # type: ignore[attr-defined]


def main(root: Path, out: Path) -> None:
    results: dict[str, dict[str, Any]] = {}
    for kind, name in KINDS.items():
        folder = Path(os.environ["HOME_OF_TILDE"]) if kind == "tilde" else root / name
        given = "~" if kind == "tilde" else str(folder)
        for command, (arguments, expected) in commands(folder, given).items():
            output = Encoded() if sys.__stdout__ is not None else None  # None: it is closed
            result = call(arguments, output)
            shown = output.text()[-3000:] if output else ""
            results[f"{command}, {kind}"] = {**result, "expected": expected, "stdout": shown}
    out.write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
