"""Studies without running them: their files, whether they are fair, what the command says of them."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import seed_grpo.configs
import yaml
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError
from rich.console import Console
from runs import ROOT
from typer.testing import CliRunner

from seed_grpo.ablation import tables
from seed_grpo.ablation.compose import budget_of, load_composed
from seed_grpo.ablation.estimate import RunTimes, duration, run_times, seconds_left
from seed_grpo.ablation.job import Job
from seed_grpo.ablation.load import StudyRun, read_settings
from seed_grpo.ablation.overview import Overview
from seed_grpo.ablation.results import ArmResult, Results, compare_arms
from seed_grpo.ablation.run import LOCK, State, execute, is_locked, state_of
from seed_grpo.ablation.selection import Selection, check_folder, first_difference, flat, select
from seed_grpo.ablation.study import Study, override_key, read_study, shipped_studies, write_study
from seed_grpo.cli import app
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.overrides import quoted
from seed_grpo.report.build import Report, Section, to_markdown
from seed_grpo.runs.names import CONFIG, FAILED, METRICS, RUNNING, SUMMARY
from seed_grpo.training.compose import compose_config

CONFIGS = Path(seed_grpo.configs.__file__).parent
PAGE = (ROOT / "docs" / "ablations.md").read_text(encoding="utf-8")

GOOD: dict[str, Any] = {
    "title": "A study",
    "baseline": "a",
    "seeds": [1, 2],
    "overrides": ["experiment=quickstart", "trainer.total_training_steps=4"],
    "arms": [
        {"name": "a", "label": "A", "overrides": ["baseline=dr_grpo"]},
        {"name": "b", "label": "B", "overrides": ["ablation=alpha_0.5"]},
    ],
}


def study_file(folder: Path, **changes: Any) -> Path:
    path = folder / "some.yaml"
    content = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module", autouse=True)
def compose_once() -> Iterator[None]:
    """The same overrides are composed once in this file: a second each, on a busy machine."""
    known: dict[tuple[str, ...], DictConfig] = {}

    def composed_once(overrides: list[str]) -> DictConfig:
        key = tuple(overrides)
        if key not in known:
            known[key] = compose_config(overrides)
        return known[key].copy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seed_grpo.training.compose.compose_config", composed_once)
        yield


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple]:
    """Every shipped study and the configuration of each of its arms."""
    out = tmp_path_factory.mktemp("studies") / "out"
    return {name: load_composed(name, (), out) for name in shipped_studies()}


# ---- fair by construction ------------------------------------------------------------------------------------------


def declared(overrides: tuple[str, ...]) -> set[str]:
    """The keys that overrides set: their own, and those in the files of the groups that they choose."""
    keys: set[str] = set()
    for override in overrides:
        key, value = override.split("=", 1)
        path = CONFIGS / key / f"{value}.yaml"
        keys |= of_file(path) if path.is_file() else {key}
    return keys


def of_file(path: Path) -> set[str]:
    node = yaml.safe_load(path.read_text(encoding="utf-8"))
    parents = [path.with_name(f"{name}.yaml") for name in node.pop("defaults", []) if name != "paper"]
    return set(flat(node, "")).union(*(of_file(parent) for parent in parents))


def test_the_issues_studies_are_there() -> None:
    assert shipped_studies() == [
        "cpu", "dose", "dose_splits", "labels", "labels_strong", "noise", "readings",
        "table4a", "table4b", "table4c", "table4d", "table4e", "weights",
    ]  # fmt: skip


@pytest.mark.parametrize("name", shipped_studies())
def test_arms_differ_in_what_they_declare_and_in_nothing_else(name: str, composed: dict[str, tuple]) -> None:
    study, configs = composed[name]
    # Unresolved: what follows another key by interpolation is no difference of its own.
    leaves = {arm: flat(OmegaConf.to_container(config, resolve=False), "") for arm, config in configs.items()}
    names = {"trainer.default_local_dir", "trainer.experiment_name"}
    for arm in study.arms:
        reference = study.arm(study.against(arm.name) or study.baseline)
        mine, theirs = leaves[arm.name], leaves[reference.name]
        different = {key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)}
        assert different - names <= declared(arm.overrides) | declared(reference.overrides), arm.name
        assert different - names or arm == reference, f"{arm.name} is {reference.name} under another name"


@pytest.mark.parametrize("name", shipped_studies())
def test_arms_have_the_same_budget(name: str, composed: dict[str, tuple]) -> None:
    study, configs = composed[name]
    budgets = [budget_of(configs[arm.name]) for arm in study.arms]
    assert len({budget.samples for budget in budgets}) == 1
    assert len({budget.samples_per_step for budget in budgets}) == 1
    assert len({budget.updates_per_step for budget in budgets}) == 1
    for budget in budgets:
        assert budget.samples == budget.prompts * budget.group_size * budget.steps > 0
    assert len({(config.seed, config.data.seed, config.trainer.test_freq) for config in configs.values()}) == 1


def test_the_sizes_of_g(composed: dict[str, tuple]) -> None:
    budgets = {name: budget_of(config) for name, config in composed["cpu"][1].items()}
    sizes = {(each.group_size, each.prompts, each.minibatch_prompts) for each in budgets.values()}
    assert sizes == {(4, 64, 64), (8, 32, 32), (16, 16, 16)}


def test_a_seed_changes_the_randomness_of_all_arms_alike(composed: dict[str, tuple], tmp_path: Path) -> None:
    study, configs = composed["cpu"]
    for arm in (study.arm("dr_grpo"), study.arm("g16")):
        other = Job(study, tmp_path, arm, 5).compose()
        assert (other.seed, other.data.seed, other.actor_rollout_ref.rollout.seed) == (5, 5, 5)
        assert other.actor_rollout_ref.actor.data_loader_seed == 5
        assert other.actor_rollout_ref.model.path == f"{tmp_path}/base/seed_5/model"
        assert configs[arm.name].seed == 1


def test_the_papers_rows_are_rows_of_its_tables(composed: dict[str, tuple]) -> None:
    from seed_grpo.report.paper import paper_rows

    for name, (study, configs) in composed.items():
        labelled = [arm for arm in study.arms if arm.paper]
        assert bool(labelled) == (study.table is not None) == name.startswith("table")
        if study.table:
            rows = {row.label for row in paper_rows(f"{study.table[0]}({study.table[1]})")}
            assert {arm.paper for arm in labelled} <= rows
            untrained = {row for row in rows if row.endswith(": base") or row == "Baseline"}
            assert rows - untrained == {arm.paper for arm in labelled}
        for config in configs.values():
            assert (config.trainer.save_freq > 0) == bool(study.benchmarks)


# ---- study files ---------------------------------------------------------------------------------------------------


def test_a_study_is_read_and_written(tmp_path: Path) -> None:
    study = load(study_file(tmp_path))
    assert (study.name, study.seeds, study.against("b"), study.against("a")) == ("some", (1, 2), "a", None)
    write_study(study, tmp_path / "again.yaml")
    assert read_study(tmp_path / "again.yaml") == study
    for name in shipped_studies():
        shipped = read_study(CONFIGS / "study" / f"{name}.yaml")
        write_study(shipped, tmp_path / "again.yaml")
        assert read_study(tmp_path / "again.yaml") == shipped


def load(name_or_file: str | Path, overrides: Sequence[str] = ()) -> Study:
    return load_composed(name_or_file, overrides, Path("out"))[0]


def arms(*overrides: Any, **more: Any) -> dict[str, Any]:
    """A study whose second arm has these overrides."""
    return {"arms": [GOOD["arms"][0], {"name": "b", "overrides": list(overrides), **more}]}


WRONG = {
    "an unknown key": ({"sedes": [1]}, r"unknown key sedes.*did you mean seeds"),
    "an unknown key of an arm": (arms(over=["x=1"]), r"unknown key arms\.b\.over"),
    "no title": ({"title": None}, "title is missing"),
    "no seeds": ({"seeds": []}, "seeds is empty"),
    "a seed twice": ({"seeds": [1, 1]}, "twice"),
    "a seed that is none": ({"seeds": [1, "two"]}, "'two'"),
    "a negative seed": ({"seeds": [-1]}, "-1"),
    "a seed that is true": ({"seeds": [True]}, "True"),
    "no arms": ({"arms": []}, "arms is empty"),
    "an arm that is a text": ({"arms": ["a"]}, r"arms is \['a'\]\. Remedy: give a list of arms"),
    "an arm twice": ({"arms": [GOOD["arms"][0], GOOD["arms"][0]]}, "arms holds a twice"),
    "a baseline that is no arm": ({"baseline": "c"}, "baseline is 'c', and no arm has that name"),
    "against no arm": (arms(against="nobody"), r"arms\.b\.against is 'nobody'"),
    "an arm's name is no folder": (
        {"arms": [{"name": "../a", "overrides": []}], "baseline": "../a"}, "cannot name a folder"
    ),
    "the seed in an arm": (arms("seed=3"), r"arms\.b\.overrides sets seed"),
    "the seed with a plus": (arms("++seed=3"), r"arms\.b\.overrides sets seed"),
    "the seed for all": ({"overrides": ["experiment=quickstart", "seed=3"]}, "overrides sets seed"),
    "the folder": (arms("trainer.default_local_dir=/x"), r"sets trainer\.default_local_dir"),
    "Hydra's own": (arms("hydra.run.dir=/x"), r"sets hydra\.run\.dir"),
    "a key twice": (arms("seed_grpo.alpha=0.1", "seed_grpo.alpha=0.2"), r"seed_grpo\.alpha twice"),
    "a sweep": (arms("seed_grpo.alpha=0.1,0.2"), "several values"),
    "not an override": (arms("alpha"), "not a valid override"),
    "overrides as a text": (
        arms() | {"overrides": "experiment=quickstart"}, "overrides is 'experiment=quickstart'.*give a list of texts"
    ),
    "a key that does not exist": (arms("seed_grpo.alhpa=1"), r"arm b:.*alhpa"),
    "a group that does not exist": (arms("baseline=ppo"), r"arm b:.*ppo"),
    "a value out of range": (arms("seed_grpo.alpha=2"), r"alpha"),
    "more steps": (arms("trainer.total_training_steps=8"), r"arm b: trainer\.total_training_steps is 8, and 4 in a"),
    "more prompts": (
        arms("data.train_batch_size=64", "actor_rollout_ref.actor.ppo_mini_batch_size=64"),
        r"arm b: data\.train_batch_size × .* is 512, and 256",
    ),
    "a larger group": (arms("ablation=g16"), r"arm b: .*rollout\.n is 512, and 256 in a: .*unequal samples"),
    "more updates": (arms("actor_rollout_ref.actor.ppo_mini_batch_size=16"), "is 2, and 1 in a: .*unequal updates"),
    "no steps": (arms() | {"overrides": ["experiment=quickstart", "trainer.total_training_steps=null"]}, "is None"),
    "more evaluations": (arms("trainer.test_freq=1"), r"arm b: trainer\.test_freq is 1, and 10 in a"),
    "nothing measured": (
        {"overrides": [*GOOD["overrides"], "trainer.test_freq=-1"]}, r"trainer\.test_freq=-1 measures nothing"
    ),
    "other data order": (arms("data.seed=7"), r"arm b: data\.seed is 7"),
    "other sampling": (arms("actor_rollout_ref.rollout.seed=7"), r"arm b: .*rollout\.seed is 7"),
    "another start": (arms("actor_rollout_ref.model.path=/elsewhere"), r"arm b: .*model\.path is /elsewhere.*against"),
    "benchmarks without a checkpoint": (
        {"benchmarks": ["aime24"], "overrides": [*GOOD["overrides"], "trainer.save_freq=-1"]},
        r"save_freq",
    ),
    "an option of eval that the study sets": ({"eval_options": ["--out=x"]}, "holds '--out=x'.*sets --model"),
    "no option of eval": ({"eval_options": ["rm -rf"]}, "--NAME=VALUE"),
    "an assumption that is a text": ({"assumed": "an hour"}, "assumed is 'an hour'.*give step_seconds, other_seconds"),
    "half an assumption": ({"assumed": {"step_seconds": 1}}, r"assumed\.other_seconds is missing"),
    "a flag that is a text": ({"quickstart": "maybe"}, "quickstart is 'maybe'"),
    "an assumption that is no number": (
        {"assumed": {"step_seconds": "fast", "other_seconds": 1, "source": "a guess"}},
        r"assumed\.step_seconds is 'fast'.*give a number",
    ),
    "an assumption below zero": (
        {"assumed": {"step_seconds": -1, "other_seconds": 1, "source": "a guess"}}, "a time below 0"
    ),
    "a list in a list": (arms(["seed_grpo.alpha=0.1"]), r"arms\.b\.overrides is .*give a list of texts"),
    "a seed in a list": ({"seeds": [[1]]}, r"seeds is \[\[1\]\]"),
    "seeds by name": ({"seeds": {"first": 1}}, "seeds is {'first': 1}.*give a list of whole numbers"),
    "a label that is a list": (arms(label=["x"]), r"arms\.b\.label is \['x'\].*give a text"),
    "a title that no file can hold": ({"title": "\ud800"}, "the file cannot be read.*surrogates"),
    "a title left open": ({"title": "???"}, "title is missing"),
    "two bases": ({"quickstart": True, "overrides": [*GOOD["overrides"], "quickstart_dir=/x"]}, "quickstart_dir"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_study_is_refused_with_file_key_and_remedy(case: str, tmp_path: Path) -> None:
    changes, said = WRONG[case]
    path = study_file(tmp_path, **changes)
    with pytest.raises(UsageError, match=f"(?s){said}") as caught:
        load(path)
    assert str(path) in caught.value.cause
    assert caught.value.remedy


NO_STUDIES = ["", "[1]", "a: [", "a: 1\na: 2", "\x00", "&a [*a]", "!!python/object/apply:os.getcwd []",
              "title: ${oc.env:HOME}\n", "[" * 3000]  # fmt: skip


@pytest.mark.parametrize("text", NO_STUDIES)
def test_what_is_no_study_is_an_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"x\.yaml"):
        read_study(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"title: \xff\xfe")
    with pytest.raises(UsageError, match=r"latin\.yaml"):
        read_study(tmp_path / "latin.yaml")
    with pytest.raises(UsageError, match="did you mean table4b"):
        load("table4bb")
    with pytest.raises(UsageError, match=r"no study file .*absent\.yaml"):
        load(tmp_path / "absent.yaml")


@given(
    st.dictionaries(
        st.sampled_from([*GOOD, "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
            max_leaves=6,
        ),
    )
)
def test_whatever_stands_in_the_file_the_error_is_ours(tmp_path_factory: pytest.TempPathFactory, content: dict) -> None:
    path = tmp_path_factory.getbasetemp() / "hostile.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **content}), encoding="utf-8")
    with contextlib.suppress(UsageError):
        read_study(path)


def known_to_omegaconf(text: str) -> bool:
    try:
        OmegaConf.create({"title": text})
    except GrammarParseError:
        return False
    return True


@given(st.text("a\\${}:.' ", max_size=12))
def test_text_is_kept_as_it_is_written(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Also what OmegaConf would take for an interpolation; only text that its grammar does not know is refused."""
    path = tmp_path_factory.getbasetemp() / "text.yaml"
    title = f"t{text}t"
    path.write_text(yaml.safe_dump({**GOOD, "title": title, "overrides": ["+x=${y}"]}), encoding="utf-8")
    if not known_to_omegaconf(title):
        with pytest.raises(UsageError, match="not a study"):
            read_study(path)
        return
    study = read_study(path)
    assert (study.title, study.overrides) == (title, ("+x=${y}",))


