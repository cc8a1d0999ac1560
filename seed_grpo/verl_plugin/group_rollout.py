"""Rollouts by whole prompt groups: verl's `agent_loop_manager_class` extension point.

verl's own path spends one chain of Ray calls on every response (load balancer, server, reward worker, TransferQueue).
For single-turn problems this manager sends groups to the servers, grades them where they arrive, and puts a batch into
TransferQueue at once, with the fields, tags and keys of verl's path: trainer, validation and metrics notice nothing.
Leave `rollout.agent.agent_loop_manager_class` empty for verl's path (multi-turn agents, tools, images).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine, Sequence
from typing import Any
from uuid import uuid4

import ray
import torch
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import NonTensorData, TensorDict
from verl.trainer.ppo.v1.agent_loop_tq import apply_greedy_sampling_params
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder
from verl.workers.config import HFModelConfig

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.verl_plugin import HF_ROLLOUT, REWARD_MANAGER
from seed_grpo.verl_plugin.hf_engine import Generated
from seed_grpo.verl_plugin.hf_rollout import server_name
from seed_grpo.verl_plugin.reward import SeedGrpoRewardManager, gold_answer

logger = logging.getLogger(__name__)


class GroupRolloutManager:
    """Generates, grades and stores the groups of a batch. Same constructor and methods as verl's manager."""

    def __init__(
        self,
        config: DictConfig,
        llm_client: Any,
        teacher_client: Any = None,
        reward_loop_worker_handles: Any = None,
    ) -> None:
        check_supported(config)
        self._config = config
        self._rollout = config.actor_rollout_ref.rollout
        self._client = llm_client
        model: HFModelConfig = omega_conf_to_dataclass(config.actor_rollout_ref.model)
        self._builder = create_continuous_token_builder(
            model.tokenizer,
            hf_model_type=getattr(model.hf_config, "model_type", None),
            chat_template_kwargs=config.data.get("apply_chat_template_kwargs", {}),
        )
        self._reward = SeedGrpoRewardManager(config, model.tokenizer)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="group-rollout", daemon=True).start()
        self._servers = self._find_servers()

    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> GroupRolloutManager:
        return cls(*args, **kwargs)

    def generate_sequences(self, prompts: TensorDict) -> None:
        """Start generating; the groups appear in TransferQueue as they are finished. Does not wait."""
        validate = bool(_plain(prompts["validate"])) if "validate" in prompts else False
        rows = _rows(prompts.exclude("validate"))
        n = self._rollout.val_kwargs.n if validate else self._rollout.n
        for row in rows:
            row.setdefault("agent_name", self._rollout.agent.default_agent_loop)
        self._start(self._run(rows, n, validate))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop)

    def _find_servers(self) -> list[Any]:
        """The servers that take whole batches; empty where rollouts go through verl's client, response by response."""
        if self._rollout.name != HF_ROLLOUT or self._config.trainer.v1.trainer_mode != "seed_grpo_sync":
            return []
        replicas = self._config.trainer.nnodes * self._config.trainer.n_gpus_per_node
        return [ray.get_actor(server_name(rank)) for rank in range(replicas)]

    # ---- a batch ----------------------------------------------------------------------------------------------------

    async def _run(self, rows: list[dict[str, Any]], n: int, validate: bool) -> None:
        if self._servers:
            share = -(-len(rows) // len(self._servers))
            parts = [rows[start : start + share] for start in range(0, len(rows), share)]
            await asyncio.gather(
                *[
                    self._finish(part, n, validate, self._by_batch(server, part, n, validate))
                    for server, part in zip(self._servers, parts, strict=False)
                ]
            )
        else:
            await asyncio.gather(
                *[self._finish([row], n, validate, self._by_response(row, n, validate)) for row in rows]
            )

    async def _finish(
        self, rows: list[dict[str, Any]], n: int, validate: bool, generation: Coroutine[Any, Any, list[Generated]]
    ) -> None:
        """Generate, grade and store some groups; whatever goes wrong is logged and marks the groups as failed."""
        partition = "val" if validate else "train"
        uids = [row["uid"] for row in rows]
        try:
            responses = await generation
            await asyncio.get_running_loop().run_in_executor(None, self._store, rows, n, responses, partition)
            status = "finished"
        except Exception as error:
            logger.exception("The rollout of %d prompts failed: %s", len(rows), error)
            status = "failure"
        await tq.async_kv_batch_put(keys=uids, partition_id=partition, tags=[{"status": status} for _ in uids])

    async def _by_batch(self, server: Any, rows: list[dict[str, Any]], n: int, validate: bool) -> list[Generated]:
        prompts = [self._prompt_ids(row) for row in rows]
        return await server.generate_batch.remote(prompts, self._sampling_params(rows[0], validate), n)

    async def _by_response(self, row: dict[str, Any], n: int, validate: bool) -> list[Generated]:
        prompt_ids = self._prompt_ids(row)
        outputs = await asyncio.gather(
            *[
                self._client.generate(
                    request_id=uuid4().hex,
                    prompt_ids=prompt_ids,
                    sampling_params=self._sampling_params(row, validate),
                )
                for _ in range(n)
            ]
        )
        return [
            Generated(output.token_ids, output.log_probs or [], aborted=False, extra_fields=output.extra_fields)
            for output in outputs
        ]

    def _prompt_ids(self, row: dict[str, Any]) -> list[int]:
        if "prompt_ids" not in row:
            prompt_ids = self._builder.build_initial_tokens(list(row["raw_prompt"]))
            # verl's path cuts a long prompt on the left as well; data.filter_overlong_prompts avoids it.
            row["prompt_ids"] = prompt_ids[-self._rollout.prompt_length :]
        return row["prompt_ids"]

    def _sampling_params(self, row: dict[str, Any], validate: bool) -> dict[str, Any]:
        chosen = self._rollout.val_kwargs if validate else self._rollout
        params = {
            "temperature": chosen.temperature,
            "top_p": chosen.top_p,
            "top_k": chosen.top_k,
            "repetition_penalty": 1.0,
            "logprobs": self._rollout.calculate_log_probs,
        }
        if not validate and not row.get("__do_sample__", True):
            apply_greedy_sampling_params(params)
        return params

    # ---- storing ----------------------------------------------------------------------------------------------------

    def _store(self, rows: list[dict[str, Any]], n: int, responses: Sequence[Generated], partition: str) -> None:
        keys, fields, tags = [], [], []
        for i, response in enumerate(responses):
            row, session = rows[i // n], i % n
            keys.append(f"{row['uid']}_{session}_0")
            fields.append(self._fields(row, session, response))
            tags.append(_tag(row, fields[-1]))
        tq.kv_batch_put(keys=keys, partition_id=partition, fields=list_of_dict_to_tensordict(fields), tags=tags)

    def _fields(self, row: dict[str, Any], session: int, response: Generated) -> dict[str, Any]:
        """A trajectory as verl's agent loop stores it."""
        token_ids = response.token_ids[: self._rollout.response_length]
        if not token_ids:
            raise SeedGrpoError(
                "The rollout server returned an empty response.", "see the server's log for the reason."
            )
        verdict = self._reward.score(token_ids, gold_answer(row))
        prompts = torch.tensor(row["prompt_ids"], dtype=torch.int64)
        answer = torch.tensor(token_ids, dtype=torch.int64)
        mask = torch.ones_like(answer)
        scores = torch.zeros(len(token_ids), dtype=torch.float32)
        scores[-1] = verdict["reward_score"]
        input_ids = torch.cat([prompts, answer])
        fields = {name: value for name, value in row.items() if name not in ("prompt_ids", "__do_sample__")}
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
            "metrics": {"generate_sequences": 0.0, "tool_calls": 0.0, "compute_score": 0.0, "num_preempted": -1},
            "multi_modal_inputs": {},
            "extra_fields": {
                **response.extra_fields,
                "turn_scores": [],
                "tool_rewards": [],
                "reward_extra_info": verdict["reward_extra_info"],
            },
        }
        if self._rollout.calculate_log_probs:
            fields["rollout_log_probs"] = torch.tensor(response.log_probs[: len(token_ids)], dtype=torch.float32)
        return fields


def check_supported(config: DictConfig) -> None:
    """Raise a `UsageError` where the configuration needs verl's own path."""
    reward = config.reward
    reasons = {
        "a reward manager other than seed_grpo": reward.reward_manager.name != REWARD_MANAGER,
        "a custom reward function": reward.custom_reward_function.path is not None,
        "a reward model": reward.reward_model.enable,
        "multi-turn rollouts": config.actor_rollout_ref.rollout.multi_turn.enable,
        "an agent loop other than single_turn_agent": config.actor_rollout_ref.rollout.agent.default_agent_loop
        != "single_turn_agent",
        "distillation": bool(config.get("distillation") and config.distillation.get("enabled")),
    }
    for reason, holds in reasons.items():
        if holds:
            raise UsageError(
                f"The group rollout does not support {reason}.",
                "set actor_rollout_ref.rollout.agent.agent_loop_manager_class=null for verl's own path.",
            )


def _rows(batch: TensorDict) -> list[dict[str, Any]]:
    """A batch of prompts as one dict a prompt."""
    columns = dict(batch.items())
    return [
        {
            name: _plain(value) if isinstance(value, NonTensorData) else _plain(value[i])
            for name, value in columns.items()
        }
        for i in range(len(batch))
    ]


def _plain(value: Any) -> Any:
    return value.data if isinstance(value, NonTensorData) else value


def _tag(row: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    prompt_length, response_length = len(fields["prompts"]), len(fields["responses"])
    extra = fields["extra_fields"]
    return {
        "status": "success",
        "prompt_len": prompt_length,
        "response_len": response_length,
        "seq_len": prompt_length + response_length,
        "global_steps": row["global_steps"],
        "min_global_steps": extra["min_global_steps"],
        "max_global_steps": extra["max_global_steps"],
    }
