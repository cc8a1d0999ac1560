"""Study folders as `seed-grpo ablate` leaves them, with made-up numbers: for tests of what is computed from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from seed_grpo.ablation.study import Arm, Study
from seed_grpo.meaning.by_answer import ByAnswer
from seed_grpo.meaning.protocol import Sample
from seed_grpo.measuring import measure_responses
from seed_grpo.runs.records import RunRecords
from seed_grpo.settings import Settings

PROBLEMS = 258
ARMS = {
    "dr_grpo": ("Dr.GRPO", {"adv_estimator": "grpo"}, 0.0),
    "grpo": ("GRPO", {"adv_estimator": "grpo", "norm": True}, -0.02),
    "alpha_0.02": ("SEED-GRPO α = 0.02", {"alpha": 0.02}, 0.0),
    "alpha_0.1": ("SEED-GRPO α = 0.1", {"alpha": 0.1}, 0.004),
    "alpha_0.5": ("SEED-GRPO α = 0.5", {"alpha": 0.5}, 0.012),
    "alpha_1": ("SEED-GRPO α = 1", {"alpha": 1.0}, 0.03),
    "form_exponential": ("exponential, α = 0.5", {"alpha": 0.5, "form": "exponential"}, 0.01),
    "form_focal": ("focal, α = 0.5", {"alpha": 0.5, "form": "focal"}, 0.01),
    "form_reciprocal": ("reciprocal, α = 0.5", {"alpha": 0.5, "form": "reciprocal"}, 0.012),
    "rao_blackwell": ("Rao-Blackwell, α = 0.5", {"alpha": 0.5, "estimator": "rao_blackwell"}, 0.02),
    "g4": ("G = 4, α = 0.5", {"alpha": 0.5, "n": 4}, -0.03),
    "g16": ("G = 16, α = 0.5", {"alpha": 0.5, "n": 16}, 0.02),
}
"""By name: label, settings, and the true difference to Dr.GRPO after the last step."""
VARIED = ("form_exponential", "form_focal", "form_reciprocal", "rao_blackwell", "g4", "g16")
"""Compared with SEED-GRPO at α = 0.5, where it is in the study."""


def make_study(
    names: Sequence[str] = tuple(ARMS), seeds: Sequence[int] = (1, 2, 3, 4, 5), table: str | None = None
) -> Study:
    """A study of some of the arms; the first one is the baseline."""
    reference = "alpha_0.5" if "alpha_0.5" in names else None
    arms = tuple(Arm(name, (), ARMS[name][0], against=reference if name in VARIED else None) for name in names)
    return Study("made_up", "A made-up study", table, names[0], arms, tuple(seeds), ())


def write_study_folder(
    out: Path,
    study: Study,
    *,
    steps: int = 16,
    test_freq: int = 4,
    prompts: int = 8,
    skip: Sequence[tuple[str, int]] = (),
) -> None:
    """Write every run of the study but those to skip."""
    test_file = out / "base" / "test.parquet"
    test_file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"prompt": [str(i) for i in range(PROBLEMS)]}), test_file)
    for arm in study.arms:
        for seed in study.seeds:
            if (arm.name, seed) not in skip:
                write_run(
                    out / "runs" / arm.name / f"seed_{seed}", arm.name, seed, test_file, steps, test_freq, prompts
                )


def write_run(
    folder: Path, name: str, seed: int, test_file: Path, steps: int = 16, test_freq: int = 4, prompts: int = 8
) -> None:
    """One finished run. The seed sets half of the noise, so that pairs share it."""
    _, options, effect = ARMS[name]
    shared = np.random.default_rng(seed)
    own = np.random.default_rng([seed, *name.encode()])
    method = Settings(
        alpha=options.get("alpha", 0.02), form=options.get("form", "linear"),
        estimator=options.get("estimator", "monte_carlo"),
    )  # fmt: skip
    group_size = options.get("n", 8)
    write_config(folder, options, method, seed, steps, prompts, test_file)
    records = RunRecords(folder)
    top = 0.68 + effect + shared.normal(0, 0.02) + own.normal(0, 0.012)
    start = 0.34 + shared.normal(0, 0.02)
    accuracy = start
    for step in range(steps + 1):
        expected = start + (top - start) * (1 - np.exp(-4 * step / steps)) / (1 - np.exp(-4))
        metrics: dict[str, float] = {}
        if step % test_freq == 0 or step == steps:
            right = round(PROBLEMS * float(np.clip(expected + own.normal(0, 0.006) * (0 < step < steps), 0, 1)))
            accuracy = right / PROBLEMS
            metrics |= {"val/accuracy": accuracy, "val-core/arithmetic/acc/mean@1": accuracy}
        if step:
            ease_P = own.beta(4 * expected, 4 * (1 - expected), prompts)
            ease_N = np.repeat(ease_P, group_size)
            answers = ["0" if own.random() < ease else str(1 + int(own.geometric(0.5))) for ease in ease_N]
            rewards = [float(answer == "0") for answer in answers]
            measured = measure_responses(
                [str(p) for p in range(prompts) for _ in range(group_size)],
                [Sample(None, answer) for answer in answers],
                rewards,
                ByAnswer("exact"),
                method,
            )
            records.write_prompts(step, measured.records())
            metrics |= {**measured.metrics(), "timing_s/step": 1.5, "perf/samples_per_second": 170.0}
        records.write_step(step, metrics)
    summary = {"steps": steps, "final_accuracy": accuracy, "seed": seed, "step_seconds_median": 1.5,
               "training_seconds": 1.5 * steps, "versions": {"verl": "0.9.1"}, "commit": "c0ffee"}  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")


def write_config(
    folder: Path, options: Mapping, method: Settings, seed: int, steps: int, prompts: int, test_file: Path
) -> None:
    """What the loader reads of a run's configuration."""
    folder.mkdir(parents=True)
    config = {
        "seed": seed,
        "seed_grpo": method.as_dict(),
        "algorithm": {
            "adv_estimator": options.get("adv_estimator", "seed_grpo"),
            "norm_adv_by_std_in_grpo": options.get("norm", False),
            "filter_groups": {"enable": False},
        },
        "data": {"train_batch_size": prompts, "val_files": str(test_file)},
        "actor_rollout_ref": {"rollout": {"n": options.get("n", 8)}, "model": {"path": f"runs/base/seed_{seed}/model"}},
        "trainer": {"total_training_steps": steps},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
