"""Rollouts on disk as groups: a prompt, the final answers of its responses, and their rewards.

Two formats can be read; their fields tell them apart:

* `prompts.jsonl` of our own runs, a line per prompt and step: answers, rewards, gold;
* verl's `trainer.rollout_data_dir` (or `validation_data_dir`), a line per response: input, output, gts, score, step.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.meaning.answers import extract_answer
from seed_grpo.runs.names import METRICS, PROBLEMS, RESPONSES

NOT_ROLLOUTS = {METRICS, RESPONSES, PROBLEMS}
"""Other files in the folders of runs and evaluations."""
MOST_STEPS = 1 << 53
"""A step beyond is not a step, and no table takes it."""


@dataclass
class Group:
    """The responses to one prompt in one step.

    Attributes:
        source: the file they were read from.
        step: the training step.
        uid: the prompt's id, or its text if the file has no ids.
        prompt: the prompt's text, if it was recorded.
        gold: the gold answer, or a list of which any one counts; None if it was not recorded.
        answers: the final answer of each response; None if it has none.
        rewards: the reward of each response.
    """

    source: str
    step: int
    uid: str
    prompt: str | None
    gold: Any
    answers: list[str | None] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The files with rollouts: those named, and in a folder all `*.jsonl` below it except records of other kinds.

    Raises:
        UsageError: a path does not exist.
        SeedGrpoError: there are no such files.
    """
    files: list[Path] = []
    paths = [path.expanduser() for path in paths]
    for path in paths:
        try:
            if path.is_dir():
                inside = (file for file in path.rglob("*.jsonl") if file.name not in NOT_ROLLOUTS)
                files += sorted(file for file in inside if file.is_file())
            elif path.is_file():
                files.append(path)
            else:
                raise UsageError(f"{path} does not exist.", "name files or folders of rollouts.")
        except OSError as error:  # a name too long, a folder that may not be read
            raise UsageError(f"{path} cannot be read ({error.strerror}).", "name other files or folders.") from error
    if not files:
        raise SeedGrpoError(
            f"No rollouts in {', '.join(map(str, paths))}: there is no *.jsonl file.",
            "name the output folder of a run, or the folder of verl's trainer.rollout_data_dir.",
        )
    return list(dict.fromkeys(files))


def read_groups(file: Path, *, template: str = "boxed") -> list[Group]:
    """The groups of a file, in order of first appearance.

    Args:
        file: a file in one of the two formats.
        template: where verl's responses hold their answers; a key of `seed_grpo.meaning.answers.TEMPLATES`.

    Raises:
        SeedGrpoError: a line has neither format; the message names file and line.
    """
    ours: list[Group] = []
    verl: dict[tuple[int, str], _VerlGroup] = {}
    for number, record in _lines(file):
        where = f"{file}, line {number}"
        if "answers" in record and "rewards" in record:
            ours.append(_our_group(record, str(file), where))
        elif "output" in record and "score" in record:
            _add_response(verl, record, str(file), where, template)
        else:
            raise SeedGrpoError(
                f"{where} is neither a prompt of a run (answers, rewards) nor a response of verl's (output, score); "
                f"its fields are {', '.join(sorted(record)[:8]) or 'none'}.",
                "name prompts.jsonl, or the files of verl's trainer.rollout_data_dir.",
            )
    return ours + [group.finished() for group in verl.values()]


