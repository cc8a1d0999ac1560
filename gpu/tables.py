"""Writes what run.sh measured into the documentation: `python gpu/tables.py results/results.json [--write]`.

Without `--write`, the tables are printed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NONE = "–"
RUNS = {"hf": "sums, transformers' rollouts", "vllm": "sums, vLLM's rollouts", "smollm2": "SmolLM2-135M on GSM8K"}
METHODS = {"seed_grpo": "SEED-GRPO", "dr_grpo": "Dr.GRPO", "verl_grpo": "stock verl, GRPO"}
STAGES = {"gen": "generation", "old_log_prob": "old log-probs", "adv": "advantage", "update_actor": "update",
          "update_weights": "weights"}  # fmt: skip


def heading(results: dict[str, Any]) -> str:
    """Where and when: the line above each table."""
    about = results["about"]
    cards = about["cards"]
    names = ", ".join(sorted({f"{cards.count(card)} × {card}" for card in cards})) or f"no GPU, {about['cores']} cores"
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"{about['date']}, {names}, Python {about['python']}, CUDA {about['cuda'] or NONE}, {versions}:"


def number(value: float | None, form: str) -> str:
    return NONE if value is None else format(value, form)


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join([row(*header), row(*["---"] * len(header)), *(row(*cells) for cells in rows)])


def runs(results: dict[str, Any]) -> str:
    """Runs that learn something, for docs/cluster.md."""
    rows = []
    for name, label in RUNS.items():
        stage = results["stages"].get(name)
        if stage is None:
            continue
        if stage["status"] != "done":
            rows.append([label, f"failed: {stage['reason'][:200].replace('|', '/')}", *[NONE] * 4])
            continue
        curve = " → ".join(f"{accuracy:.1%}" for accuracy in stage["validation_accuracy"].values())
        rows.append(
            [label, str(stage["steps"]), number(stage["seconds"]["step"], ".2f"), number(stage["memory_gb"], ".1f"),
             curve or NONE, number(stage["largest_probability_difference"], ".1e")]
        )  # fmt: skip
    return table(["run", "steps", "seconds per step", "memory, GB", "accuracy", "largest probability difference"], rows)


def large(results: dict[str, Any]) -> str:
    """Blocks of the model of 1.5B parameters, for docs/benchmarks.md."""
    stage = results["stages"].get("large", {"status": "failed", "reason": "not run"})
    if stage["status"] != "done":
        return f"The large model was not measured: {stage['reason']}"
    rows = []
    for name, label in METHODS.items():
        for block in stage.get(name, []):
            seconds = block["seconds"]
            split = ", ".join(f"{text} {seconds[key]:.2f}" for key, text in STAGES.items() if key in seconds)
            rows.append(
                [label, f"{seconds['step']:.2f}", f"{block['tokens_per_second']:,.0f}", split,
                 number(block["memory_gb"], ".1f")]
            )  # fmt: skip
    sizes = stage["sizes"]
    size = (
        f"{sizes['prompts']} prompts of {sizes['prompt_length']} tokens at most × {sizes['responses']} responses of "
        f"{sizes['response_length']}, {sizes['architecture']['num_hidden_layers']} layers of "
        f"{sizes['architecture']['hidden_size']}; blocks in the order in which each method ran:"
    )
    header = ["", "seconds per step", "tokens per second", "seconds per step, by stage", "memory, GB"]
    return f"{size}\n\n{table(header, rows)}"


PLACES = {"docs/cluster.md": runs, "docs/benchmarks.md": large}
"""Which table stands where, between the two marks."""
MARKS = "<!-- gpu -->\n", "<!-- /gpu -->"


def replaced(text: str, content: str) -> str:
    """A page with new content between the marks."""
    before, found, rest = text.partition(MARKS[0])
    _, closed, after = rest.partition(MARKS[1])
    if not (found and closed):
        raise SystemExit(f"The page has no {MARKS[0].strip()} … {MARKS[1]}.")
    return f"{before}{MARKS[0]}{content}\n{MARKS[1]}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="results.json of gpu/run.sh")
    parser.add_argument("--write", action="store_true", help="put the tables into the pages")
    asked = parser.parse_args()
    results = json.loads(asked.results.read_text(encoding="utf-8"))
    if asked.write and not results["about"]["cards"]:
        raise SystemExit("These results are from a machine without a GPU: they do not belong into the pages.")
    for place, make in PLACES.items():
        content = f"{heading(results)}\n\n{make(results)}"
        if asked.write:
            page = ROOT / place
            page.write_text(replaced(page.read_text(encoding="utf-8"), content), encoding="utf-8")
        else:
            print(f"{place}\n\n{content}\n")


if __name__ == "__main__":
    main()
