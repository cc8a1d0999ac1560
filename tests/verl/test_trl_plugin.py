"""The same weights under TRL: a real GRPOTrainer, in an environment of its own, against verl's own computation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from runs import ROOT, RUN_SECONDS
from verl.protocol import DataProto
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

from seed_grpo.meaning.answers import extract_answer
from seed_grpo.meaning.protocol import Sample
from seed_grpo.meaning.registry import make_meaning
from seed_grpo.measuring import measure_responses
from seed_grpo.settings import Settings
from seed_grpo.verl_plugin.batches import weight_of_rows
from seed_grpo.verl_plugin.estimator import BatchWeights, batch_weights

sys.path.insert(0, str(ROOT / "benchmarks"))
import _peers

pytestmark = pytest.mark.skipif(
    not _peers.trl_is_installed(), reason="TRL's environment is not there: python benchmarks/peers.py makes it"
)
G, SAMPLES, STEPS = 4, 16, 2


def run(base: Path, folder: Path, processes: int = 1, *, scale_rewards: str = "none", **method: Any) -> Any:
    folder.mkdir()
    spec = {
        "model": str(base / "model"), "data": str(base / "data" / "arithmetic_train.parquet"), "folder": str(folder),
        "out": str(folder / "steps.jsonl"), "steps": STEPS, "responses": G, "samples": SAMPLES,
        "scale_rewards": scale_rewards, "seed_grpo": method,
    }  # fmt: skip
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    return subprocess.run(
        [str(_peers.trl_python()), *several, str(ROOT / "tests" / "trl_lab.py"), str(folder / "spec.json")],
        capture_output=True, text=True, timeout=RUN_SECONDS, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def by_verl(step: dict[str, Any], settings: Settings) -> torch.Tensor:
    """The advantages that verl's trainer would compute of the same responses."""
    uids = [str(row // G) for row in range(SAMPLES)]
    keys = [f"{uid}_{row % G}_0" for row, uid in enumerate(uids)]
    samples = [Sample(text, extract_answer(text)) for text in step["texts"]]
    measured = measure_responses(uids, samples, step["rewards"], make_meaning(settings), settings)
    rewards = torch.tensor(step["rewards"]).unsqueeze(-1)
    data = DataProto.from_dict(
        tensors={"token_level_rewards": rewards, "response_mask": torch.ones(SAMPLES, 1, dtype=torch.int64)},
        non_tensors={"uid": np.array(uids, dtype=object)},
    )
    config = OmegaConf.create({"norm_adv_by_std_in_grpo": False})
    with batch_weights(BatchWeights(keys, weight_of_rows(keys, measured))):
        data = compute_advantage_for_multi_trajectories(
            data, keys, "seed_grpo", norm_adv_by_std_in_grpo=False, config=config
        )
    return data.batch["advantages"][:, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "method"),
    [
        (1, {"alpha": 0.7, "meaning": "normalized"}),
        (2, {"weights": ["uncertainty", "inverse_std"], "alpha": 0.9, "form": "linear_up"}),
    ],
)
def test_the_advantages_are_those_under_verl(
    quickstart_base: Path, tmp_path: Path, processes: int, method: dict[str, Any]
) -> None:
    folder = tmp_path / "run"
    done = run(quickstart_base, folder, processes, **method)
    assert done.returncode == 0, done.stderr[-3000:]
    steps = [json.loads(line) for line in (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(steps) == STEPS
    assert any(any(step["advantages"]) for step in steps), "no group was mixed: nothing was compared"
    for step in steps:
        assert len(step["texts"]) == len(step["advantages"]) == SAMPLES
        expected = by_verl(step, Settings.from_config(method))
        torch.testing.assert_close(torch.tensor(step["advantages"]), expected, rtol=1e-5, atol=1e-6)
        assert step["metrics"]["seed_grpo/clusters"] >= 1
    logged = json.loads((folder / "log.json").read_text(encoding="utf-8"))
    assert logged[0]["seed_grpo/weight"] == pytest.approx(steps[0]["metrics"]["seed_grpo/weight"])


@pytest.mark.parametrize(
    ("options", "words"),
    [({"scale_rewards": "group"}, 'set scale_rewards="none"'), ({"mass": "likelihood"}, "set mass=count"),
     ({"alhpa": 1}, "did you mean alpha")],
)  # fmt: skip
def test_what_it_cannot_do_it_refuses(
    quickstart_base: Path, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    done = run(quickstart_base, tmp_path / "run", **options)
    assert done.returncode != 0
    assert words in done.stderr.replace("\n", " ")


def test_it_is_short() -> None:
    """Under a hundred lines: what is more belongs into the library."""
    assert len((ROOT / "seed_grpo" / "trl_plugin.py").read_text(encoding="utf-8").splitlines()) < 100
