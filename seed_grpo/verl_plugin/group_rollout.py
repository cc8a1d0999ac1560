"""Rollouts by whole prompt groups: verl's `agent_loop_manager_class` extension point.

verl's own path spends one chain of Ray calls on every response (load balancer, server, reward worker, TransferQueue).
For single-turn problems this manager sends groups to the servers, grades them where they arrive, and puts a batch into
TransferQueue at once, with the fields, tags and keys of verl's path: trainer, validation and metrics notice nothing.
Leave `rollout.agent.agent_loop_manager_class` empty for verl's path (multi-turn agents, tools, images).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Coroutine, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_all
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from uuid import uuid4

import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import TensorDict
from verl.trainer.ppo.v1.agent_loop_tq import apply_greedy_sampling_params
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.config import HFModelConfig

from seed_grpo.engines.prompts import prompt_ids as render
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.meaning.protocol import Sample
from seed_grpo.settings import Settings
from seed_grpo.verl_plugin.batch_servers import find_servers, shares_of
from seed_grpo.verl_plugin.batches import problem_of
from seed_grpo.verl_plugin.failures import RolloutFailures
from seed_grpo.verl_plugin.graded import Graded
from seed_grpo.verl_plugin.names import REWARD_MANAGER, VLLM_ROLLOUT
from seed_grpo.verl_plugin.own_labels import OwnLabels, gold_or_none
from seed_grpo.verl_plugin.request_seeds import request_seed
from seed_grpo.verl_plugin.reward import SeedGrpoRewardManager, gold_answer, reward_info
from seed_grpo.verl_plugin.trajectories import Response, as_tensordict, plain, prompt_rows, tag_of, trajectory

logger = logging.getLogger(__name__)


SINGLE_TURN = "single_turn_agent"
MOST_GRADED = 1 << 18
"""Responses kept for the trainer; it looks older ones up in TransferQueue."""
STOP_SECONDS = 10
"""At its end, a run waits this long for responses that are being stored."""
PATIENCE = 2
"""An asynchronous run ends if this many batches' worth of groups fail in a row."""


Outcome: TypeAlias = Response | BaseException


@dataclass(frozen=True)
class _Entry:
    """A graded response: its prompt's row, its number within the group, what verl stores and what the method reads."""

    row: dict[str, Any]
    session: int
    fields: dict[str, Any]
    graded: Graded

    @property
    def key(self) -> str:
        """Its key in TransferQueue."""
        return f"{self.row['uid']}_{self.session}_0"


