"""verl's reward manager `seed_grpo`: reward 0 or 1 by the answer keys, and the answer itself for the clusters.

What it adds to verl's `naive` manager: a response cut off at the length limit gets 0 (vLLM reports both kinds of end
alike, so the tokens decide), and the answer travels with the reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from verl import DataProto
from verl.experimental.reward_loop.reward_manager import register
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from seed_grpo.engines.generation_config import end_token_ids
from seed_grpo.errors import SeedGrpoError
from seed_grpo.meaning.scoring import Verdict, score_response
from seed_grpo.settings import Settings
from seed_grpo.verl_plugin.names import REWARD_MANAGER


@register(REWARD_MANAGER)
class SeedGrpoRewardManager(RewardManagerBase):
    """Grades single-turn responses against `reward_model.ground_truth` (one answer, or a list of which any counts)."""

    tokenizer: Any

    def __init__(
        self,
        config: Any,
        tokenizer: Any,
        compute_score: Any = None,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ) -> None:
        super().__init__(config, tokenizer, compute_score)
        self._settings = Settings.from_config(config.get("seed_grpo"))
        self._max_response_length = config.actor_rollout_ref.rollout.response_length
        self._ends = set(end_token_ids(config.actor_rollout_ref.model.path, tokenizer))

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Reward of one trajectory (the last sequence of several)."""
        row = data[-1]
        responses = row.batch["responses"]
        length = int(row.batch["attention_mask"][-responses.shape[-1] :].sum())
        token_ids = responses[:length].tolist()
        gold = gold_answer(row.non_tensor_batch)
        return await self.loop.run_in_executor(None, self.score, token_ids, gold)

    def score(self, token_ids: Sequence[int], gold: str | Sequence[str]) -> dict[str, Any]:
        """Reward and reward info of one response given as token ids."""
        verdict = self.verdict(token_ids, self.text(token_ids), gold)
        return {"reward_score": verdict.reward, "reward_extra_info": reward_info(verdict)}

    def text(self, token_ids: Sequence[int]) -> str:
        """The text of a response."""
        return self.tokenizer.decode(token_ids, skip_special_tokens=True)

    def verdict(self, token_ids: Sequence[int], text: str, gold: str | Sequence[str] | None) -> Verdict:
        """What becomes of a response; its tokens tell whether it was cut off. Without a gold answer its reward is 0."""
        return score_response(
            text,
            gold,
            truncated=len(token_ids) >= self._max_response_length and token_ids[-1] not in self._ends,
            template=self._settings.answer_template,
            level=self._settings.grade_level,
        )


def reward_info(verdict: Verdict) -> dict[str, Any]:
    """A verdict as verl's `reward_extra_info`.

    It has the same keys for every response, or verl's validation fails; a string under `pred` gives maj@N.
    """
    return {
        "acc": verdict.reward,
        "pred": verdict.answer or "",
        "answered": float(verdict.answer is not None),
        "truncated": float(verdict.truncated),
    }


def gold_answer(fields: Any) -> str | Sequence[str]:
    """The gold answer of a row of verl's data: a string, or a list of which any counts; a number as its text.

    Raises:
        SeedGrpoError: there is none.
    """
    gold = (fields.get("reward_model") or {}).get("ground_truth")
    if isinstance(gold, (int, float, np.number)) and not isinstance(gold, bool):
        return str(gold)
    if gold is None or isinstance(gold, bool) or len(gold) == 0:
        raise SeedGrpoError(
            "A row of the training data has no gold answer (reward_model.ground_truth).",
            "prepare the data with `seed-grpo data prepare`.",
        )
    return gold if isinstance(gold, str) else [str(answer) for answer in gold]


def answer_of(reward_extra_info: dict[str, Any]) -> str | None:
    """The answer that `SeedGrpoRewardManager` left in a row's reward info."""
    return reward_extra_info["pred"] if reward_extra_info["answered"] else None


def holds_answer(reward_extra_info: dict[str, Any]) -> bool:
    """Whether the info comes from `SeedGrpoRewardManager`; other managers name their answers in their own ways."""
    return "pred" in reward_extra_info and "answered" in reward_extra_info
