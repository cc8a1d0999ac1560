"""The socket for meanings, and everything that goes through it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seed_grpo import cluster_answers, seed_grpo_advantages
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.meaning.by_answer import ByAnswer
from seed_grpo.meaning.equivalence.keys import LEVELS
from seed_grpo.meaning.protocol import Groups, Meaning, Sample
from seed_grpo.meaning.registry import MEANINGS, cluster_groups, make_meaning
from seed_grpo.meaning.settings import MeaningSettings
from seed_grpo.measuring import measure_responses
from seed_grpo.method.settings import MethodSettings
from seed_grpo.settings import Settings, _notice, default_node

answers = st.lists(st.sampled_from(["1/2", "0.5", "1", "\\frac12", "x+1", "1+x", None]), min_size=1, max_size=8)


class ByLength:
    """A meaning of somebody's own: responses mean the same if they are equally long."""

    needs_text = True

    def __init__(self, settings: MeaningSettings) -> None:
        self.calls = 0

    def clusters(self, groups: Groups) -> list[list[int]]:
        self.calls += 1
        return [[len(sample.text or "") for sample in group] for group in groups]

    def take_counts(self) -> dict[str, int]:
        return {"calls": self.calls}


def incomplete(settings: MeaningSettings) -> object:
    return object()


class Broken(ByLength):
    answer: Any = None

    def clusters(self, groups: Groups) -> list[list[int]]:
        return [self.answer for _ in groups]


@pytest.fixture(autouse=True)
def notices_are_new() -> Iterator[None]:
    _notice.cache_clear()
    yield
    _notice.cache_clear()


def samples(group: list[str | None]) -> list[Sample]:
    return [Sample(None, answer) for answer in group]


@given(batch=st.lists(answers, min_size=1, max_size=4), level=st.sampled_from(LEVELS))
def test_a_batch_clusters_as_its_prompts_do_one_by_one(batch: list[list[str | None]], level: str) -> None:
    together = cluster_groups(make_meaning(MeaningSettings(meaning=level)), [samples(group) for group in batch])
    assert together == [cluster_answers(group, level=level) for group in batch]


@given(group=answers, level=st.sampled_from(LEVELS), random=st.randoms(use_true_random=False))
def test_meanings_by_answer_do_not_depend_on_the_order(group: list[str | None], level: str, random: Any) -> None:
    order = list(range(len(group)))
    random.shuffle(order)
    meaning = ByAnswer(level, "shared")
    (straight,) = meaning.clusters([samples(group)])
    (shuffled,) = meaning.clusters([samples([group[i] for i in order])])
    for a in range(len(group)):
        for b in range(len(group)):
            assert (straight[order[a]] == straight[order[b]]) == (shuffled[a] == shuffled[b])


def test_each_name_of_the_registry_makes_a_meaning() -> None:
    for name in MEANINGS:
        meaning = make_meaning(MeaningSettings(meaning=name))
        assert cluster_groups(meaning, [samples(["1", "1", "2"])]) == [[0, 0, 1]]
        assert all(isinstance(count, int) for count in meaning.take_counts().values())


def test_a_meaning_of_ones_own_is_a_name_in_the_config() -> None:
    meaning = make_meaning(Settings.from_config({"meaning": f"{__name__}:ByLength"}))
    texts = ["abc", "de", "xyz", "fg"]
    measured = measure_responses(
        ["p", "q", "p", "q"],
        [Sample(text, text) for text in texts],
        [1.0, 0.0, 0.0, 0.0],
        meaning,
        MethodSettings(alpha=1.0),
    )
    assert measured.cluster_ids_N.tolist() == [0, 0, 0, 0]
    assert meaning.take_counts() == {"calls": 1}, "asked once for the whole batch"


def test_rows_need_not_be_neighbours_and_ids_go_back_to_their_rows() -> None:
    uids, given_answers = ["p", "q", "p", "q", "p"], ["1", "5", "2", "5", "1"]
    measured = measure_responses(
        uids, samples(list(given_answers)), [1.0, 0.0, 0.0, 0.0, 1.0], ByAnswer("exact"), MethodSettings()
    )
    assert measured.cluster_ids_N.tolist() == [0, 0, 1, 0, 0]
    assert [record["K"] for record in measured.records()] == [2, 1]
    assert [record["answers"] for record in measured.records()] == [["1", "2", "1"], ["5", "5"]]


@pytest.mark.parametrize("bad", [[0], [0, 1.5], [0, -2], [0, True], ["a", "b"]])
def test_ids_that_are_none_are_refused_with_the_name_of_the_meaning(bad: list[Any]) -> None:
    meaning = Broken(MeaningSettings())
    meaning.answer = bad
    with pytest.raises(SeedGrpoError, match="Broken"):
        cluster_groups(meaning, [samples(["1", "2"])])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fuzzy", "exact, normalized, symbolic"),
        ("os:", "package.module:factory"),
        (":make", "package.module:factory"),
        ("a b:c", "package.module:factory"),
        (None, "package.module:factory"),
        ("no_such_package:make", "cannot be loaded"),
        ("json:no_such_function", "cannot be loaded"),
        (f"{__name__}:incomplete", "needs_text"),
    ],
)
def test_meanings_that_are_none_are_refused(name: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_meaning(MeaningSettings(meaning=name))


def test_grade_levels_are_compared_with_answer_levels_only() -> None:
    MeaningSettings(meaning=f"{__name__}:ByLength", grade_level="exact")
    with pytest.raises(UsageError, match="half rewarded"):
        MeaningSettings(meaning="normalized", grade_level="exact")
    with pytest.raises(UsageError, match="grade_level"):
        MeaningSettings(grade_level=f"{__name__}:ByLength")


def test_the_former_names_still_work_and_say_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert Settings.from_config({"cluster_level": "symbolic"}).meaning == "symbolic"
            assert Settings.from_config({"enabled": False, "alpha": 0.7}).alpha == 0.0
    assert sum("seed_grpo.meaning" in message for message in caplog.messages) == 1
    assert sum("seed_grpo.alpha=0" in message for message in caplog.messages) == 1
    assert Settings.from_config({"enabled": True}) == Settings.from_config(default_node()) == Settings()
    with pytest.raises(UsageError, match="two names of one setting"):
        Settings.from_config({"cluster_level": "symbolic", "meaning": "normalized"})


def test_a_form_takes_only_its_own_parameters() -> None:
    rewards, uids, ids = [1, 0, 0, 0], ["q"] * 4, [0, 1, 1, 2]
    focal = [seed_grpo_advantages(rewards, uids, ids, alpha=0.5, form="focal", gamma=g) for g in (1.0, 3.0)]
    linear = [seed_grpo_advantages(rewards, uids, ids, alpha=0.5, form="linear", gamma=g) for g in (1.0, 3.0)]
    np.testing.assert_array_equal(focal[0], linear[0])
    assert not np.array_equal(focal[0], focal[1])
    np.testing.assert_array_equal(linear[0], linear[1])


def test_the_protocol_is_what_callers_rely_on() -> None:
    meaning: Meaning = ByAnswer("exact")
    assert meaning.needs_text is False