def test_an_override_of_the_command_line_replaces_the_studys(tmp_path: Path) -> None:
    study = load(study_file(tmp_path), ["trainer.total_training_steps=2", "trainer.test_freq=1"])
    assert study.overrides == ("experiment=quickstart", "trainer.total_training_steps=2", "trainer.test_freq=1")
    with pytest.raises(UsageError, match="sets seed"):
        load(study_file(tmp_path), ["seed=2"])


@pytest.mark.parametrize("override", ["a=1", "+a=1", "++a=1", "~a", "a=[1,2]", "a='x,y'"])
def test_the_key_of_an_override(override: str) -> None:
    assert override_key(override) == "a"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0$"), max_size=12) | st.text("a\\'", max_size=9))
def test_any_path_goes_through_hydra(text: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_override(f"out={quoted(text)}")
    assert str(parsed.value()) == text


# ---- runs on disk --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    folder = tmp_path_factory.mktemp("small")
    study, configs = load_composed(study_file(folder), (), folder / "out")
    return study, configs, folder / "out"


def job(study: Study, out: Path, arm: str, seed: int) -> Job:
    return Job(study, out, study.arm(arm), seed)


def leave_run(out: Path, arm: str, seed: int, config: DictConfig, **summary: Any) -> Path:
    """A finished run, as far as its folder goes."""
    folder = out / "runs" / arm / f"seed_{seed}"
    folder.mkdir(parents=True)
    OmegaConf.save(config, folder / CONFIG, resolve=True)
    (folder / METRICS).write_text('{"step": 4, "wall_seconds": 8.0, "train/accuracy": 0.5}\n')
    (folder / SUMMARY).write_text(json.dumps({"steps": 4, "wall_seconds": 10.0, "training_seconds": 8.0, **summary}))
    return folder


def selection(study: Study, configs: dict[str, DictConfig], out: Path) -> Selection:
    return Selection(study, configs, out, select(study))


def test_a_run_of_another_configuration_is_refused_by_its_key(small: tuple, tmp_path: Path) -> None:
    study, configs, _ = small
    out = tmp_path / "out"
    leave_run(out, "b", 2, job(study, out, "b", 2).compose())
    check_folder(selection(study, configs, out))  # the very same
    # Moved, with the folder that it is in.
    out.rename(tmp_path / "moved")
    check_folder(selection(study, configs, tmp_path / "moved"))
    other, other_configs = load_composed(study_file(tmp_path), ["actor_rollout_ref.actor.optim.lr=1e-3"], out)
    with pytest.raises(UsageError, match=r"runs/b/seed_2 .*optim\.lr was 0\.0002 and is 0\.001"):
        check_folder(selection(other, other_configs, tmp_path / "moved"))
    # More GPUs change nothing that is compared.
    config = job(study, tmp_path / "moved", "b", 2).compose()
    config.trainer.n_gpus_per_node = 4
    assert first_difference(job(study, tmp_path / "moved", "b", 2), config) is None


def test_another_study_does_not_get_into_the_folder(small: tuple, tmp_path: Path) -> None:
    study, configs, _ = small
    (tmp_path / "out").mkdir()
    write_study(read_study(CONFIGS / "study" / "cpu.yaml"), tmp_path / "out" / "study.yaml")
    with pytest.raises(UsageError, match="holds the study cpu, not some"):
        check_folder(selection(study, configs, tmp_path / "out"))


def test_seeds_come_first_and_can_be_chosen(small: tuple) -> None:
    study, _, _ = small
    assert select(study) == (("a", 1), ("b", 1), ("a", 2), ("b", 2))
    assert select(study, ["b"], [2]) == (("b", 2),)
    with pytest.raises(UsageError, match="no seed 7"):
        select(study, [], [7])
    with pytest.raises(UsageError, match="no arm 'c'"):
        select(study, ["c"])


def test_what_a_folder_says_of_its_run(small: tuple, tmp_path: Path) -> None:
    study, _, _ = small
    out = tmp_path
    assert state_of(job(study, out, "a", 1)) == State("waiting")
    leave_run(out, "a", 1, OmegaConf.create(), base_accuracy=0.25, final_accuracy=0.5)
    assert state_of(job(study, out, "a", 1)) == State("done", 4, 10.0, accuracy=(0.25, 0.5))
    folder = out / "runs" / "a" / "seed_2"
    folder.mkdir()
    (folder / FAILED).write_text('{"cause": "Because.", "remedy": "do"}')
    assert state_of(job(study, out, "a", 2)) == State("failed", cause="Because.", remedy="do")
    # One that was killed left its mark, but not its lock.
    (folder / FAILED).unlink()
    (folder / RUNNING).write_text(json.dumps({"host": "h", "process": 7, "since": time.time() - 5}))
    (folder / LOCK).touch()
    assert state_of(job(study, out, "a", 2)).kind == "waiting"
    with open(folder / LOCK) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = state_of(job(study, out, "a", 2))
        assert (state.kind, state.where) == ("running", "h, process 7")
        assert state.seconds == pytest.approx(5, abs=4)


def test_a_run_is_carried_out_once(small: tuple, tmp_path: Path) -> None:
    """Done, failed before, or held by somebody else: nothing is touched."""
    study, _, _ = small
    done = leave_run(tmp_path, "a", 1, OmegaConf.create())
    before = {path.name: path.stat().st_mtime_ns for path in done.iterdir()}
    assert execute(job(study, tmp_path, "a", 1)) == "done"
    assert {path.name: path.stat().st_mtime_ns for path in done.iterdir() if path.name != LOCK} == before
    failed = tmp_path / "runs" / "a" / "seed_2"
    failed.mkdir()
    (failed / FAILED).write_text('{"cause": "Because."}')
    assert execute(job(study, tmp_path, "a", 2)) == "failed"
    held = tmp_path / "runs" / "b" / "seed_1"
    held.mkdir(parents=True)
    with open(held / LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_locked(held)
        assert execute(job(study, tmp_path, "b", 1)) == "running"
    assert not is_locked(held)
    assert [path.name for path in held.iterdir()] == [LOCK]


def test_a_failure_is_left_with_its_cause_and_can_be_retried(
    small: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no data: the check before the run says so."""
    study, _, _ = small
    monkeypatch.chdir(tmp_path)  # where no quickstart has been
    assert execute(job(study, tmp_path, "b", 1)) == "failed"
    folder = tmp_path / "runs" / "b" / "seed_1"
    first = json.loads((folder / FAILED).read_text())
    assert "is not a model" in first["cause"]
    assert first["remedy"]
    assert not (folder / RUNNING).exists()
    (folder / FAILED).write_text('{"cause": "an earlier one"}')
    assert execute(job(study, tmp_path, "b", 1), retry_failed=True) == "failed"
    assert json.loads((folder / FAILED).read_text())["cause"] == first["cause"]


# ---- time and overview ---------------------------------------------------------------------------------------------


def test_the_time_left_is_measured_where_it_can_be(composed: dict[str, tuple]) -> None:
    study, _ = composed["cpu"]
    states = {(arm.name, seed): State("waiting") for arm in study.arms for seed in study.seeds}
    assumed = run_times(study, states, 40)
    assert assumed.source.startswith("assumed")
    assert seconds_left(states, states, assumed) == pytest.approx(60 * (45 + 40 * 1.6))
    states["dr_grpo", 1] = State("done", seconds=100.0)
    states["g16", 1] = State("done", seconds=50.0)
    states["g16", 2] = State("running", step=20, seconds=20.0)
    states["g4", 1] = State("failed")
    measured = run_times(study, states, 40)
    assert "2 finished runs" in measured.source
    # dr_grpo: 4 of 100 s; g16: 3 of 50 s and 30 s of one; g4: 4, and 9 arms of 5, of 75 s
    assert seconds_left(states, states, measured) == pytest.approx(400 + 150 + 30 + 49 * 75)
    states["grpo", 1] = State("running", seconds=500.0)  # longer than it should: it does not count below zero
    assert seconds_left(states, [("grpo", 1)], measured) == 0
    nothing = RunTimes({}, None, "")
    assert seconds_left(states, [("grpo", 2)], nothing) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "unknown"), (0, "0 s"), (75, "75 s"), (600, "10 min"), (9000, "2.5 h"), (9e5, "10.4 days")],
)
def test_times_as_people_say_them(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


def shown(small: tuple, terminal: bool) -> str:
    study, _, _ = small
    keys = [(arm.name, seed) for seed in study.seeds for arm in study.arms]
    console = Console(force_terminal=terminal, width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    states = dict.fromkeys(keys, State("waiting"))
    with Overview(console, study, 4, keys, states) as overview:
        for change in (
            {("a", 1): State("running", step=3, seconds=2.0)},
            {("a", 1): State("done", 4, 10.0, accuracy=(0.25, 0.5)), ("b", 1): State("running", step=1, seconds=1.0)},
            {
                ("b", 1): State("failed", cause="[/because] it [red]did."),
                ("a", 2): State("running", step=2, seconds=1.0),
            },
        ):
            states.update(change)
            overview.show(states, run_times(study, states, 4))
    return console.export_text()


def test_the_overview_on_a_terminal(small: tuple) -> None:
    text = shown(small, terminal=True)
    last = text[text.rindex("A study") :]
    for part in ("50.0%", "failed", "2/4", "1 done, 1 running, 1 failed, 1 waiting", "1 finished run"):
        assert part in last
    assert "seed 1" in last
    assert "seed 2" in last


def test_the_overview_in_a_file_is_a_line_for_each_thing_that_happens(small: tuple) -> None:
    lines = shown(small, terminal=False).strip().splitlines()
    assert [line.split("  ", 1)[1].split(",")[0:2] for line in lines] == [
        ["a", " seed 1: running"], ["a", " seed 1: done"], ["b", " seed 1: running"],
        ["b", " seed 1: failed. [/because] it [red]did."], ["a", " seed 2: running"],
    ]  # fmt: skip
    assert "accuracy 25.0% → 50.0%, 10 s. 1 done, 1 running, 2 waiting; time left: 29 s" in lines[1]


# ---- the published results ------------------------------------------------------------------------------------------


def test_the_published_tables_are_what_the_code_makes_of_the_published_runs(
    composed: dict[str, tuple], tmp_path: Path
) -> None:
    """`results.md` against `results.csv` next to it; what only the runs' prompts tell is left out."""
    study, configs = composed["cpu"]
    published = ROOT / "docs" / "results" / "ablation_cpu"
    runs: dict[str, dict[int, StudyRun]] = {}
    with open(published / "results.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            before, best, final = (float(row[key]) for key in ("before", "best_of_evaluations_biased", "final"))
            metrics = {"step": 30, "seed_grpo/entropy": float(row["entropy"])}
            runs.setdefault(row["arm"], {})[int(row["seed"])] = StudyRun(
                row["arm"], int(row["seed"]), tmp_path, row["state"], "", final, (0, 15, 30), (before, best, final),
                metrics=[metrics],
            )  # fmt: skip
    arms = []
    for arm in study.arms:
        OmegaConf.save(configs[arm.name], tmp_path / CONFIG, resolve=True)
        arms.append(ArmResult(arm, study.against(arm.name), runs[arm.name], read_settings(tmp_path / CONFIG)))
    every = [run for of_arm in runs.values() for run in of_arm.values()]
    results = Results(study, tuple(arms), tuple(compare_arms(arms, study.table)), tuple(every), None, None)
    assert len(every) == 60

    page = (published / "results.md").read_text(encoding="utf-8")
    made = [tables.differences_table(results), tables.power_table(results), tables.paper_table(results)]
    sections = [Section(table.title, tables=[table]) for table in made if table]
    parts = to_markdown(Report("", "", sections)).strip().split("\n\n")[2:]
    assert len(parts) > 20
    for part in parts:
        assert f"\n\n{part}\n\n" in page
    for arm_row in tables.arms_table(results).rows:
        assert f"| {' | '.join(arm_row.cells[:6])} |" in page


# ---- the command ---------------------------------------------------------------------------------------------------


def ablate(*arguments: str, columns: int = 200) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["ablate", *arguments], env={"COLUMNS": str(columns)})
    said = str(done.exception) if isinstance(done.exception, SeedGrpoError) else ""
    return getattr(done.exception, "exit_code", done.exit_code), done.output + said


def test_the_dry_run_counts_and_runs_nothing(small: tuple, tmp_path: Path) -> None:
    study, _, _ = small
    out = tmp_path / "out"
    leave_run(out, "b", 2, job(study, out, "b", 2).compose())
    before = sorted(tmp_path.rglob("*"))
    lists = "actor_rollout_ref.actor.optim.betas=[0.9,0.95]"  # what a terminal could take for its own
    path = study_file(tmp_path, title="[/red] A study", overrides=[*GOOD["overrides"], lists])
    status, text = ablate("--study", str(path), "--out", str(out), "--dry-run")
    assert status == 0, text
    assert lists in text
    assert "[/red] A study" in text
    assert "1,024" in text
    assert "32 × 8 × 4" in text
    assert "seeds: 1, 2" in text
    assert "runs: 4, of which 1 done, 0 running, 0 failed" in text
    assert "estimated time left: 30 s, one run after the other (the mean of 1 finished run of this study)" in text
    assert sorted(path for path in tmp_path.rglob("*") if path.name != "some.yaml") == before


@pytest.mark.parametrize("name", ["cpu", "readings", "table4d", "table4e"])
def test_the_dry_run_can_be_read_at_80_columns(name: str, composed: dict[str, tuple]) -> None:
    """No name and no override is broken, and no line of the tables is wider than the terminal."""
    study, configs = composed[name]
    out = Path(configs[study.baseline].trainer.default_local_dir).parents[2]
    status, text = ablate("--study", name, "--out", str(out), "--dry-run", columns=80)
    assert status == 0, text
    tables, _ = text.split("seeds: ")
    assert max(map(len, tables.splitlines())) <= 80
    words = tables.split()
    for arm in study.arms:
        assert words.count(arm.name) >= 2, "with its budget, and with its overrides"
        for override in (*study.overrides, *arm.overrides):
            assert override in words


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "No study is named"),
        (["--study", "table9"], "no study 'table9'"),
        (["--study", "cpu", "--launcher", "moon"], "choose one of local, slurm"),
        (["--study", "cpu", "--arms", "dr_grp"], "did you mean dr_grpo"),
        (["--study", "cpu", "--seeds", "one"], "--seeds one"),
        (["--study", "cpu", "--seeds", "9"], "no seed 9"),
        (["--study", "cpu", "seed=4"], "sets seed"),
        (["--study", "cpu", "hydra.launcher.partition=gpu"], "add --launcher slurm"),
    ],
)
def test_bad_usage_is_named(arguments: list[str], said: str, tmp_path: Path) -> None:
    status, text = ablate(*arguments, *(["--out", str(tmp_path / "out")] if arguments else []))
    assert status == 2
    assert said in text
    assert not (tmp_path / "out").exists()


