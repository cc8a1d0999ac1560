"""The model card of an exported checkpoint: method settings, data, numbers, versions, commit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seed_grpo.data.manifest import read_manifest
from seed_grpo.errors import SeedGrpoError
from seed_grpo.runs.names import METRICS, SUMMARY
from seed_grpo.runs.records import read_lines
from seed_grpo.version import __version__

PAPER = "https://arxiv.org/abs/2505.12346"
TRAINING = {
    "learning rate": "actor_rollout_ref.actor.optim.lr",
    "prompts per step": "data.train_batch_size",
    "responses per prompt": "actor_rollout_ref.rollout.n",
    "prompts per minibatch": "actor_rollout_ref.actor.ppo_mini_batch_size",
    "prompt length, tokens": "data.max_prompt_length",
    "response length, tokens": "data.max_response_length",
    "temperature": "actor_rollout_ref.rollout.temperature",
    "loss over tokens": "actor_rollout_ref.actor.loss_agg_mode",
    "divided by the standard deviation": "algorithm.norm_adv_by_std_in_grpo",
    "KL in the loss": "actor_rollout_ref.actor.use_kl_loss",
    "seed": "seed",
}
"""The settings that a reader asks for first; config.yaml, next to the card, has all of them."""


def write_card(folder: Path, run: Path, config: Mapping[str, Any], step: int, notes: Sequence[str]) -> None:
    """Write `README.md` and the run's configuration into an exported model's folder.

    Args:
        folder: the exported model.
        run: the run's output folder: its summary and metrics are read.
        config: the run's configuration.
        step: the step of the checkpoint.
        notes: what else a reader must know.
    """
    import yaml

    base, on_hub = str(config["actor_rollout_ref"]["model"]["path"]), True
    if Path(base).expanduser().exists():
        base, on_hub = Path(base).name, False
    estimator = config["algorithm"]["adv_estimator"]
    front: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["reinforcement-learning", "verl", str(estimator)],
    }
    if on_hub:
        front["base_model"] = base
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        f"# {cell(Path(base).name)}, {cell(estimator)}, step {step}",
        _lead(estimator, base, step),
        *(f"> {cell(note)}" for note in notes),
        "## Method",
        table(("setting", "value"), config["seed_grpo"].items()),
        "## Training",
        table(("setting", "value"), ((name, lookup(config, key)) for name, key in TRAINING.items())),
        "## Data",
        _data(config["data"]),
        "## Numbers",
        _numbers(run, step),
        "## Made with",
        table(("what", "version"), _versions(run).items()),
    ]
    (folder / "README.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    (folder / "training_config.yaml").write_text(
        yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True), encoding="utf-8"
    )


def _lead(estimator: str, base: str, step: int) -> str:
    what = {
        "seed_grpo": f"SEED-GRPO ([paper]({PAPER})): GRPO whose advantages are scaled down on prompts for which the "
        "policy's own answers disagree in meaning",
        "grpo": "GRPO in the settings below; semantic entropy was recorded and changed nothing",
    }.get(estimator, f"the advantage estimator `{cell(estimator)}`")
    return f"`{cell(base)}` after {step} steps of {what}. The weights are in bfloat16."


def _data(data: Mapping[str, Any]) -> str:
    rows = []
    for use, key in (("training", "train_files"), ("validation", "val_files")):
        files = data[key] if isinstance(data[key], list) else [data[key]]
        for path in map(Path, files):
            manifest = _manifest(path)
            source = manifest.get("source", {})
            origin = " ".join(str(source[name]) for name in ("kind", "id", "revision", "module") if source.get(name))
            digest = str(manifest.get("sha256", ""))[:16]
            rows.append((use, path.name, manifest.get("rows", ""), manifest.get("template", ""), origin, digest))
    return table(("use", "file", "rows", "template", "source", "SHA-256, first 16"), rows)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        return read_manifest(path)
    except SeedGrpoError:
        return {}  # the card then has the file's name alone


def _numbers(run: Path, step: int) -> str:
    """The last training and validation numbers up to the checkpoint."""
    records = [record for record in read_lines(run / METRICS) if record["step"] <= step]
    first: dict[str, tuple[int, float]] = {}
    last: dict[str, tuple[int, float]] = {}
    for record in records:
        for name, value in record.items():
            if name in ("val/accuracy", "train/accuracy") or name.startswith(("seed_grpo/", "val-core/")):
                first.setdefault(name, (record["step"], value))
                last[name] = (record["step"], value)
    rows = [(name, f"{first[name][1]:.4g} (step {first[name][0]})", f"{value:.4g} (step {at})")
            for name, (at, value) in sorted(last.items())]  # fmt: skip
    return table(("metric", "first", "last"), rows) if rows else "The run recorded none."


def _versions(run: Path) -> dict[str, Any]:
    try:
        summary = json.loads((run / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        from seed_grpo.runs.summary import code_commit, versions

        # The run has not ended: what is installed now.
        summary = {"versions": versions(), "commit": code_commit()}
    return {**summary.get("versions", {}), "commit": summary.get("commit") or "unknown", "exported with": __version__}


def lookup(config: Mapping[str, Any], key: str) -> Any:
    """A value by its dotted name."""
    value: Any = config
    for part in key.split("."):
        value = value[part]
    return value


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; no cell's content can break out of it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def cell(value: Any) -> str:
    """Text that is safe in a line of Markdown."""
    text = " ".join(str(value).split())
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
