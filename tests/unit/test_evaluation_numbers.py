"""The numbers of an evaluation, against counting by hand, enumeration and other libraries."""

from __future__ import annotations

import itertools
import math
import random
import time

import numpy as np
import pytest

from seed_grpo.evaluation.backends import Completion, cut_at_stop
from seed_grpo.evaluation.grading import cluster, grade_responses
from seed_grpo.evaluation.metrics import bootstrap_interval, majority, majority_correct, pass_at_k, spread
from seed_grpo.evaluation.selective import (
    adaptive_sampling,
    auroc,
    auroc_interval,
    quality,
    risk_coverage,
    uncertainties,
)


class TestPassAtK:
    def test_equals_the_mean_over_all_subsets(self) -> None:
        correct = np.array([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]], dtype=bool)
        for k in range(1, 6):
            subsets = list(itertools.combinations(range(5), k))
            expected = np.mean([[row[list(subset)].any() for subset in subsets] for row in correct])
            assert pass_at_k(correct, k) == pytest.approx(expected)

    def test_against_binomials(self) -> None:
        n, c, k = 200, 13, 100
        correct = np.arange(n)[None] < c
        assert pass_at_k(correct, k) == pytest.approx(1 - math.comb(n - c, k) / math.comb(n, k), abs=1e-12)

    def test_more_than_there_are(self) -> None:
        with pytest.raises(ValueError, match="pass@3"):
            pass_at_k(np.zeros((2, 2), dtype=bool), 3)


class TestMajority:
    def test_votes(self) -> None:
        assert majority([0, 1, 1, 2], [True] * 4) == 1
        assert majority([0, 1, 1, 0], [True] * 4) == 0, "of equal clusters the first"
        assert majority([0, 1, 2], [False, False, True]) == 2, "no answer, no vote"
        assert majority([0, 1], [False, False]) is None

    def test_correct(self) -> None:
        clusters = np.array([[0, 1, 1], [0, 1, 2]])
        correct = np.array([[False, True, True], [True, False, False]])
        answered = np.array([[True, True, True], [False, True, True]])
        assert majority_correct(correct, clusters, answered).tolist() == [True, False]


class TestIntervals:
    def test_bootstrap_matches_scipy(self) -> None:
        from scipy.stats import bootstrap

        values = np.random.default_rng(3).random(200) < 0.3
        ours = bootstrap_interval(values.astype(float))
        theirs = bootstrap((values,), np.mean, method="percentile", n_resamples=10_000, rng=1).confidence_interval
        assert ours == pytest.approx([theirs.low, theirs.high], abs=0.01)
        assert ours == bootstrap_interval(values.astype(float)), "the same numbers every time"

    def test_all_alike(self) -> None:
        assert bootstrap_interval(np.ones(5)) == [1.0, 1.0]

    def test_spread(self) -> None:
        assert spread([0.5]) == {"mean": 0.5, "std": None}
        assert spread([1.0, 3.0]) == {"mean": 2.0, "std": pytest.approx(math.sqrt(2))}


class TestUncertainty:
    def test_estimators(self) -> None:
        clusters = np.array([[0] * 8, list(range(8)), [0] * 7 + [1], [0] * 4 + [1] * 4])
        found = uncertainties(clusters)
        assert found["monte_carlo"] == pytest.approx([0, math.log(8), 1.1065, 0.6931], abs=1e-4)
        assert found["rao_blackwell"] == pytest.approx([0, math.log(8), 0.3768, 0.6931], abs=1e-4)
        assert found["disagreement"] == pytest.approx([0, 7 / 8, 1 / 8, 1 / 2])

    def test_auroc_is_the_chance_that_a_wrong_item_is_more_uncertain(self) -> None:
        generator = np.random.default_rng(0)
        uncertainty = generator.integers(0, 5, 60).astype(float)
        correct = generator.random(60) < 0.5
        pairs = [(w > r) + 0.5 * (w == r) for w in uncertainty[~correct] for r in uncertainty[correct]]
        assert auroc(uncertainty, correct) == pytest.approx(np.mean(pairs))

    def test_auroc_of_the_perfect_the_inverse_and_the_undefined(self) -> None:
        assert auroc(np.array([0.0, 1.0]), np.array([True, False])) == 1.0
        assert auroc(np.array([1.0, 0.0]), np.array([True, False])) == 0.0
        assert auroc(np.zeros(4), np.array([True, False, True, False])) == 0.5
        assert auroc(np.zeros(2), np.array([True, True])) is None
        assert auroc_interval(np.zeros((2, 1)), np.ones((2, 1), dtype=bool)) is None

    def test_auroc_interval_holds_the_value(self) -> None:
        generator = np.random.default_rng(1)
        correct = generator.random((200, 2)) < 0.5
        uncertainty = generator.normal(size=(200, 2)) - correct
        low, high = auroc_interval(uncertainty, correct)  # type: ignore[misc]
        value = auroc(uncertainty.ravel(), correct.ravel())
        assert value is not None
        assert 0.6 < low < value < high < 0.9

    def test_risk_coverage_takes_equals_in_every_order(self) -> None:
        uncertainty = np.array([2.0, 1.0, 1.0, 0.0, 1.0])
        correct = np.array([False, True, False, True, True])
        coverage, risk = risk_coverage(uncertainty, correct)
        expected = np.zeros(5)
        orders = [
            order for order in itertools.permutations(range(5)) if list(uncertainty[list(order)]) == [0, 1, 1, 1, 2]
        ]
        for order in orders:
            expected += 1 - np.cumsum(correct[list(order)]) / np.arange(1, 6)
        assert risk == pytest.approx(expected / len(orders))
        assert coverage == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])

    def test_accuracy_rises_when_the_uncertain_stay_unanswered(self) -> None:
        uncertainty = np.arange(10.0)[:, None]
        correct = (np.arange(10) < 5)[:, None]
        found = quality(uncertainty, correct)
        assert found["accuracy_when_unanswered"]["0"] == 0.5
        assert found["accuracy_when_unanswered"]["50"] == 1.0
        assert found["auroc"] == 1.0

    def test_one_problem(self) -> None:
        found = quality(np.array([[0.3]]), np.array([[True]]))
        assert found["auroc"] is None
        assert found["accuracy_when_unanswered"]["50"] == 1.0


