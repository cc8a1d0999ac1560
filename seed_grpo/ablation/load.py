"""The runs of a study, read from its folder: which have ended, which have not, and the numbers of each."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seed_grpo.ablation.job import Job
from seed_grpo.errors import SeedGrpoError
from seed_grpo.runs.checks import checked_metrics, checked_prompts
from seed_grpo.runs.names import CONFIG, FAILED, METRICS, PROMPTS, RESULTS, SUMMARY
from seed_grpo.runs.records import read_lines

if TYPE_CHECKING:
    from seed_grpo.ablation.study import Study

VALIDATION = "val/accuracy"
PAPER_ALPHA, PAPER_G = 0.02, 8
BASELINES = {
    ("inverse_mean",): "maxrl",
    ("inverse_mad", "difficulty"): "dgpo",
    ("inverse_std", "target_rate"): "mgpo",
    ("inverse_std", "entropy_band"): "empo",
    ("none",): "dr_grpo",
}
"""By the weights that make them."""


@dataclass(frozen=True)
class Settings:
    """What tells the arms of a study apart, from a run's configuration; `weights` are those that act."""

    method: str
    weights: tuple[str, ...]
    alpha: float
    form: str
    gamma: float
    estimator: str
    mass: str
    meaning: str
    no_answer: str
    group_size: int
    prompts: int
    steps: int
    model: str
    test_files: tuple[str, ...]

    @property
    def weighted(self) -> bool:
        """Whether the paper's weight acts, and it alone; a baseline only records it."""
        return self.weights == ("uncertainty",) and self.alpha > 0

    @property
    def acts(self) -> bool:
        """Whether any weight acts."""
        return self.weighted or self.weights not in ((), ("uncertainty",))

    @property
    def samples(self) -> int:
        """Responses that the run is trained on."""
        return self.group_size * self.prompts * self.steps


@dataclass(frozen=True)
class PromptArrays:
    """What `prompts.jsonl` holds, an entry per prompt and step: shape (N,) each."""

    step_N: NDArray[np.int64]
    entropy_N: NDArray[np.float64]
    max_entropy_N: NDArray[np.float64]
    weight_N: NDArray[np.float64]
    accuracy_N: NDArray[np.float64]

    @property
    def mixed_N(self) -> NDArray[np.bool_]:
        """Right and wrong responses: only there do weights act."""
        return (self.accuracy_N > 0) & (self.accuracy_N < 1)


@dataclass(frozen=True)
class StudyRun:
    """One arm with one seed.

    Attributes:
        state: `done`, `failed`, `unfinished`, `missing`, or `unusable` (ended, with no outcome to count); only a run
            that is done counts.
        reason: why it does not count; empty for one that is done.
        final: the outcome of a run that is done, a share: the accuracy after the last step.
        steps_V, accuracies_V: the validations during training, in order.
        by_benchmark: if there are several benchmarks, the accuracies that `final` is the unweighted mean of.
        evaluated: whether `final` comes from an evaluation after training, not from the last validation.
        metrics: the records of all steps.
        summary: of a run that has ended.
    """

    arm: str
    seed: int
    folder: Path
    state: str
    reason: str = ""
    final: float | None = None
    steps_V: tuple[int, ...] = ()
    accuracies_V: tuple[float, ...] = ()
    by_benchmark: Mapping[str, float] = field(default_factory=dict)
    evaluated: bool = False
    metrics: Sequence[Mapping[str, Any]] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def before(self) -> float | None:
        """Accuracy before the first step, if it was validated then."""
        return self.accuracies_V[0] if self.steps_V and self.steps_V[0] == 0 and not self.evaluated else None

    @property
    def best(self) -> float | None:
        """The highest validation after training began: what picking on the test set would report. None for an
        outcome that was not measured along the way."""
        trained = [value for step, value in zip(self.steps_V, self.accuracies_V, strict=True) if step > 0]
        return max(trained) if trained and not self.evaluated else None

    @property
    def last_step(self) -> int:
        return max((int(record["step"]) for record in self.metrics), default=0)

    def mean(self, name: str) -> float | None:
        """The mean of a metric over the training steps that recorded it."""
        values = [record[name] for record in self.metrics if name in record]
        return fmean(values) if values else None

    @cached_property
    def prompts(self) -> PromptArrays | None:
        """The prompts' numbers; None if they are missing or damaged. Read on first use: the file can be large."""
        names = ("step", "entropy", "max_entropy", "weight", "accuracy")
        try:
            records = checked_prompts(self.folder / PROMPTS, read_lines(self.folder / PROMPTS))
            rows = [[record[name] for name in names] for record in records]
            columns = np.array(rows, dtype=np.float64).T
        except SeedGrpoError:
            return None
        if not len(rows):
            return None
        return PromptArrays(columns[0].astype(np.int64), *columns[1:])


