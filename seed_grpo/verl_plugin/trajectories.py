"""Responses as verl's agent loop stores them: the fields and tags of a trajectory, and batches of them as columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import NonTensorData, NonTensorStack, TensorDict

from seed_grpo.verl_plugin.objects import stacked, unwrapped

_NO_INPUTS: dict[str, Any] = {}


@dataclass(frozen=True)
class Response:
    """What a server returned for one request.

    Attributes:
        token_ids: the response.
        log_probs: of each token; None or empty if the server was not asked for them.
        extra_fields: the server's reports, such as the version of its weights.
        seconds: from the request to the answer.
        num_preempted: how often vLLM interrupted the request; −1 if the server does not say.
    """

    token_ids: list[int]
    log_probs: list[float] | None
    extra_fields: dict[str, Any]
    seconds: float
    num_preempted: int


def trajectory(
    row: Mapping[str, Any], session: int, response: Response, reward: float, info: Mapping[str, Any], *,
    score_seconds: float, processor_kwargs: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The fields of one response, as verl's agent loop writes them.

    Args:
        row: the prompt's row of verl's data set, with its `prompt_ids`.
        session: the number of the response within its group.
        response: the response, at most as long as the limit.
        reward: its reward, which goes to its last token.
        info: verl's `reward_extra_info`.
        score_seconds: how long grading took.
        processor_kwargs: `data.mm_processor_kwargs`.
    """
    prompts = torch.tensor(row["prompt_ids"], dtype=torch.int64)
    answer = torch.tensor(response.token_ids, dtype=torch.int64)
    mask = torch.ones_like(answer)
    scores = torch.zeros(len(answer), dtype=torch.float32)
    scores[-1] = reward
    input_ids = torch.cat([prompts, answer])
    fields = {name: value for name, value in row.items() if name != "prompt_ids"}
    fields |= {
        "session_id": session,
        "prompts": prompts,
        "responses": answer,
        "response_mask": mask,
        "loss_mask": mask,
        "input_ids": input_ids,
        "position_ids": torch.arange(len(input_ids)),
        "rm_scores": scores,
        "num_turns": 2,
        "metrics": {
            "generate_sequences": response.seconds,
            "compute_score": score_seconds,
            "num_preempted": response.num_preempted,
        },
        "multi_modal_inputs": _NO_INPUTS,
        "mm_processor_kwargs": processor_kwargs,
        "mm_processor_output": None,
        "extra_fields": {
            **response.extra_fields,
            "turn_scores": [],
            "tool_rewards": [],
            "reward_extra_info": info,
        },
    }
    if response.log_probs:
        fields["rollout_log_probs"] = torch.tensor(response.log_probs, dtype=torch.float32)
    return fields


def tag_of(row: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The tag of a stored trajectory."""
    prompt_length, response_length = len(fields["prompts"]), len(fields["responses"])
    extra = fields["extra_fields"]
    return {
        "status": "success",
        "prompt_len": prompt_length,
        "response_len": response_length,
        "seq_len": prompt_length + response_length,
        "global_steps": row["global_steps"],
        "min_global_steps": extra.get("min_global_steps"),
        "max_global_steps": extra.get("max_global_steps"),
    }


def prompt_rows(batch: TensorDict) -> list[dict[str, Any]]:
    """A batch of prompts as one dict per prompt."""
    columns = {name: _cells(value, len(batch)) for name, value in batch.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _cells(value: Any, n: int) -> list[Any]:
    if isinstance(value, NonTensorStack):
        return unwrapped(value)
    return [value.data] * n if isinstance(value, NonTensorData) else list(value)


def plain(value: Any) -> Any:
    """A value that verl may have wrapped as no tensor."""
    return value.data if isinstance(value, NonTensorData) else value


def as_tensordict(rows: list[dict[str, Any]]) -> TensorDict:
    """The rows as columns, in the layouts that TransferQueue takes apart fastest; reading gives the same rows."""
    return TensorDict({name: _column([row[name] for row in rows]) for name in rows[0]}, batch_size=[len(rows)])


def _column(values: list[Any]) -> torch.Tensor | NonTensorStack:
    if not isinstance(values[0], torch.Tensor):
        return stacked(values)
    if all(value.shape == values[0].shape for value in values):
        return torch.stack(values)
    # verl builds jagged ones; TransferQueue takes a column apart more than once, jagged ones in Python, these in C++.
    return torch.nested.nested_tensor(values, layout=torch.strided)
