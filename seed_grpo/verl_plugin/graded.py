"""Graded responses: what the method reads of a training batch, and how it is fetched from TransferQueue."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import transfer_queue as tq
from tensordict import NonTensorData

from seed_grpo.meaning.answers import extract_answer
from seed_grpo.meaning.protocol import Sample
from seed_grpo.verl_plugin.batches import problem_of, uid_of
from seed_grpo.verl_plugin.reward import answer_of, holds_answer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Graded:
    """A stored response and its reward; where that is a label of the group's own, also the reward by the gold answer,
    if there is one."""

    sample: Sample
    reward: float
    true_reward: float | None = None


@dataclass(frozen=True)
class GradedReader:
    """Reads graded responses back from TransferQueue.

    The group rollout hands them over in memory; this is for verl's own path, and other people's reward managers.

    Attributes:
        tokenizer: the model's.
        template: where a response holds its answer, if the reward manager does not say.
        texts: whether the responses' texts are wanted.
    """

    tokenizer: Any
    template: str
    texts: bool

    def read(self, keys: Sequence[str], partition_id: str) -> list[Graded]:
        """The responses under these keys, in order."""
        data = tq.kv_batch_get(keys=keys, partition_id=partition_id, select_fields=["extra_fields", "rm_scores"])
        infos = [(extra or {}).get("reward_extra_info", {}) for extra in _column(data, "extra_fields")]
        rewards = [float(scores.sum()) for scores in data["rm_scores"].unbind()]
        answered = all(holds_answer(info) for info in infos)
        if not answered:
            _say_that_answers_are_extracted()
        texts = self._texts(keys, partition_id) if self.texts or not answered else [None] * len(keys)
        answers = [
            answer_of(info) if answered else extract_answer(text or "", template=self.template)
            for info, text in zip(infos, texts, strict=True)
        ]
        problems = self._problems(keys, partition_id)
        return [
            Graded(Sample(text, answer, problems[uid_of(key)]), reward)
            for key, text, answer, reward in zip(keys, texts, answers, rewards, strict=True)
        ]

    def _texts(self, keys: Sequence[str], partition_id: str) -> list[str]:
        data = tq.kv_batch_get(keys=keys, partition_id=partition_id, select_fields=["responses"])
        ids = [ids.tolist() for ids in data["responses"].unbind()]
        return self.tokenizer.batch_decode(ids, skip_special_tokens=True)

    def _problems(self, keys: Sequence[str], partition_id: str) -> dict[str, dict[str, Any]]:
        """The problem of each uid, read from the first of its responses."""
        firsts = {uid_of(key): key for key in reversed(keys)}
        names = ["raw_prompt", "reward_model", *(["extra_info"] if self.texts else [])]
        data = tq.kv_batch_get(keys=list(firsts.values()), partition_id=partition_id, select_fields=names)
        rows = zip(*(_column(data, name) for name in names), strict=True)
        return {uid: problem_of(dict(zip(names, row, strict=True))) for uid, row in zip(firsts, rows, strict=True)}


def response_log_probs(keys: Sequence[str], partition_id: str, *, mean: bool) -> np.ndarray:
    """The policy's log-probability of each response, shape (N,): the mean or the sum over its tokens."""
    data = tq.kv_batch_get(keys=keys, partition_id=partition_id, select_fields=["old_log_probs", "response_mask"])
    numbers = []
    for log_probs_T, mask_T in zip(data["old_log_probs"].unbind(), data["response_mask"].unbind(), strict=True):
        kept = log_probs_T[mask_T.bool()].double()
        numbers.append(float(kept.mean() if mean else kept.sum()))
    return np.array(numbers)


@cache
def _say_that_answers_are_extracted() -> None:
    logger.warning("The reward manager does not return answers: they are extracted from the responses' text.")


def _column(data: Any, name: str) -> list[Any]:
    """A column of plain objects; TransferQueue hands it out as one of several sequence types."""
    return [value.data if isinstance(value, NonTensorData) else value for value in data[name]]
