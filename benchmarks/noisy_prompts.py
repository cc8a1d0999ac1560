"""Does semantic entropy find the prompts whose gold answer is wrong? `python benchmarks/noisy_prompts.py STUDY_FOLDER`.

For each run of the study `noise` that trained on wrong golds: the area under the ROC curve (AUROC) of the entropy, of
the success rate and of the majority's disagreement with the gold answer, for telling wrong golds from right ones among
hard sums. 0.5 is chance. By third of the training, mean and standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seed_grpo.ablation.measures import plain_mean_and_std
from seed_grpo.data.arithmetic import HARD, level_of
from seed_grpo.evaluation.metrics import spread

SIGNALS = {
    "entropy": lambda record: record["entropy"],
    "share of wrong responses": lambda record: 1.0 - sum(record["rewards"]) / len(record["rewards"]),
    "majority disagrees": lambda record: float(majority(record["answers"]) != record["gold"][0]),
}
THIRDS = 3


def majority(answers: Sequence[str | None]) -> str | None:
    """The most frequent answer, of several the first."""
    return max(answers, key=answers.count)


def hard_records(run: Path) -> Iterator[tuple[dict[str, Any], bool]]:
    """The prompts' records of a run, hard sums only, and whether the gold answer of each is wrong."""
    with open(run / "prompts.jsonl", encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            first, second = map(int, record["prompt"].rstrip("=").split("+"))
            if level_of(first, second) == HARD:
                yield record, record["gold"][0] != str(first + second)


def auroc(wrong: Sequence[float], right: Sequence[float]) -> float:
    """The probability that a wrong gold's signal exceeds a right one's; ties count half."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(wrong, right).statistic) / (len(wrong) * len(right))


def measure(run: Path) -> dict[str, list[float]]:
    """Each signal's AUROC in each third of a run's steps."""
    records = list(hard_records(run))
    last = max(record["step"] for record, _ in records)
    found: dict[str, list[float]] = {}
    for third in range(THIRDS):
        part = [each for each in records if (each[0]["step"] - 1) * THIRDS // last == third]
        for name, signal in SIGNALS.items():
            wrong = [signal(record) for record, is_wrong in part if is_wrong]
            right = [signal(record) for record, is_wrong in part if not is_wrong]
            found.setdefault(name, []).append(auroc(wrong, right))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="the folder of `seed-grpo ablate --study noise`")
    parser.add_argument("--json", type=Path, help="write the numbers of each run")
    options = parser.parse_args()
    runs = sorted(path.parent for path in options.study.glob("runs/wrong_*/seed_*/summary.json"))
    if not runs:
        parser.error(f"{options.study} has no finished run with wrong golds: start the study `noise` first")
    measured = {f"{run.parent.name}/{run.name}": measure(run) for run in runs}
    print("| arm | signal | seeds | first third | second third | last third |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for arm in dict.fromkeys(run.parent.name for run in runs):
        for name in SIGNALS:
            seeds = [found[name] for key, found in measured.items() if key.split("/")[0] == arm]
            cells = [plain_mean_and_std(**spread(values)) for values in zip(*seeds, strict=True)]
            print(f"| {arm} | {name} | {len(seeds)} | {' | '.join(cells)} |")
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
