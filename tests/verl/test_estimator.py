"""The estimator inside verl's own advantage computation: the same rows, mask and keys that its trainer hands over."""

from __future__ import annotations

import ast
import os
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from verl.protocol import DataProto
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

from seed_grpo.errors import SeedGrpoError
from seed_grpo.meaning.by_answer import ByAnswer
from seed_grpo.meaning.protocol import Sample
from seed_grpo.measuring import measure_responses
from seed_grpo.method.batch import MeasuredBatch
from seed_grpo.settings import Settings
from seed_grpo.verl_plugin.batches import real_final_rows, uid_of, weight_of_rows
from seed_grpo.verl_plugin.estimator import BatchWeights, batch_weights

WIDTH = 9


class Batch:
    """Random rows as V1 hands them to an estimator: groups of unequal size, sessions with several outputs, padding."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.keys: list[str] = []
        self.tags: list[dict[str, Any]] = []
        self.answers: list[str | None] = []
        rewards, masks = [], []
        for prompt in range(rng.randint(1, 6)):
            for session in sorted(rng.sample(range(8), rng.randint(1, 8))):  # failed sessions are simply missing
                for output in range(rng.choice([1, 1, 1, 2, 3])):
                    self.keys.append(f"a_{prompt}-b_{session}_{output}")
                    self.tags.append({})
                    self.answers.append(rng.choice(["1", "2", "3", None]))
                    rewards.append(float(rng.random() < 0.5))
                    masks.append(self._mask(rng))
        for row in range(rng.randint(0, 3)):
            self.keys.append(f"pad{row}_0_0")
            self.tags.append({"is_padding": True})
            self.answers.append(self.answers[0])
            rewards.append(rewards[0])
            masks.append([0] * WIDTH)
        order = list(range(len(self.keys)))
        rng.shuffle(order)
        for name in ("keys", "tags", "answers"):
            setattr(self, name, [getattr(self, name)[i] for i in order])
        self.rewards = [rewards[i] for i in order]
        self.mask = torch.tensor([masks[i] for i in order])

    @staticmethod
    def _mask(rng: random.Random) -> list[int]:
        length = rng.randint(1, WIDTH)
        mask = [int(rng.random() < 0.8) for _ in range(length)]  # tool output in between does not count
        return [1, *mask[1:], *[0] * (WIDTH - length)]

    def data(self) -> DataProto:
        rewards = torch.zeros(self.mask.shape)
        for row, reward in enumerate(self.rewards):
            rewards[row, int(self.mask[row].nonzero().max()) if self.mask[row].any() else 0] = reward
        return DataProto.from_dict(
            tensors={"token_level_rewards": rewards, "response_mask": self.mask},
            non_tensors={"uid": np.array([uid_of(key) for key in self.keys], dtype=object)},
        )

    def measured(self, **settings: Any) -> MeasuredBatch:
        rows = real_final_rows(self.keys, self.tags)
        return measure_responses(
            [uid_of(self.keys[row]) for row in rows],
            [Sample(None, self.answers[row]) for row in rows],
            [self.rewards[row] for row in rows],
            ByAnswer("exact"),
            Settings.from_config(settings),
        )

    def advantages(self, estimator: str, std: bool) -> torch.Tensor:
        config = OmegaConf.create({"norm_adv_by_std_in_grpo": std})
        data = compute_advantage_for_multi_trajectories(
            self.data(), self.keys, estimator, norm_adv_by_std_in_grpo=std, config=config
        )
        assert torch.equal(data.batch["advantages"], data.batch["returns"])
        return data.batch["advantages"]


@pytest.mark.parametrize("std", [False, True])
@pytest.mark.parametrize("off", [{"alpha": 0.0}, {"enabled": False, "alpha": 0.7}])
def test_switched_off_the_advantages_are_verls_own_to_the_bit(std: bool, off: dict[str, Any]) -> None:
    for seed in range(40):
        batch = Batch(seed)
        weights = BatchWeights(batch.keys, weight_of_rows(batch.keys, batch.measured(**off)))
        with batch_weights(weights):
            ours = batch.advantages("seed_grpo", std)
        assert torch.equal(ours, batch.advantages("grpo", std))


@pytest.mark.parametrize("std", [False, True])
def test_each_row_is_verls_own_times_the_weight_of_its_prompt(std: bool) -> None:
    for seed in range(20):
        batch = Batch(seed)
        measured = batch.measured(alpha=1.0)
        weight_of = dict(zip(measured.groups.ids, measured.weights.weight_P, strict=True))
        with batch_weights(BatchWeights(batch.keys, weight_of_rows(batch.keys, measured))):
            ours = batch.advantages("seed_grpo", std)
        plain = batch.advantages("grpo", std)
        for row, key in enumerate(batch.keys):
            weight = 1.0 if key.startswith("pad") else weight_of[uid_of(key)]
            torch.testing.assert_close(ours[row], plain[row] * weight)


def test_divided_by_the_standard_deviation_they_are_verls_grpo() -> None:
    """The weight inverse_std on plain advantages, against verl's own division. Groups of one are verl's own affair."""
    for seed in range(40):
        batch = Batch(seed)
        measured = batch.measured(weights=["inverse_std"])
        with batch_weights(BatchWeights(batch.keys, weight_of_rows(batch.keys, measured))):
            ours = batch.advantages("seed_grpo", False)
        alone = {uid for uid, size in zip(measured.groups.ids, measured.groups.size_P, strict=True) if size == 1}
        rows = [row for row, key in enumerate(batch.keys) if uid_of(key) not in alone and not key.startswith("pad")]
        torch.testing.assert_close(ours[rows], batch.advantages("grpo", True)[rows], rtol=1e-6, atol=1e-6)


def test_padding_and_early_outputs_are_not_measured() -> None:
    keys = ["p_0_0", "p_0_1", "p_1_0", "padx_0_0"]
    tags: list[dict[str, Any]] = [{}, {}, {}, {"is_padding": True}]
    assert real_final_rows(keys, tags) == [1, 2]
    with pytest.raises(SeedGrpoError, match="no response"):
        real_final_rows(keys[3:], tags[3:])


def test_without_weights_it_refuses() -> None:
    """Never plain GRPO under the method's name."""
    with pytest.raises(SeedGrpoError, match="seed_grpo_sync"):
        Batch(0).advantages("seed_grpo", False)


def test_the_weights_of_another_batch_are_refused() -> None:
    batch = Batch(0)
    with batch_weights(BatchWeights(batch.keys[1:], np.ones(len(batch.keys) - 1))), pytest.raises(SeedGrpoError):
        batch.advantages("seed_grpo", False)


def test_all_parts_are_registered_with_verl() -> None:
    program = "import verl; from seed_grpo.verl_plugin import registered; print(registered())"
    for policy, expected in (("auto", True), ("none", False)):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True, text=True, timeout=300, check=True,
            env={**os.environ, "VERL_USE_EXTERNAL_PLUGINS": policy},
        )  # fmt: skip
        parts = ast.literal_eval(done.stdout.splitlines()[-1])
        assert all(parts.values()) == expected, parts
