"""The real gold answers: each equals itself however it is written, and no two of different value are the same."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seed_grpo.meaning.equivalence import shared_keyer
from seed_grpo.meaning.equivalence.grading import gold_strings
from seed_grpo.meaning.scoring import score_response

BENCHMARKS = ("aime24", "amc", "math500", "minerva_first60", "olympiad_bench_first100")


def golds_of(folder: Path, name: str) -> Iterator[object]:
    with open(folder / f"{name}.jsonl", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["answer"]


VARIANTS: dict[str, Callable[[str], str]] = {
    "as it is": lambda gold: gold,
    "white space": lambda gold: f"\n  {gold} \t",
    "double spaces": lambda gold: gold.replace(" ", "  "),
    "thin space": lambda gold: gold + r"\,",
    "display": lambda gold: r"\displaystyle " + gold,
    "dfrac": lambda gold: gold.replace(r"\frac", r"\dfrac"),
    "tfrac": lambda gold: gold.replace(r"\frac", r"\tfrac"),
    "dollars": lambda gold: gold if "$" in gold else f"${gold}$",
    "double dollars": lambda gold: gold if "$" in gold else f"$${gold}$$",
    "no dollars": lambda gold: re.sub(r"(?<!\\)\$", "", gold),
    "parentheses": lambda gold: gold if "$" in gold else rf"\({gold}\)",
    "brackets": lambda gold: gold if "$" in gold else rf"\[ {gold} \]",
    "braces": lambda gold: f"{{{gold}}}",
    "box": lambda gold: rf"\boxed{{{gold}}}",
    "full stop": lambda gold: gold if gold.endswith(".") else gold + ".",
    "left right": lambda gold: gold if "left" in gold else gold.replace("(", r"\left(").replace(")", r"\right)"),
    "no left right": lambda gold: gold.replace(r"\left", "").replace(r"\right", ""),
    "no big": lambda gold: gold.replace(r"\left", r"\Bigl").replace(r"\right", r"\Bigr"),
    "operators": lambda gold: gold if "e-" in gold else re.sub(r"(?<![,^{(\[])([+=<>])", r" \1 ", gold),
    "after commas": lambda gold: gold if re.search(r",(\d{3}|\\!)", gold) else re.sub(r",\s*", ", ", gold),
    "no space after commas": lambda gold: gold if r"\!" in gold else re.sub(r",\s+(?!\d{3}\b)", ",", gold),
    "cdot": lambda gold: gold.replace(r"\times", r"\cdot"),
    "times sign": lambda gold: gold.replace(r"\times", "×"),
    "minus sign": lambda gold: gold.replace("-", "−") if "e-" not in gold else gold,
    "mathrm": lambda gold: gold.replace(r"\text", r"\mathrm").replace(r"\mbox", r"\mathrm"),
    "leqslant": lambda gold: gold.replace(r"\geqslant", r"\ge").replace(r"\leq", r"\leqslant"),
    "e notation": lambda gold: re.sub(r"^(-?[\d.]+)\s*\\times\s*10\^\{(-?\d+)\}$", r"\1e\2", gold),
    "exponents": lambda gold: re.sub(r"\^\{(\w)\}", r"^\1", gold),
}  # fmt: skip
NUMBERS: dict[str, Callable[[int], str]] = {
    ".0": lambda n: f"{n}.0",
    ".00": lambda n: f"{n}.00",
    ".": lambda n: f"{n}.",
    "thousands": lambda n: f"{n:,}",
    "braced thousands": lambda n: f"{n:,}".replace(",", "{,}"),
    "negative space": lambda n: f"{n:,}".replace(",", r",\!"),
    "thin space": lambda n: f"{n:,}".replace(",", r"\,"),
    "leading zeros": lambda n: f"{n:04d}" if n >= 0 else str(n),
    "fraction": lambda n: rf"\frac{{{2 * n}}}{{2}}",
    "slash": lambda n: f"{3 * n}/3",
    "text": lambda n: rf"\text{{{n}}}",
    "plus": lambda n: f"{n:+d}",
}


def written(gold: str) -> Iterator[tuple[str, str]]:
    """A gold answer in all variants, with the variant's name."""
    text = gold.strip()
    for name, change in VARIANTS.items():
        yield name, change(text)
    plain = re.sub(r"\.0*$", "", text)
    if re.fullmatch(r"-?\d+", plain):
        for name, write in NUMBERS.items():
            yield name, write(int(plain))


