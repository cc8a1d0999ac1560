"""Clusters of 128 prompts × 16 responses: this library's three levels and Math-Verify's verify(), in one run.

    python benchmarks/clustering.py                        # everything, about ten minutes
    python benchmarks/clustering.py --prompts 16           # a quick look
    python benchmarks/clustering.py --only-ours            # without Math-Verify

Our times begin with the responses' text and an empty cache, and so include extraction. `symbolic` is measured twice:
with worker processes that run already, as in every step but the first, and with their start. Math-Verify's times begin
with the extracted answers, and an answer is parsed once a workload. It needs `pip install seed-grpo[benchmark]`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from faults import count_faults
from rich.console import Console
from rich.progress import track
from workloads import Workload, build, load_golds

from seed_grpo.meaning.answers import extract_answer
from seed_grpo.meaning.equivalence import LEVELS, AnswerKeyer, cluster_keys

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    options = _options()
    console = Console()
    console.print(_machine())
    workloads = build(options.data, options.prompts, options.responses, options.seed)
    workloads = [workload for workload in workloads if workload.name in options.workloads]
    lines = [
        "| workload | method | seconds | clusters a prompt | time-outs | asymmetric pairs | intransitive triples |",
        "|---|---|---|---|---|---|---|",
    ]
    for workload in workloads:
        console.print(f"{workload.name}: {workload.what}; {_distinct(workload)} distinct answers")
        lines += [_row(workload, *row) for row in measure_ours(workload, options.repeats)]
        if not options.only_ours:
            lines += [_row(workload, *row) for row in measure_math_verify(workload)]
    print("\n".join(lines))
    show_merges(options.data)


def measure_ours(workload: Workload, repeats: int) -> list[tuple]:
    """Each level from the responses' text to cluster ids; the best of several runs, each with an empty cache."""
    responses_PG = workload.responses_PG()
    rows = []
    for level, warm in [*((level, True) for level in LEVELS), ("symbolic", False)]:
        best, clusters, counts = float("inf"), 0.0, {"timeouts": 0, "guarded": 0}
        for _ in range(repeats):
            keyer = AnswerKeyer()
            if warm and level == "symbolic":
                keyer.keys([f"\\sqrt{{x+{number}}}" for number in range(1000)], level)  # until all of them run
                keyer.take_counts()
            start = time.perf_counter()
            answers_PG = [[extract_answer(response) for response in group] for group in responses_PG]
            keys = iter(keyer.keys([answer for group in answers_PG for answer in group], level))
            ids_PG = [cluster_keys([next(keys) for _ in group]) for group in answers_PG]
            best = min(best, time.perf_counter() - start)
            clusters = sum(max(ids) + 1 for ids in ids_PG) / len(ids_PG)
            counts = keyer.take_counts()
            keyer.close()
        faults = _faults(workload, level)
        rows.append(
            (level if warm else "symbolic, with the workers' start", best, clusters, counts["timeouts"], *faults)
        )
    return rows


def _faults(workload: Workload, level: str) -> tuple[int, int]:
    """Asymmetric pairs and intransitive triples of a level. Each answer gets its key twice, in two keyers and orders;
    a is compared with b by the first key of a and the second of b."""
    answers = list(dict.fromkeys(answer for group in workload.answers_PG for answer in group))
    keys = []
    for order in (answers, answers[::-1]):
        keyer = AnswerKeyer()
        keys.append(dict(zip(order, keyer.keys(order, level), strict=True)))
        keyer.close()
    found = [
        count_faults(list(dict.fromkeys(group)), lambda a, b: keys[0][a] == keys[1][b]) for group in workload.answers_PG
    ]
    return sum(len(asymmetric) for asymmetric, _ in found), sum(len(intransitive) for _, intransitive in found)


def measure_math_verify(workload: Workload) -> list[tuple]:
    """verify() both ways with union-find, and greedily; once each."""
    from math_verify_clusters import MathVerifyClusterer

    rows = []
    for name in ("both_ways", "greedy"):
        clusterer = MathVerifyClusterer()
        clusters: Callable[[list[str]], int] = getattr(clusterer, name)
        start = time.perf_counter()
        groups = track(workload.answers_PG, f"{workload.name} Math-Verify {name}", console=Console(stderr=True))
        total = sum(clusters(group) for group in groups)
        seconds = time.perf_counter() - start
        tally = clusterer.tally
        if name == "both_ways":
            label = "Math-Verify, both orders, union-find"
            found: tuple = (len(tally.asymmetric), len(tally.intransitive))
        else:
            label, found = "Math-Verify, greedy", ("–", "–")
        rows.append((label, seconds, total / len(workload.answers_PG), tally.timeouts, *found))
        for what, examples in (("asymmetric", tally.asymmetric), ("intransitive", tally.intransitive)):
            for example in examples[:3]:
                print(f"   {what}: {' ~ '.join(example)}")
    return rows


def show_merges(folder: Path) -> None:
    """Every pair of distinct real golds that a level finds equal, to be looked at."""
    golds = load_golds(folder)
    keyer = AnswerKeyer()
    keys = {level: dict(zip(golds, keyer.keys(golds, level), strict=True)) for level in LEVELS}
    counts = keyer.take_counts()
    print(f"\n{len(golds)} distinct real golds; compared by their spelling at the level symbolic: {counts}")
    for finer, coarser in (("exact", "normalized"), ("normalized", "symbolic")):
        groups: dict[str | None, dict[str | None, str]] = {}
        for gold in golds:
            groups.setdefault(keys[coarser][gold], {}).setdefault(keys[finer][gold], gold)
        print(f"equal at {coarser} and not at {finer}:")
        for members in groups.values():
            if len(members) > 1:
                print("   " + "   =   ".join(members.values()))
    keyer.close()


def _row(workload: Workload, method: str, seconds: float, clusters: float, *found: object) -> str:
    return f"| {workload.name} | {method} | {seconds:.3g} | {clusters:.2f} | {' | '.join(map(str, found))} |"


def _distinct(workload: Workload) -> int:
    return len({answer for group in workload.answers_PG for answer in group})


def _machine() -> str:
    names = ("seed-grpo", "mpmath", "math-verify", "latex2sympy2_extended", "sympy", "antlr4-python3-runtime")
    versions = []
    for name in names:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} absent")
    load = os.getloadavg()[0]
    return (
        f"{date.today()}, {len(os.sched_getaffinity(0))} cores ({platform.machine()}), load {load:.1f}, "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("SEED_GRPO_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the benchmark files")
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--responses", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each of our levels, of which the best counts")
    parser.add_argument("--workloads", default="ABCDE", help="which of them, e.g. AC")
    parser.add_argument("--only-ours", action="store_true", help="leave Math-Verify out")
    options = parser.parse_args()
    if not (options.data / "math500.jsonl").is_file():
        sys.exit(f"The benchmark files are not at {options.data}. Remedy: name their folder with --data.")
    return options


if __name__ == "__main__":
    main()
