"""SEED-GRPO under TRL: its `GRPOTrainer`, with each prompt's advantages multiplied by our weights.

TRL computes rewards, their means over groups, and the loss. Answers and settings are those of the verl plugin, so that
both give the same advantages to the same responses. Made for TRL 1.16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from trl import GRPOTrainer

from seed_grpo.errors import UsageError
from seed_grpo.meaning.answers import extract_answer
from seed_grpo.meaning.protocol import Sample
from seed_grpo.meaning.registry import make_meaning
from seed_grpo.measuring import measure_responses
from seed_grpo.settings import Settings


class SeedGRPOTrainer(GRPOTrainer):
    """TRL's GRPOTrainer with prompt weights.

    Args:
        seed_grpo: settings by name, as in the `seed_grpo:` node of a run: `{"alpha": 0.5, "meaning": "symbolic"}`.
        *args, **kwargs: as GRPOTrainer takes them. `args.scale_rewards` must be "none": the division by the standard
            deviation is the weight `inverse_std` here.

    Raises:
        UsageError: settings that cannot be, or that need what TRL does not hand over.
    """

    def __init__(self, *args: Any, seed_grpo: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        self.seed_grpo = Settings.from_config(seed_grpo)
        self._meaning = make_meaning(self.seed_grpo)
        super().__init__(*args, **kwargs)
        if self.scale_rewards != "none":
            raise UsageError(
                f"scale_rewards is {self.scale_rewards!r}: TRL would divide by the standard deviation as well.",
                'set scale_rewards="none" in GRPOConfig; the weight inverse_std divides by it.',
            )
        if self.multi_objective_aggregation != "sum_then_normalize":
            raise UsageError(
                "Rewards are normalized one by one.", 'set multi_objective_aggregation="sum_then_normalize".'
            )
        if self.seed_grpo.mass == "likelihood":
            raise UsageError("TRL does not hand over log-probabilities.", "set mass=count.")

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        # Of all processes: a group may be spread over several of them.
        rewards_NF = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        samples_N = gather_object([self._sample(*pair) for pair in zip(inputs, completions, strict=True)])
        weight_N = self._weigh(rewards_NF, samples_N)
        start = self.accelerator.process_index * len(prompts)
        self._weight_N = weight_N[start : start + len(prompts)]
        return rewards_NF

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        weight_N = torch.as_tensor(self._weight_N).to(output["advantages"])
        output["advantages"] = output["advantages"] * weight_N
        return output

    def _sample(self, row: Mapping[str, Any], completion: Any) -> Sample:
        text = completion if isinstance(completion, str) else completion[-1]["content"]
        answer = extract_answer(text, template=self.seed_grpo.answer_template)
        return Sample(text if self._meaning.needs_text else None, answer, {"question": row.get("prompt"), **row})

    def _weigh(self, rewards_NF: torch.Tensor, samples_N: list[Sample]) -> np.ndarray:
        """The weight of each response's prompt, over all processes; metrics on the way."""
        mode = "train" if self.model.training else "eval"
        size = self.num_generations if mode == "train" else self.num_generations_eval
        rewards_N = (rewards_NF * self.reward_weights.to(rewards_NF)).nansum(dim=1).double().cpu().numpy()
        # TRL leaves out what no reward function has scored, and so does the entropy.
        scored = np.flatnonzero(~torch.isnan(rewards_NF).all(dim=1).cpu().numpy())
        weight_P = np.ones(len(samples_N) // size)
        if len(scored):
            measured = measure_responses(
                (scored // size).tolist(), [samples_N[row] for row in scored], rewards_N[scored], self._meaning,
                self.seed_grpo,
            )  # fmt: skip
            weight_P[np.unique(scored // size)] = measured.weights.weight_P
            for name, value in measured.metrics().items():
                self._metrics[mode][name].append(value)
            for name, count in self._meaning.take_counts().items():
                self._metrics[mode][f"seed_grpo/clusterer/{name}"].append(count)
        return np.repeat(weight_P, size)