class GroupRolloutManager:
    """Generates, grades and stores the groups of a batch. It has the constructor and the methods of verl's manager."""

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
        if model.processor is not None:
            raise _unsupported("models that take images, video or audio")
        self._tokenizer = model.tokenizer
        self._template_options = dict(config.data.get("apply_chat_template_kwargs") or {})
        self._reward = SeedGrpoRewardManager(config, model.tokenizer)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="group-rollout", daemon=True).start()
        self._servers = find_servers(config)
        self._labels = OwnLabels.of(Settings.from_config(config.get("seed_grpo")))
        self._processor_kwargs = dict(config.data.get("mm_processor_kwargs") or {})
        self.stores_old_log_probs: bool = bypasses_old_log_probs(config)
        self.keep_texts = False
        """Whether responses are kept with their texts; the trainer sets it for meanings that read them."""
        self._graded: OrderedDict[str, Graded] = OrderedDict()
        self._graded_lock = threading.Lock()
        self._running: set[Future[None]] = set()
        self._prompts_cut = 0
        self.failures = RolloutFailures(self._rollout.name)

    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> GroupRolloutManager:
        return cls(*args, **kwargs)

    def generate_sequences(self, prompts: TensorDict) -> None:
        """Start generating, and return at once; the groups appear in TransferQueue as they are finished."""
        self.failures.raise_after(PATIENCE * self._config.data.train_batch_size)
        validate = bool(plain(prompts["validate"])) if "validate" in prompts else False
        default = self._rollout.val_kwargs.n if validate else self._rollout.n
        alike: dict[tuple[int, bool], list[dict[str, Any]]] = {}
        for row in prompt_rows(prompts.exclude("validate")):
            if row.pop("agent_name", SINGLE_TURN) != SINGLE_TURN:
                raise _unsupported("an agent_name in the data other than single_turn_agent")
            n = int(row.pop("__rollout_n__", default))
            sample = bool(row.pop("__do_sample__", True)) or validate
            alike.setdefault((n, sample), []).append(row)
        for (n, sample), rows in alike.items():
            if self._labels and not validate:
                n = max(n, self._labels.votes)
            self._start(self._run(rows, n, self._sampling_params(validate, sample), "val" if validate else "train"))

    def take_graded(self, keys: Sequence[str]) -> list[Graded] | None:
        """Hand over these graded training responses, once; None if any of them was not graded in this process.

        The trainer lives in this process, and fetching them from TransferQueue takes longer than the whole method.
        """
        with self._graded_lock:
            graded = [self._graded.pop(key, None) for key in keys]
        return None if None in graded else graded  # type: ignore[return-value]

    def take_prompts_cut(self) -> int:
        """How many prompts were longer than `data.max_prompt_length` since the last call."""
        count, self._prompts_cut = self._prompts_cut, 0
        return count

    def wait(self) -> None:
        """Wait until every group that was started is in TransferQueue, or marked as failed there."""
        wait_for_all(self._running.copy())

    def stop(self) -> None:
        """Cancel the responses that are still being generated, and finish those that are being stored.

        An asynchronous run ends with responses in flight, which would otherwise call Ray after its end.
        """
        for running in self._running.copy():
            running.cancel()
        stored = asyncio.run_coroutine_threadsafe(self._loop.shutdown_default_executor(), self._loop)
        wait_for_all([stored], timeout=STOP_SECONDS)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    # ---- a batch ----------------------------------------------------------------------------------------------------

    async def _run(self, rows: list[dict[str, Any]], n: int, sampling: dict[str, Any], partition: str) -> None:
        """Generate, grade and store `n` responses to each prompt."""
        if not self._servers:
            await asyncio.gather(
                *[self._finish([row], n, partition, self._by_response(row, n, sampling)) for row in rows]
            )
            return
        shares = shares_of(rows, n, len(self._servers), self._rollout)
        generations = [
            asyncio.ensure_future(self._by_batch(server, share, n, sampling))
            for server, share in zip(itertools.cycle(self._servers), shares)
        ]
        # One after the other, so that the order of the rows does not depend on which server is faster.
        for share, generation in zip(shares, generations, strict=True):
            await self._finish(share, n, partition, generation)

    async def _finish(
        self, rows: list[dict[str, Any]], n: int, partition: str, generation: Awaitable[list[Outcome]]
    ) -> None:
        """Store the groups. A failure is logged and marks its groups as failed; verl's own path does the same."""
        uids = [row["uid"] for row in rows]
        try:
            outcomes = await generation
            failed = await asyncio.get_running_loop().run_in_executor(None, self._store, rows, n, outcomes, partition)
        except Exception as error:
            logger.exception("The rollout of %d prompts failed: %s", len(rows), error)
            failed = dict.fromkeys(uids, error)
        if partition == "train":
            self.failures.note(len(uids), len(failed), next(iter(failed.values()), None))
        tags = [{"status": "failure" if uid in failed else "finished"} for uid in uids]
        await tq.async_kv_batch_put(keys=uids, partition_id=partition, tags=tags)

    async def _by_batch(
        self, server: Any, rows: list[dict[str, Any]], n: int, sampling: dict[str, Any]
    ) -> list[Outcome]:
        prompts = [self._prompt_ids(row) for row in rows]
        if self._rollout.name == VLLM_ROLLOUT:
            requests = [self._request_of(row, session) for row in rows for session in range(n)]
            return await server.generate_batch.remote(prompts, sampling, n, requests)
        start = time.perf_counter()
        responses = await server.generate_batch.remote(prompts, sampling, n)
        seconds = time.perf_counter() - start
        return [Response(r.token_ids, r.log_probs, r.extra_fields, seconds, num_preempted=0) for r in responses]

    async def _by_response(self, row: dict[str, Any], n: int, sampling: dict[str, Any]) -> list[Outcome]:
        """The group as n requests at once: vLLM computes their common prompt once (its prefix cache)."""
        return await asyncio.gather(
            *[self._request(row, sampling, session) for session in range(n)], return_exceptions=True
        )

    async def _request(self, row: dict[str, Any], sampling: dict[str, Any], session: int) -> Response:
        """One response, asked for as verl's single-turn agent asks."""
        request = self._request_of(row, session)
        own = {"seed": request.pop("seed")} if "seed" in request else {}
        start = time.perf_counter()
        output = await self._client.generate(
            prompt_ids=self._prompt_ids(row), sampling_params={**sampling, **own}, **request
        )
        return Response(
            output.token_ids,
            output.log_probs,
            output.extra_fields,
            seconds=time.perf_counter() - start,
            num_preempted=-1 if output.num_preempted is None else output.num_preempted,
        )

    def _request_of(self, row: dict[str, Any], session: int) -> dict[str, Any]:
        """What a request has of its own: its name and priority, and a seed if the run is to be deterministic."""
        request: dict[str, Any] = {"request_id": uuid4().hex, "priority": int(row.get("priority", 0))}
        if self._rollout.full_determinism:
            seed = request_seed(self._rollout.seed, row["global_steps"], self._prompt_ids(row), session)
            request |= {"request_id": f"det-{seed}", "seed": seed}
        return request

    def _prompt_ids(self, row: dict[str, Any]) -> list[int]:
        if "prompt_ids" not in row:
            prompt_ids = render(self._tokenizer, row["raw_prompt"], options=self._template_options)
            limit = self._rollout.prompt_length
            if len(prompt_ids) > limit:  # as verl's path; data.filter_overlong_prompts avoids it
                logger.warning("A prompt of %d tokens is cut on the left to %d.", len(prompt_ids), limit)
                self._prompts_cut += 1
            row["prompt_ids"] = prompt_ids[-limit:]
        return row["prompt_ids"]

    def _sampling_params(self, validate: bool, sample: bool) -> dict[str, Any]:
        chosen = self._rollout.val_kwargs if validate else self._rollout
        params = {
            "temperature": chosen.temperature,
            "top_p": chosen.top_p,
            "top_k": chosen.top_k,
            "repetition_penalty": 1.0,
            "logprobs": self._rollout.calculate_log_probs,
        }
        if not sample:
            apply_greedy_sampling_params(params)
        return params

    # ---- storing ----------------------------------------------------------------------------------------------------

    def _store(
        self, rows: list[dict[str, Any]], n: int, outcomes: Sequence[Outcome], partition: str
    ) -> dict[str, BaseException]:
        """Grade the responses and put them at once. Returns the groups that lack one, and why."""
        entries: list[_Entry] = []
        errors: dict[str, BaseException] = {}
        problems = {row["uid"]: problem_of(row) for row in rows}
        for i, outcome in enumerate(outcomes):
            row, session = rows[i // n], i % n
            try:
                if isinstance(outcome, BaseException):
                    raise outcome
                entries.append(
                    _Entry(row, session, *self._grade(row, session, outcome, problems[row["uid"]], partition))
                )
            except Exception as error:
                errors.setdefault(row["uid"], error)
        lost = len(outcomes) - len(entries)
        if partition == "train":
            if self._labels:
                entries = self._labelled(self._labels, entries)
            for entry in entries:
                if self.stores_old_log_probs and "rollout_log_probs" in entry.fields:
                    entry.fields["old_log_probs"] = entry.fields["rollout_log_probs"]
            self._remember({entry.key: entry.graded for entry in entries})
        if entries:
            tq.kv_batch_put(
                keys=[entry.key for entry in entries], partition_id=partition,
                fields=as_tensordict([entry.fields for entry in entries]),
                tags=[tag_of(entry.row, entry.fields) for entry in entries],
            )  # fmt: skip
        if errors:
            first = next(iter(errors.values()))
            logger.error("%d of %d responses failed; the first: %s", lost, len(outcomes), first, exc_info=first)
        return errors

    def _labelled(self, labels: OwnLabels, entries: list[_Entry]) -> list[_Entry]:
        """The responses with the group's own labels as rewards, without those that only vote."""
        groups: dict[str, list[_Entry]] = {}
        for entry in entries:
            groups.setdefault(entry.row["uid"], []).append(entry)
        rewards_PG = labels.rewards([[entry.graded.sample for entry in group] for group in groups.values()])
        trained = []
        for group, rewards_G in zip(groups.values(), rewards_PG, strict=True):
            for entry, reward in zip(group, rewards_G, strict=True):
                if entry.session < self._rollout.n:
                    entry.fields["rm_scores"][-1] = reward
                    true = entry.graded.reward if gold_or_none(entry.row) is not None else None
                    trained.append(replace(entry, graded=Graded(entry.graded.sample, reward, true)))
        return trained

    def _grade(
        self, row: dict[str, Any], session: int, response: Response, problem: dict[str, Any], partition: str
    ) -> tuple[dict[str, Any], Graded]:
        """A response as verl stores it, and as the method reads it."""
        limit = self._rollout.response_length
        token_ids = response.token_ids[:limit]
        if not token_ids:
            raise SeedGrpoError(
                "The rollout server returned an empty response.", "see the server's log for the reason."
            )
        start = time.perf_counter()
        text = self._reward.text(token_ids)
        gold = gold_or_none(row) if self._labels and partition == "train" else gold_answer(row)
        verdict = self._reward.verdict(token_ids, text, gold)
        score_seconds = time.perf_counter() - start
        log_probs = response.log_probs[:limit] if response.log_probs else None
        fields = trajectory(
            row, session, replace(response, token_ids=token_ids, log_probs=log_probs), verdict.reward,
            reward_info(verdict), score_seconds=score_seconds, processor_kwargs=self._processor_kwargs,
        )  # fmt: skip
        sample = Sample(text if self.keep_texts else None, verdict.answer, problem)
        return fields, Graded(sample, verdict.reward)

    def _remember(self, graded: dict[str, Graded]) -> None:
        with self._graded_lock:
            self._graded.update(graded)
            while len(self._graded) > MOST_GRADED:
                self._graded.popitem(last=False)


def check_supported(config: DictConfig) -> None:
    """Raise a `UsageError` if the configuration needs verl's own path."""
    reward, rollout = config.reward, config.actor_rollout_ref.rollout
    reasons = {
        "a reward manager other than seed_grpo": reward.reward_manager.name != REWARD_MANAGER,
        "a custom reward function": reward.custom_reward_function.path is not None,
        "a reward model": reward.reward_model.enable,
        "multi-turn rollouts": rollout.multi_turn.enable,
        "an agent loop other than single_turn_agent": rollout.agent.default_agent_loop != SINGLE_TURN,
        "distillation": bool(config.get("distillation") and config.distillation.get("enabled")),
        "replay of expert routing": bool(rollout.get("enable_rollout_routing_replay")),
        "traces of rollouts": bool(rollout.get("trace") and rollout.trace.get("backend")),
    }
    for reason, holds in reasons.items():
        if holds:
            raise _unsupported(reason)


def bypasses_old_log_probs(config: DictConfig) -> bool:
    """Whether verl would read the rollouts' log-probabilities and write them again as the trainer's own."""
    correction = config.algorithm.get("rollout_correction")
    return bool(correction and correction.get("bypass_mode") and config.actor_rollout_ref.rollout.calculate_log_probs)


def _unsupported(what: str) -> UsageError:
    return UsageError(
        f"The group rollout does not support {what}.",
        "set actor_rollout_ref.rollout.agent.agent_loop_manager_class=null for verl's own path.",
    )