def _lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a file, with the numbers of their lines."""
    try:
        with open(file, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                record = _record(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, f"{file}, line {number}")
                if record is not None:
                    yield number, record
    except OSError as error:
        raise SeedGrpoError(f"{file} cannot be read ({error.strerror}).", "check the file.") from error


def _record(line: bytes, where: str) -> dict[str, Any] | None:
    """The object of a line; None for an empty one, and for a last one that a killed run left unfinished."""
    if not line.strip():
        return None
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        if not line.endswith(b"\n") and error.end == len(line):
            return None  # a character was cut in two
        raise SeedGrpoError(
            f"{where} is not UTF-8 (byte {error.start + 1} of the line).", "convert the file, for example with iconv."
        ) from None
    except (ValueError, RecursionError):  # ValueError: not JSON, or a number of thousands of digits
        if not line.endswith(b"\n"):
            return None
        record = None
    if not isinstance(record, dict):
        raise SeedGrpoError(f"{where} is not a JSON object.", "repair the file, or leave it out.")
    return record


def _our_group(record: dict[str, Any], source: str, where: str) -> Group:
    answers, rewards = record["answers"], record["rewards"]
    if not isinstance(answers, list) or not isinstance(rewards, list) or len(answers) != len(rewards) or not answers:
        raise SeedGrpoError(f"{where}: answers and rewards are not two lists of the same length.", "repair the file.")
    for answer in answers:
        if answer is not None and not isinstance(answer, str):
            raise SeedGrpoError(f"{where}: an answer is {_short(answer)}.", "an answer must be a string or null.")
    return Group(
        source=source,
        step=_whole(record.get("step", 0), "step", where),
        uid=str(record.get("uid", "")),
        prompt=_text(record.get("prompt")),
        gold=_gold(record.get("gold")),
        answers=answers,
        rewards=[_number(reward, "reward", where) for reward in rewards],
    )


@dataclass
class _VerlGroup:
    """A group whose sessions may have several outputs, of which the last one counts."""

    group: Group
    final: dict[str, tuple[int, str | None, float]] = field(default_factory=dict)

    def finished(self) -> Group:
        self.group.answers = [answer for _, answer, _ in self.final.values()]
        self.group.rewards = [reward for _, _, reward in self.final.values()]
        return self.group


def _add_response(
    groups: dict[tuple[int, str], _VerlGroup], record: dict[str, Any], source: str, where: str, template: str
) -> None:
    output, prompt = record["output"], _text(record.get("input"))
    if not isinstance(output, str):
        raise SeedGrpoError(
            f"{where}: output is of type {type(output).__name__}.", "a response's output must be a string."
        )
    step = _whole(record.get("step", 0), "step", where)
    # verl writes {uid}_{session}_{index} under uid; other versions have no ids, and the prompt stands for one.
    parts = str(record["uid"]).rsplit("_", 2) if record.get("uid") is not None else []
    named = len(parts) == 3 and parts[2].isdigit()
    uid = parts[0] if named else str(prompt)
    held = groups.setdefault((step, uid), _VerlGroup(Group(source, step, uid, prompt, _gold(record.get("gts")))))
    session, index = (parts[1], int(parts[2])) if named else (str(len(held.final)), 0)
    if session not in held.final or index >= held.final[session][0]:
        held.final[session] = (index, _answer(record, output, template), _number(record["score"], "score", where))


def _answer(record: dict[str, Any], output: str, template: str) -> str | None:
    """The answer that our reward manager recorded, which knows which responses were cut off; else from the text."""
    if "answered" in record and isinstance(record.get("pred"), str):
        return record["pred"] if record["answered"] else None
    return extract_answer(output, template=template)


def _text(value: Any) -> str | None:
    """A prompt as text; messages, or whatever else a record holds, as JSON."""
    if value is None or isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply)"


def _gold(value: Any) -> Any:
    """A gold answer, or several; anything else is kept as text to look at."""
    items = value if isinstance(value, list) else [value]
    return value if all(item is None or isinstance(item, (str, int, float)) for item in items) else _text(value)


def _number(value: Any, name: str, where: str) -> float:
    try:
        number = float(value) if isinstance(value, (int, float)) else math.nan
    except OverflowError:  # an integer of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise SeedGrpoError(f"{where}: {name} is {_short(value)}.", "it must be a finite number.")
    return number


def _whole(value: Any, name: str, where: str) -> int:
    number = _number(value, name, where)
    if not number.is_integer() or not 0 <= number < MOST_STEPS:
        raise SeedGrpoError(f"{where}: {name} is {_short(value)}.", "it must be a whole number from 0.")
    return int(number)


def _short(value: Any) -> str:
    # Not repr first: Python refuses to write an integer of thousands of digits in decimal.
    text = hex(value) if isinstance(value, int) and abs(value) >= MOST_STEPS else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def gold_of(group: Group) -> str | float | Sequence[str] | None:
    """The gold answer of a group in the form that grading accepts; None if it has none."""
    gold = group.gold
    if isinstance(gold, list):
        return [str(item) for item in gold] or None
    return gold if isinstance(gold, (str, int, float)) and str(gold).strip() else None
