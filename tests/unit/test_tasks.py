"""What the quickstart's models are taught: lessons, exams and files of each task."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from seed_grpo.data import splits
from seed_grpo.errors import UsageError
from seed_grpo.quickstart.data import write_data
from seed_grpo.quickstart.tasks import STRONG_TENTHS_WRONG, TASKS, TENTHS_WRONG, get_task


def value(text: str) -> int:
    first, second = text.split("+")
    return int(first) + int(second)


def test_a_total_has_these_answers() -> None:
    assert splits.Problem(23).answers == ("10+13", "11+12", "12+11", "13+10")
    assert splits.Problem(20).answers == ("10+10",)
    assert splits.Problem(197).answers == ("98+99", "99+98")
    assert splits.Problem(57).problem == "57="
    assert splits.Problem(57).mistake(19) == "48"  # the borrow forgotten: 57 − 19 = 38
    assert splits.Problem(57).mistake(12) == "46"  # one off: 45
    assert splits.Problem(198).mistake(99) == "89"  # 109 has three digits


def test_no_total_is_in_two_splits_and_mistakes_are_wrong() -> None:
    totals = [each.total for split in splits.SPLITS for each in splits.problems(split)]
    assert sorted(totals) == list(range(20, 199))
    assert [each.total for each in splits.problems("test", 1)] != [each.total for each in splits.problems("test", 2)]
    for total in totals:
        problem = splits.Problem(total)
        for first in problem.firsts:
            assert value(f"{first}+{problem.second(first)}") == total
            mistake = int(problem.mistake(first))
            assert first + mistake != total
            assert 10 <= mistake <= 99


@pytest.mark.parametrize("name", TASKS)
def test_the_exam_has_a_right_answer_and_a_wrong_one_to_unseen_problems(name: str) -> None:
    task = get_task(name)
    lessons = task.lessons(1)
    assert lessons != task.lessons(2)
    taught = {lesson.prompt for lesson in lessons}
    for right, wrong in task.exam():
        assert right.prompt == wrong.prompt
        assert right.prompt not in taught
        assert right.free == wrong.free
        assert right.rest != wrong.rest


@pytest.mark.parametrize(
    ("name", "tenths"), [("sums", TENTHS_WRONG), ("noisy_sums", TENTHS_WRONG), ("strong_sums", STRONG_TENTHS_WRONG)]
)
def test_as_many_lessons_are_wrong_as_is_said(name: str, tenths: dict[int, int]) -> None:
    wrong = Counter(lesson.prompt for lesson in get_task(name).lessons(1) if eval_sum(lesson.prompt) != lesson.rest)
    assert set(wrong.values()) == set(tenths.values())


def eval_sum(prompt: str) -> str:
    return str(value(prompt.rstrip("=")))


def test_six_of_ten_splits_are_wrong() -> None:
    lessons = get_task("splits").lessons(1)
    wrong = sum(value(f"{lesson.free}{lesson.rest}") != int(lesson.prompt[:-1]) for lesson in lessons)
    assert wrong / len(lessons) == pytest.approx(0.6, abs=0.02)


def test_the_files_of_splits_have_every_right_answer(tmp_path: Path) -> None:
    write_data(tmp_path, "splits")
    rows = pd.read_parquet(tmp_path / "splits_test.parquet")
    assert len(rows) == 30
    for row in rows.itertuples():
        total = int(row.prompt[0]["content"].rstrip("="))
        golds = list(row.reward_model["ground_truth"])
        assert golds == list(splits.Problem(total).answers)
        assert row.data_source == "splits"


@pytest.mark.parametrize("percent", [10, 30])
def test_so_many_hard_golds_are_wrong_and_no_other(percent: int, tmp_path: Path) -> None:
    write_data(tmp_path, "noisy_sums")
    clean = pd.read_parquet(tmp_path / "arithmetic_train.parquet")
    noisy = pd.read_parquet(tmp_path / f"arithmetic_train_wrong_{percent}.parquet")
    golds = [[row["ground_truth"][0] for row in rows.reward_model] for rows in (clean, noisy)]
    levels = [extra["level"] for extra in noisy.extra_info]
    hard = [number for number, level in enumerate(levels) if level == 3]
    differ = [number for number, pair in enumerate(zip(*golds, strict=True)) if pair[0] != pair[1]]
    assert set(differ) <= set(hard)
    assert len(differ) == round(len(hard) * percent / 100)
    assert list(clean.extra_info) == list(noisy.extra_info)
    assert sorted(path.name for path in tmp_path.iterdir())[-1] == "arithmetic_train_wrong_30.parquet"


def test_a_task_that_does_not_exist() -> None:
    with pytest.raises(UsageError, match="choose one of sums, strong_sums, noisy_sums, splits"):
        get_task("differences")
