"""Hypotheses of a study: registered before its first run, and what became of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from studies import make_study, write_study_folder

from seed_grpo.ablation.hypotheses import HELD, OPEN, REFUTED, judged, verdict
from seed_grpo.ablation.registration import REGISTERED, register
from seed_grpo.ablation.report import write_results
from seed_grpo.ablation.results import collect
from seed_grpo.ablation.statistics import holm, paired
from seed_grpo.ablation.study import Hypothesis, Study, read_study, write_study
from seed_grpo.errors import SeedGrpoError, UsageError

WORSE = Hypothesis("H1", "A strong weight costs accuracy.", "alpha_1", "lower")
BETTER = Hypothesis("H2", "A weak weight gains a point or more.", "alpha_0.02", "higher", at_least=0.01)
BREADTH = Hypothesis("H3", "A strong weight keeps pass@8.", "alpha_1", "higher", measure="pass@8")


def study_of(*hypotheses: Hypothesis, seeds: tuple[int, ...] = (1, 2, 3, 4, 5)) -> Study:
    return replace(make_study(("dr_grpo", "alpha_0.02", "alpha_1"), seeds), hypotheses=hypotheses)


@pytest.mark.parametrize(
    ("differences", "direction", "at_least", "expected"),
    [
        ([0.03, 0.04, 0.035, 0.03], "higher", 0.0, HELD),
        ([0.03, 0.04, 0.035, 0.03], "lower", 0.0, REFUTED),
        ([0.001, -0.002, 0.002, -0.001], "higher", 0.01, REFUTED),  # none that would matter
        ([0.001, -0.002, 0.002, -0.001], "higher", 0.0, OPEN),
        ([0.05, -0.04, 0.03, -0.01], "higher", 0.01, OPEN),
        ([0.05], "higher", 0.0, OPEN),
        ([], "higher", 0.0, OPEN),
        ([0.02, 0.02], "higher", 0.0, OPEN),  # no spread: no interval
    ],
)
def test_verdicts(differences: list[float], direction: str, at_least: float, expected: str) -> None:
    found = paired(np.array(differences))
    assert verdict(found, holm([found.t_p])[0], direction, at_least) == expected
    mirrored = paired(-np.array(differences))
    other = "lower" if direction == "higher" else "higher"
    assert verdict(mirrored, holm([mirrored.t_p])[0], other, at_least) == expected


def test_a_difference_that_does_not_survive_the_correction_has_not_held() -> None:
    found = paired(np.array([0.03, 0.05, 0.01, 0.02]))
    assert found.t_p is not None
    assert found.t_p < 0.05
    assert verdict(found, 3 * found.t_p, "higher", 0.0) == OPEN


def test_the_results_say_what_became_of_each(tmp_path: Path) -> None:
    study = replace(study_of(WORSE, BETTER, BREADTH), seeds_because="five see 3 points.")
    write_study_folder(tmp_path, study)
    write_results(tmp_path, study)
    worse, better, breadth = judged(collect(tmp_path, study))
    assert worse.paired.n == better.paired.n == 5
    assert worse.verdict in (OPEN, REFUTED), "the made-up arm is better by 3 points"
    assert worse.holm_p is not None
    assert worse.paired.t_p is not None
    assert worse.holm_p >= worse.paired.t_p
    assert (breadth.paired.n, breadth.verdict) == (0, OPEN), "no run measured it"
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "H1: A strong weight costs accuracy." in page.replace("\\", "")
    assert "five see 3 points." in page
    assert page.index("Hypotheses") < page.index("Accuracy")
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["hypotheses"]
    assert [each["verdict"] for each in found] == [worse.verdict, better.verdict, OPEN]


# ---- registered ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"hypotheses": (replace(WORSE, direction="higher"),)},
        {"hypotheses": (replace(WORSE, statement="Another."),)},
        {"hypotheses": ()},
        {"seeds": (1, 2, 3, 4, 5, 6)},  # adding seeds until something is found
        {"overrides": ("trainer.total_training_steps=5",)},
        {"title": "Another"},
    ],
)
def test_a_study_that_changed_after_its_first_run_has_no_results(change: dict, tmp_path: Path) -> None:
    study = study_of(WORSE)
    register(study, tmp_path)
    write_study_folder(tmp_path, study)
    write_results(tmp_path, study)
    before = (tmp_path / "results.md").read_bytes()
    changed = replace(study, **change)
    for refused in (write_results, lambda out, study: register(study, out)):
        with pytest.raises(SeedGrpoError, match="has changed after its first run"):
            refused(tmp_path, changed)
    assert (tmp_path / "results.md").read_bytes() == before
    write_results(tmp_path, study)


def test_it_is_registered_once_with_date_and_commit(tmp_path: Path) -> None:
    study = study_of(WORSE, BETTER)
    register(study, tmp_path)
    noted = (tmp_path / REGISTERED).read_bytes()
    register(study, tmp_path)
    assert (tmp_path / REGISTERED).read_bytes() == noted
    content = json.loads(noted)
    assert content["registered"].endswith("+00:00")
    assert content["hypotheses"][1]["at_least"] == 0.01
    write_study(study, tmp_path / "made_up.yaml")
    register(read_study(tmp_path / "made_up.yaml"), tmp_path)


def test_without_hypotheses_nothing_is_registered(tmp_path: Path) -> None:
    register(study_of(), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": 1}', "\x00"])
def test_a_damaged_registration_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / REGISTERED).write_text(content, encoding="utf-8")
    with pytest.raises(SeedGrpoError, match=f"{REGISTERED}"):
        register(study_of(WORSE), tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"arm": "alpha_2"}, "hypotheses.H1.arm is 'alpha_2'"),
        ({"against": "nobody"}, "hypotheses.H1.against is 'nobody'"),
        ({"arm": "dr_grpo"}, "compares dr_grpo with nothing"),
        ({"direction": "up"}, "direction is 'up'"),
        ({"at_least": -1.0}, "at_least is -1.0"),
    ],
)
def test_a_hypothesis_that_cannot_be_tested_is_refused(change: dict, said: str, tmp_path: Path) -> None:
    path = tmp_path / "made_up.yaml"
    write_study(study_of(replace(WORSE, **change)), path)
    with pytest.raises(UsageError, match=said):
        read_study(path)


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    write_study(study_of(WORSE, WORSE), tmp_path / "made_up.yaml")
    with pytest.raises(UsageError, match="hypotheses holds H1 twice"):
        read_study(tmp_path / "made_up.yaml")