@pytest.mark.parametrize("level", ["normalized", "symbolic"])
@pytest.mark.parametrize("benchmark_name", [*BENCHMARKS, "gsm8k"])
def test_a_gold_written_out_scores_one(shared_data: Path, benchmark_name: str, level: str) -> None:
    wrong = []
    for gold in itertools.islice(golds_of(shared_data, benchmark_name), 800):
        for alternative in gold if isinstance(gold, list) else [gold]:
            raw = str(alternative)
            for name, answer in [("raw", raw), *written(raw)]:
                response = f"Therefore the answer is $\\boxed{{{answer}}}$."
                verdict = score_response(response, gold, truncated=False, template="boxed", level=level)  # type: ignore[arg-type]
                if verdict.reward != 1.0:
                    wrong.append((name, answer, gold))
    assert not wrong


def test_every_gsm8k_gold_scores_one(shared_data: Path) -> None:
    for gold in golds_of(shared_data, "gsm8k"):
        verdict = score_response(f"#### {gold}", gold, truncated=False, template="gsm8k", level="normalized")  # type: ignore[arg-type]
        assert verdict.reward == 1.0, gold


def distinct_golds(folder: Path) -> list[str]:
    golds: dict[str, None] = {}
    for name in BENCHMARKS:
        for gold in golds_of(folder, name):
            golds.update(dict.fromkeys(gold_strings(gold)))  # type: ignore[arg-type]
    return list(golds)


# Looked at one by one: golds that only the level symbolic finds equal.
MERGED_BY_MEANING = [
    {r"\arcsin{\frac{1}{1.3}}", r"\arcsin{\frac{10}{13}}"},
    {r"\ln 2 + i\frac{\pi}{3}", r"\ln 2 + \frac{i\pi}{3}"},
    {r"\arcsin(1.3\sin(\theta_w))", r"\arcsin(1.3\sin\theta_w)"},
    {"1,-2", "-2,1"},
]


def test_no_golds_of_different_value_are_merged(shared_data: Path) -> None:
    golds = distinct_golds(shared_data)
    normalized = shared_keyer().keys(golds, "normalized")
    symbolic = shared_keyer().keys(golds, "symbolic")
    merged: dict[str | None, dict[str | None, str]] = {}
    for gold, fine, coarse in zip(golds, normalized, symbolic, strict=True):
        merged.setdefault(coarse, {})[fine] = gold
    by_meaning = [set(members.values()) for members in merged.values() if len(members) > 1]
    assert sorted(map(sorted, by_meaning)) == sorted(map(sorted, MERGED_BY_MEANING))


def test_the_level_normalized_merges_only_spellings(shared_data: Path) -> None:
    """Golds that the string rules bring together differ in spaces, `$` and braces only, or are equal numbers."""
    golds = distinct_golds(shared_data)
    groups: dict[str | None, list[str]] = {}
    for gold, key in zip(golds, shared_keyer().keys(golds, "normalized"), strict=True):
        groups.setdefault(key, []).append(gold)
    for key, group in groups.items():
        assert key is not None
        if not key.startswith("q:"):
            assert len({re.sub(r"[\s${}]|\\left|\\right", "", gold) for gold in group}) == 1, group


def changed_integers(gold: str) -> Iterator[str]:
    """A gold with each of its whole numbers changed by one."""
    for match in re.finditer(r"(?<![\d.])\d+(?![\d.])", gold):
        yield gold[: match.start()] + str(int(match.group()) + 1) + gold[match.end() :]


def test_a_gold_with_one_number_changed_is_another_answer(shared_data: Path) -> None:
    """Math-Verify calls 42 of these pairs of the five files equal: unit powers, bases, tiny numbers, lists."""
    golds = [gold for gold in distinct_golds(shared_data) if "where" not in gold]
    pairs = [(gold, changed) for gold in golds for changed in changed_integers(gold)]
    flat = shared_keyer().keys([answer for pair in pairs for answer in pair], "symbolic")
    same = [pair for pair, ours, theirs in zip(pairs, flat[::2], flat[1::2], strict=True) if ours == theirs]
    assert same == []


def test_almost_every_gold_can_be_read(shared_data: Path) -> None:
    """What cannot be read is compared by its spelling; of the real golds that is three in five hundred."""
    from seed_grpo.meaning.equivalence import AnswerKeyer

    keyer = AnswerKeyer()
    golds = distinct_golds(shared_data)
    keyer.keys(golds, "symbolic")
    counts = keyer.take_counts()
    keyer.close()
    assert counts["timeouts"] == 0
    assert counts["guarded"] <= 5