def load_runs(out: Path, study: Study) -> dict[tuple[str, int], StudyRun]:
    """Every run that the study asks for, by arm and seed; one that cannot be read is there with the reason."""
    return {(arm.name, seed): _load(Job(study, out, arm, seed)) for arm in study.arms for seed in study.seeds_of(arm)}


def _load(job: Job) -> StudyRun:
    folder, benchmarks = job.folder, job.study.benchmarks

    def not_counted(state: str, reason: str) -> StudyRun:
        return StudyRun(*job.key, folder, state, reason)

    if (folder / FAILED).is_file():
        return not_counted("failed", _cause(folder / FAILED))
    if not (folder / METRICS).is_file():
        return not_counted("missing", "not started")
    try:
        metrics = checked_metrics(folder / METRICS, read_lines(folder / METRICS))
        trained = [record["step"] for record in metrics if record["step"] > 0]
        if not (folder / SUMMARY).is_file():
            return not_counted("unfinished", f"at step {max(trained, default=0)}")
        summary = _read_object(folder / SUMMARY)
        validations = [(int(record["step"]), value) for record in metrics if (value := _accuracy(record)) is not None]
        if benchmarks:
            by_benchmark = _evaluation(folder, benchmarks)
            final = fmean(by_benchmark.values())
        else:
            if not validations or validations[-1][0] != max(trained, default=0):
                step = validations[-1][0] if validations else None
                return not_counted("unusable", "never validated" if step is None else f"last validated at step {step}")
            final, by_benchmark = validations[-1][1], _by_benchmark(_record(metrics, validations[-1][0]))
    except (SeedGrpoError, KeyError, TypeError, ValueError) as error:
        return not_counted("unusable", error.cause if isinstance(error, SeedGrpoError) else f"damaged: {error!r}")
    if not all(math.isfinite(value) and 0 <= value <= 1 for _, value in [*validations, (0, final)]):
        return not_counted("unusable", "an accuracy on record is not a number from 0 to 1")
    steps, values = zip(*validations, strict=True) if validations else ((), ())
    return StudyRun(
        *job.key, folder, "done", "", final, steps, values, by_benchmark, bool(benchmarks), metrics, summary
    )


def load_settings(runs: Sequence[StudyRun]) -> Settings | None:
    """The settings of an arm, from the first of its runs that left a configuration which can be read."""
    for run in runs:
        try:
            return read_settings(run.folder / CONFIG)
        except SeedGrpoError:
            continue
    return None