class TestAdaptiveSampling:
    def test_needs_four_samples(self) -> None:
        assert adaptive_sampling(*np.zeros((3, 5, 3), dtype=int)) is None  # type: ignore[misc]

    def test_the_budget_goes_where_it_helps(self) -> None:
        """Half the problems are always right; in the other half the right answer has 45 % and each wrong one less."""
        generator = np.random.default_rng(0)
        easy = np.zeros((200, 16), dtype=int)
        hard = np.where(generator.random((200, 16)) < 0.45, 0, generator.integers(1, 6, (200, 16)))
        clusters = np.concatenate([easy, hard])
        found = adaptive_sampling(clusters == 0, clusters, np.ones_like(clusters, dtype=bool))
        assert found is not None
        assert found["gain"] > 0.01
        assert found["gain_interval"][0] > 0
        assert found["gain"] == pytest.approx(found["adaptive"] - found["fixed"])

    def test_no_gain_where_all_problems_are_alike(self) -> None:
        clusters = np.zeros((50, 8), dtype=int)
        found = adaptive_sampling(clusters == 0, clusters, clusters == 0)
        assert found is not None
        assert (found["fixed"], found["adaptive"], found["gain"]) == (1.0, 1.0, 0.0)


class TestGrading:
    def test_a_response_that_was_cut_off_counts_by_its_box(self) -> None:
        [boxed, none] = grade_responses(
            ["\\boxed{1/2} and then", "\\boxed{1/"], [["0.5"], ["1"]], answer_template="boxed"
        )
        assert (boxed.answer, boxed.correct) == ("1/2", True)
        assert (none.answer, none.correct) == (None, False)

    def test_any_gold_counts(self) -> None:
        grades = grade_responses(["\\boxed{2}"] * 2, [["1", "2"], ["1"]], answer_template="boxed")
        assert [grade.correct for grade in grades] == [True, False]

    def test_clusters(self) -> None:
        assert cluster([["1/2", "0.5", None, "2", None], ["7"]], "symbolic") == [[0, 0, 1, 2, 3], [0]]
        assert cluster([["1/2", "0.5"]], "exact") == [[0, 1]]

    def test_stop_strings_end_a_response(self) -> None:
        full = Completion("<answer>1</answer> and more", truncated=True, tokens=9)
        assert cut_at_stop(full, ("</answer>",)) == Completion("<answer>1</answer>", truncated=False, tokens=9)
        assert cut_at_stop(full, ()) is full

    def test_the_paper_s_whole_evaluation_takes_seconds(self) -> None:
        """1,560 problems × 16 responses: extract, grade and cluster."""
        generator = random.Random(0)
        forms = [
            "{}",
            "\\frac{{{}}}{{7}}",
            "\\sqrt{{{}}}",
            "({}, 3)",
            "{}.5",
            "x = {}",
            "\\text{{none of {}}}",
            "{}\\pi",
        ]
        golds, responses = [], []
        for problem in range(1560):
            form = forms[problem % len(forms)]
            golds.append([form.format(problem)])
            responses.append(
                [
                    "thinking " * 300 + f"\\boxed{{{form.format(problem + generator.choice([0, 0, 1, 2]))}}}"
                    for _ in range(16)
                ]
            )
        start = time.monotonic()
        grades = grade_responses(
            [response for each in responses for response in each],
            [gold for gold in golds for _ in range(16)],
            answer_template="boxed",
        )
        clusters = cluster(
            [[grade.answer for grade in grades[at : at + 16]] for at in range(0, len(grades), 16)], "symbolic"
        )
        seconds = time.monotonic() - start
        assert 0.3 < np.mean([grade.correct for grade in grades]) < 0.7
        assert 2 < np.mean([max(ids) + 1 for ids in clusters]) <= 3
        assert seconds < 30, f"{seconds:.1f} s"