def test_the_page_shows_commands_that_work(composed: dict[str, tuple], tmp_path: Path) -> None:
    """Each command of the page is composed; the runs themselves are made by the other tests."""
    commands = [line for block in PAGE.split("```bash\n")[1:] for line in block.split("```")[0].strip().splitlines()]
    assert len(commands) > 4
    for command in commands:
        assert command.startswith("seed-grpo ablate ")
        arguments = shlex.split(command)[2:]
        if "my_study.yaml" in arguments:
            [example] = [block.split("```")[0] for block in PAGE.split("```yaml\n")[1:]]
            (tmp_path / "my_study.yaml").write_text(example, encoding="utf-8")
            arguments[arguments.index("my_study.yaml")] = str(tmp_path / "my_study.yaml")
        out = Path(composed["cpu"][1]["dr_grpo"].trainer.default_local_dir).parents[2]
        if "--out" not in arguments:
            arguments += ["--out", ""]
        arguments[arguments.index("--out") + 1] = str(out)
        status, text = ablate(*arguments, *([] if "--dry-run" in arguments else ["--dry-run"]))
        assert status == 0, (command, text)
        assert "estimated time left" in text


@pytest.mark.parametrize("folder", ["plain", "[red]é = (1) 'x'"])
def test_a_run_that_fails_at_once_is_reported_by_the_whole_command(folder: str, tmp_path: Path) -> None:
    """Through Hydra's multirun in a process of its own; the run's model is not there."""
    arms = [{"name": "a", "overrides": ["actor_rollout_ref.model.path=/nowhere"]}]
    study, out = study_file(tmp_path, arms=arms, seeds=[1]), tmp_path / folder
    status, text = ablate("--study", str(study), "--out", str(out))
    assert status == 1
    assert "failed: a seed 1: /nowhere is not a model" in text
    assert "0 of 1 runs are done" in text
    assert json.loads((out / "runs" / "a" / "seed_1" / FAILED).read_text())["remedy"]
    status, text = ablate("--study", str(study), "--out", str(out))
    assert status == 1, "it failed before, and is not run again"
    assert len(list((out / "logs").iterdir())) == 1


@pytest.mark.parametrize("name", ["file/out", "file", "/proc/study"])
def test_a_folder_that_cannot_be_made_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, text = ablate("--study", str(study_file(tmp_path)), "--out", str(tmp_path / name))
    assert status == 2
    assert str(tmp_path / name) in text
    assert "choose another --out" in text


def test_help_has_examples() -> None:
    status, text = ablate("--help")
    assert status == 0
    assert text.count("Example: seed-grpo ablate") >= 3
    for name in ("cpu", "readings", "table4a"):
        assert name in text