def read_settings(path: Path) -> Settings:
    """The settings in a run's `config.yaml`.

    Raises:
        SeedGrpoError: the file is not a run's configuration.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # thirty times faster, if PyYAML was built with it
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
        method, algorithm = config["seed_grpo"], config["algorithm"]
        files = config["data"].get("val_files") or []
        return Settings(
            method=_method(algorithm, method),
            weights=_weights(algorithm, method),
            alpha=float(method["alpha"]),
            form=str(method["form"]),
            gamma=float(method["gamma"]),
            estimator=str(method["estimator"]),
            mass=str(method["mass"]),
            meaning=str(method.get("meaning") or method["cluster_level"]),
            no_answer=str(method["no_answer"]),
            group_size=int(config["actor_rollout_ref"]["rollout"]["n"]),
            prompts=int(config["data"]["train_batch_size"]),
            steps=int(config["trainer"]["total_training_steps"]),
            # A study may give each seed a model of its own; that does not make arms differ.
            model=re.sub(r"/seed_\d+(?=/|$)", "", str(config["actor_rollout_ref"]["model"]["path"])),
            test_files=tuple([files] if isinstance(files, str) else map(str, files)),
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise SeedGrpoError(f"{path} is not a run's configuration: {error!r}.", "run the arm again.") from error


def test_problems(settings: Settings) -> dict[str, int] | None:
    """How many problems each test file holds, by its name; None if a file is gone."""
    import pyarrow.parquet

    paths = [Path(file).expanduser() for file in settings.test_files]
    if not paths or not all(path.is_file() for path in paths):
        return None
    return {path.stem: pyarrow.parquet.read_metadata(path).num_rows for path in paths}


def _weights(algorithm: Mapping[str, Any], method: Mapping[str, Any]) -> tuple[str, ...]:
    if str(algorithm["adv_estimator"]) != "seed_grpo" or not method.get("enabled", True):
        return ()
    return tuple(map(str, method.get("weights", ["uncertainty"])))


def _method(algorithm: Mapping[str, Any], method: Mapping[str, Any]) -> str:
    """The baseline's name in `baseline=`."""
    name = str(algorithm["adv_estimator"])
    if name == "seed_grpo":
        weights = _weights(algorithm, method)
        if weights not in ((), ("uncertainty",)):
            return BASELINES.get(weights, " · ".join(weights))
        name = "seed_grpo" if weights else "grpo"
    if name != "grpo":
        return name
    if (algorithm.get("filter_groups") or {}).get("enable"):
        return "dapo"
    return "grpo" if algorithm.get("norm_adv_by_std_in_grpo", True) else "dr_grpo"


def _accuracy(record: Mapping[str, Any]) -> float | None:
    """The accuracy of one validation: the unweighted mean over its benchmarks, as the paper's average."""
    found = _by_benchmark(record)
    if len(found) > 1:
        return fmean(found.values())
    return float(record[VALIDATION]) if VALIDATION in record else None


def _by_benchmark(record: Mapping[str, Any]) -> dict[str, float]:
    matches = ((re.fullmatch(r"val-core/(.+)/acc/mean@\d+", name), value) for name, value in record.items())
    return {match[1]: float(value) for match, value in matches if match}


def _evaluation(folder: Path, benchmarks: Sequence[str]) -> dict[str, float]:
    """Pass@1 on the study's benchmarks, from what `seed-grpo eval` left in the run's folder."""
    found: dict[str, float] = {}
    for path in sorted(folder.glob(f"*/{RESULTS}")):
        found |= {name: float(each["pass_at_1"]) for name, each in _read_object(path)["benchmarks"].items()}
    missing = [name for name in benchmarks if name not in found]
    if missing:
        raise SeedGrpoError(f"not evaluated on {', '.join(missing)}", "run `seed-grpo ablate` again.")
    return {name: found[name] for name in benchmarks}


def _record(metrics: Sequence[Mapping[str, Any]], step: int) -> Mapping[str, Any]:
    return next(record for record in metrics if record["step"] == step)


def _read_object(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise SeedGrpoError(f"{path} is not an object.", "run the arm again.")
    return content


def _cause(path: Path) -> str:
    """What a failed run's file says of the cause, on one line."""
    try:
        content = _read_object(path)
    except (SeedGrpoError, ValueError, OSError):
        return "no reason on record"
    text = content.get("cause") or content.get("error") or content.get("reason") or "no reason on record"
    return " ".join(str(text).split())[:300]
