"""Batches of responses made of the real gold answers: 128 prompts × 16 responses, the same for a given seed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

FILES = ("aime24", "amc", "math500", "minerva_first60", "olympiad_bench_first100")
STEPS = "We add the two numbers, simplify, and compare with what we had before: $a + b = c$. "


@dataclass(frozen=True)
class Workload:
    """A name, what it stands for, and the answers of each prompt's responses."""

    name: str
    what: str
    answers_PG: list[list[str]]

    def responses_PG(self) -> list[list[str]]:
        """The answers at the end of responses of about 1,600 characters."""
        return [
            [f"{STEPS * 18}So the answer is $\\boxed{{{answer}}}$." for answer in group] for group in self.answers_PG
        ]


def load_golds(folder: Path, names: tuple[str, ...] = FILES) -> list[str]:
    """The distinct gold answers, as strings without `$` and white space around them."""
    golds: dict[str, None] = {}
    for name in names:
        with open(folder / f"{name}.jsonl", encoding="utf-8") as lines:
            for line in lines:
                answer = json.loads(line)["answer"]
                for item in answer if isinstance(answer, list) else [answer]:
                    golds[re.sub(r"(?<!\\)\$", "", str(item)).strip().rstrip(".")] = None
    return list(golds)


def build(folder: Path, prompts: int, responses: int, seed: int) -> list[Workload]:
    """The workloads: like a model's answers, and four kinds of stress."""
    chance = random.Random(seed)
    math500 = load_golds(folder, ("math500",))
    everything = load_golds(folder)
    olympiad = load_golds(folder, ("olympiad_bench_first100",))

    def group(golds: list[str], wrong: float, spellings: float) -> list[str]:
        gold = chance.choice(golds)
        return [
            respelled(changed(gold, chance) if chance.random() < wrong else gold, chance, spellings)
            for _ in range(responses)
        ]

    def batch(golds: list[str], wrong: Callable[[], float], spellings: float) -> list[list[str]]:
        return [group(golds, wrong(), spellings) for _ in range(prompts)]

    return [
        # Of 100 MATH problems with samples of a strong model, 88 had one distinct answer.
        Workload("A", "MATH-500, 88 % of the prompts unanimous, else a third wrong",
                 batch(math500, lambda: 0.33 * (chance.random() < 0.12), 0.0)),
        Workload("B", "MATH-500, half of the answers wrong, other spellings", batch(math500, lambda: 0.5, 0.5)),
        Workload("C", "non-integers of all five files, 75 % wrong, other spellings",
                 batch([gold for gold in everything if not is_integer(gold)], lambda: 0.75, 0.5)),
        Workload("D", "non-integers of OlympiadBench, 75 % wrong, other spellings",
                 batch([gold for gold in olympiad if not is_integer(gold)], lambda: 0.75, 0.5)),
        Workload("E", "golds of all five files in several forms: named, as a set, with units, as a bound",
                 [in_forms(everything, responses, chance) for _ in range(prompts)]),
    ]  # fmt: skip


def in_forms(golds: list[str], responses: int, chance: random.Random) -> list[str]:
    """Answers as a confused policy writes them: few values, each in forms that mean different things."""
    values = [gold for gold in golds if not re.search(r"[=<>,%]|\\(?:text|mbox|in|cup|ge|pm|begin)", gold)]
    forms = (
        "{}",
        "x={}",
        "y={}",
        "\\{{{}\\}}",
        "({}, \\infty)",
        "x>{}",
        "{}\\%",
        "{}\\text{{ minutes}}",
        "{}\\text{{ hours}}",
    )
    chosen = chance.sample(values, 2)
    return [chance.choice(forms).format(chance.choice(chosen)) for _ in range(responses)]


def is_integer(gold: str) -> bool:
    """Whether a gold answer is a plain integer."""
    return re.fullmatch(r"-?[0-9]+(?:\.0)?", gold) is not None


def changed(gold: str, chance: random.Random) -> str:
    """The answer with one of its integers changed, as a wrong answer has it; without integers, with one in front."""
    places = list(re.finditer(r"(?<![0-9.])[0-9]+(?![0-9.])", gold))
    if not places:
        return f"{chance.randint(2, 9)}{gold}" if "\\text" not in gold else gold + "s"
    place = chance.choice(places)
    other = int(place.group()) + chance.choice((1, 2, 3, 5, 7))
    return gold[: place.start()] + str(other) + gold[place.end() :]


def respelled(answer: str, chance: random.Random, share: float) -> str:
    """The answer in another spelling, for that share of answers."""
    if chance.random() >= share:
        return answer
    change = chance.choice(list(_spellings()))
    return change(answer)


def _spellings() -> Iterator[Callable[[str], str]]:
    yield lambda answer: answer.replace("\\frac", "\\dfrac")
    yield lambda answer: re.sub(r"(?<=[0-9,+=]) (?=[0-9\\])", "", answer) if "\\text" not in answer else answer
    yield lambda answer: answer.replace("\\left", "").replace("\\right", "")
    yield lambda answer: f"{answer}.0" if re.fullmatch(r"-?[0-9]+", answer) else answer
    yield lambda answer: answer.replace("+", " + ").replace("=", " = ")
    yield lambda answer: answer.replace("\\times", "\\cdot")
