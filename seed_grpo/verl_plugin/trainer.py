"""SEED-GRPO in verl's V1 trainers: one mixin, and a trainer for each of verl's three modes.

The mixin overrides `_compute_advantage`: it fetches the answers that the reward manager left in TransferQueue,
measures the uncertainty of each prompt, and calls verl's own method with the weights at hand for the estimator. The
rest of it records what happened.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import NonTensorData
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
from verl.trainer.ppo.v1.trainer_base import PPOTrainer, register_trainer
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync
from verl.trainer.ppo.v1.trainer_separate_async import PPOTrainerSeparateAsync
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.skip import SkipManager

from seed_grpo.errors import SeedGrpoError
from seed_grpo.meaning.answers import extract_answer
from seed_grpo.meaning.equivalence import shared_keyer
from seed_grpo.method.batch import MeasuredBatch, measure_batch
from seed_grpo.method.settings import MethodSettings
from seed_grpo.runs.checkpoints import point_to_newest_whole, seal, step_folder
from seed_grpo.runs.names import STOP, STOPPED
from seed_grpo.runs.records import RunRecords
from seed_grpo.verl_plugin.checks import check_group_size
from seed_grpo.verl_plugin.estimator import BatchWeights, batch_weights
from seed_grpo.verl_plugin.reward import answer_of, holds_answer
from seed_grpo.verl_plugin.runtime import RuntimeSettings

if TYPE_CHECKING:  # verl loads this module while it loads what the group rollout needs
    from seed_grpo.verl_plugin.group_rollout import Graded

logger = logging.getLogger(__name__)

NOT_FOR_WORKERS = {
    "ability", "agent_name", "data_source", "dummy_tensor", "extra_fields", "extra_info", "global_steps", "index",
    "interaction_kwargs", "metrics", "mm_processor_kwargs", "mm_processor_output", "num_turns", "prompt", "raw_prompt",
    "reward_model", "session_id", "tools_kwargs", "uid",
}  # fmt: skip
"""Columns of verl's data set and agent loop that describe a row, and take no part in a loss."""
NOT_FOR_ACTORS = {"returns", "rm_scores", "rollout_log_probs"}
"""Columns that the actor's loss does not read: a critic does, or the trainer itself before the update."""


class SeedGrpoMixin(PPOTrainer):
    """What SEED-GRPO adds to a verl trainer; put it before the trainer among the bases.

    With `algorithm.adv_estimator=grpo` the uncertainty is measured and recorded all the same, and changes nothing:
    that is how the baselines run.
    """

    extends: str
    """The mode of verl's that the trainer extends. verl compares `trainer_mode` with its own names in many places."""

    def __init__(self, config: DictConfig) -> None:
        self.method = MethodSettings.from_config(config.get("seed_grpo"))
        self.runtime = RuntimeSettings.from_config(config.get("seed_grpo_runtime"))
        check_group_size(config)
        self.folder = Path(config.trainer.default_local_dir)
        self._answers_decoded = False
        self._saved_step = 0
        super().__init__(config)

    @property
    def trainer_mode(self) -> str:
        return self.extends

    @trainer_mode.setter
    def trainer_mode(self, registered_name: str) -> None:
        """verl assigns the name of the registry; the name of the mode that we extend stays."""

    def _build_replay_buffer(self) -> Any:
        buffer = super()._build_replay_buffer()
        buffer.poll_interval = self.runtime.poll_seconds
        return buffer

    def _init_resource_pool_mgr(self) -> None:
        super()._init_resource_pool_mgr()
        if self.config.trainer.device == "cpu":
            import ray
            from verl.trainer.ppo.utils import Role
            from verl.workers.rollout import router

            from seed_grpo.verl_plugin.cpu.hf_rollout import start_servers_early
            from seed_grpo.verl_plugin.cpu.worker import CPUActorRolloutRefWorker

            worker: Any = ray.remote(CPUActorRolloutRefWorker)
            self.role_worker_mapping |= {role: worker for role in self.role_worker_mapping if role != Role.Critic}
            self._servers = start_servers_early(self.config)
            # verl's load balancer is an actor: its process would import all of verl during the first steps.
            ray.cloudpickle.register_pickle_by_value(router)

    def _setup(self) -> None:
        super()._setup()
        # The checkpoint is loaded by now: global_steps is the step that the run continues after.
        self.records = RunRecords(self.folder, last_step=self.global_steps)

    def fit(self, agent_loop_manager: Any) -> None:
        try:
            super().fit(agent_loop_manager)
        finally:
            if stop := getattr(agent_loop_manager, "stop", None):
                stop()

    # ---- checkpoints ------------------------------------------------------------------------------------------------

    def _load_checkpoint(self) -> None:
        if self.config.trainer.resume_mode == "auto":
            point_to_newest_whole(self.folder)
        super()._load_checkpoint()

    def _save_checkpoint(self) -> None:
        super()._save_checkpoint()
        self._saved_step = self.global_steps

    def on_step_end(self) -> None:
        super().on_step_end()
        if (self.folder / STOP).exists():
            if self._saved_step != self.global_steps:
                self._save_checkpoint()
            (self.folder / STOP).rename(self.folder / STOPPED)
            # verl's loop ends after the last step.
            self.total_training_steps = self.global_steps

    # ---- less work for the same step --------------------------------------------------------------------------------

    def _balance_batch(self, batch: Any, metrics: dict, *args: Any, **kwargs: Any) -> Any:
        if self.resource_pool_manager.get_n_gpus() > 1:
            return super()._balance_batch(batch, metrics, *args, **kwargs)
        # verl spends seconds on dividing a large batch among one rank; only the padding is needed.
        multiple = self._get_required_batch_multiple(dp_size=1)
        return upsample_batch_to_divisible_size(batch, multiple, self.tokenizer.eos_token_id)

    def _compute_old_log_prob(self, batch: Any, metrics: dict) -> Any:
        stored = getattr(self.agent_loop_manager, "stores_old_log_probs", False)
        if stored and not any(tag.get("is_padding", False) for tag in batch.tags):
            return batch
        return super()._compute_old_log_prob(batch, metrics=metrics)

    def _update_actor(self, batch: Any, metrics: dict) -> Any:
        # The workers would fetch texts and records as well, row by row; they use none of them.
        if batch.fields is not None:
            unused = NOT_FOR_WORKERS | NOT_FOR_ACTORS | (set() if self.processor else {"multi_modal_inputs"})
            batch.fields = [name for name in batch.fields if name not in unused]
        return super()._update_actor(batch, metrics)

    # ---- the method -------------------------------------------------------------------------------------------------

    def _compute_advantage(self, batch: Any, metrics: dict) -> Any:
        # The rows that take part in the advantages: the final output of each session, without padding.
        keys = [batch.keys[row] for row in real_final_rows(batch.keys, batch.tags)]
        graded = self._graded(keys)
        measured = self._measure(keys, batch.partition_id, graded)
        metrics.update(measured.metrics())
        metrics.update({f"seed_grpo/clusterer/{name}": n for name, n in shared_keyer().take_counts().items()})
        records = self._prompt_records(keys, batch.partition_id, graded, measured)
        self.records.write_prompts(self.global_steps, records)
        with batch_weights(BatchWeights(keys=batch.keys, weight_N=weight_of_rows(batch.keys, measured))):
            return super()._compute_advantage(batch, metrics)

    def _graded(self, keys: list[str]) -> list[Graded] | None:
        """What the group rollout, in this process, knows of the responses; None where TransferQueue must be asked."""
        take = getattr(getattr(self, "agent_loop_manager", None), "take_graded", None)
        return take(keys) if take else None

    def _measure(self, keys: list[str], partition_id: str, graded: list[Graded] | None) -> MeasuredBatch:
        likelihood = self.method.mass == "likelihood"
        fields = ["old_log_probs", "response_mask"] if likelihood else []
        if graded is None:
            fields += ["extra_fields", "rm_scores"]
        data: Any = tq.kv_batch_get(keys=keys, partition_id=partition_id, select_fields=fields) if fields else None
        if graded is None:
            infos = [(extra or {}).get("reward_extra_info", {}) for extra in column(data, "extra_fields")]
            answers = self._answers(infos, keys, partition_id)
            rewards = [float(scores.sum()) for scores in data["rm_scores"].unbind()]
        else:
            answers = [answer_of(response.info) for response in graded]
            rewards = [response.reward for response in graded]
        return measure_batch(
            [uid_of(key) for key in keys],
            answers,
            rewards,
            self.method,
            log_probs_N=self._log_probs(data) if likelihood else None,
        )

    def _answers(self, infos: list[dict], keys: list[str], partition_id: str) -> list[str | None]:
        """The final answers: from our reward manager, or read from the responses beside somebody else's."""
        if all(holds_answer(info) for info in infos):
            return [answer_of(info) for info in infos]
        if not self._answers_decoded:
            self._answers_decoded = True
            logger.warning("The reward manager does not return answers: they are extracted from the responses' text.")
        data = tq.kv_batch_get(keys=keys, partition_id=partition_id, select_fields=["responses"])
        texts = self.tokenizer.batch_decode(
            [ids.tolist() for ids in data["responses"].unbind()], skip_special_tokens=True
        )
        return [extract_answer(text, template=self.method.answer_template) for text in texts]

    def _log_probs(self, data: Any) -> np.ndarray:
        """One number a response: the mean or the sum of its tokens' log-probabilities under the current policy."""
        numbers = []
        for log_probs_T, mask_T in zip(data["old_log_probs"].unbind(), data["response_mask"].unbind(), strict=True):
            kept = log_probs_T[mask_T.bool()].double()
            numbers.append(float(kept.mean() if self.method.length_normalize else kept.sum()))
        return np.array(numbers)

    def _prompt_records(
        self, keys: list[str], partition_id: str, graded: list[Graded] | None, measured: MeasuredBatch
    ) -> list[dict[str, Any]]:
        firsts = [rows[0] for rows in measured.rows_P]
        if graded is None:
            data = tq.kv_batch_get(
                keys=[keys[row] for row in firsts],
                partition_id=partition_id,
                select_fields=["raw_prompt", "reward_model"],
            )
            prompts, golds = column(data, "raw_prompt"), column(data, "reward_model")
        else:
            prompts, golds = ([graded[row].row.get(name) for row in firsts] for name in ("raw_prompt", "reward_model"))
        return [
            {**record, "prompt": prompt_text(messages), "gold": (reward_model or {}).get("ground_truth")}
            for record, messages, reward_model in zip(measured.records(), prompts, golds, strict=True)
        ]

    # ---- records ----------------------------------------------------------------------------------------------------

    def _validate(self) -> dict[str, float]:
        metrics = super()._validate()
        if not hasattr(self, "timing_raw"):
            # The validation before the first step has no step record of its own to go into.
            self.records.write_step(self.global_steps, metrics)
        return metrics

    def _val_metrics_update(
        self, data_sources: Any, sample_uids: Any, reward_extra_infos_dict: Any, *args: Any, **kwargs: Any
    ) -> dict[str, float]:
        metrics = super()._val_metrics_update(data_sources, sample_uids, reward_extra_infos_dict, *args, **kwargs)
        scores = reward_extra_infos_dict.get("acc") or reward_extra_infos_dict["reward"]
        metrics["val/accuracy"] = float(np.mean([float(score) for score in scores]))
        return metrics

    def _compute_metrics(self, batch: Any, metrics: dict, timing_raw: dict, global_steps: int, epoch: int) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, global_steps=global_steps, epoch=epoch)
        samples = sum(not tag.get("is_padding", False) for tag in batch.tags)
        metrics["perf/samples_per_second"] = samples / timing_raw["step"]
        self.records.write_step(global_steps, metrics)
        if self._saved_step == global_steps:
            # Only now: a run that ends in between would go on behind a step that is not on record.
            seal(step_folder(self.folder, global_steps))


@register_trainer("seed_grpo_sync")
class SeedGrpoTrainerSync(SeedGrpoMixin, PPOTrainerSync):
    """SEED-GRPO, rollout and update in turn."""

    extends = "sync"
    _rolled_out_ahead = False

    def prepare_step(self) -> dict:
        if self._rolled_out_ahead:
            self._rolled_out_ahead = False
            return {}
        return super().prepare_step()

    def on_sample_begin(self) -> None:
        super().on_sample_begin()
        # The group rollout, in this process, says when it is done; verl asks TransferQueue again and again.
        if wait := getattr(self.agent_loop_manager, "wait", None):
            wait()

    def _compute_metrics(self, batch: Any, metrics: dict, *args: Any, **kwargs: Any) -> None:
        # The weights are new, checkpoint and validation are done: the servers can begin with the next step's responses
        # while this one's metrics are gathered and logged.
        self._roll_out_ahead()
        super()._compute_metrics(batch, metrics, *args, **kwargs)

    def _roll_out_ahead(self) -> None:
        following = self.global_steps + 1
        last_step = min(self.total_training_steps, self.steps_per_epoch * self.config.trainer.total_epochs)
        # verl begins a profile, and looks for rollouts that it has saved, between two steps.
        watched = self.config.global_profiler.steps or any(s.is_enabled() for s in SkipManager.skip_instances.values())
        if following > last_step or watched:
            return
        self.global_steps = following
        try:
            self._add_batch_to_generate()
        finally:
            self.global_steps = following - 1
        self._rolled_out_ahead = True


@register_trainer("seed_grpo_colocate_async")
class SeedGrpoTrainerColocateAsync(SeedGrpoMixin, PPOTrainerColocateAsync):
    """SEED-GRPO with partial rollouts on the training devices."""

    extends = "colocate_async"


@register_trainer("seed_grpo_separate_async")
class SeedGrpoTrainerSeparateAsync(SeedGrpoMixin, PPOTrainerSeparateAsync):
    """SEED-GRPO with rollouts on devices of their own."""

    extends = "separate_async"


def column(data: Any, name: str) -> list[Any]:
    """A column of plain objects; TransferQueue hands it out as one of several sequence types."""
    return [value.data if isinstance(value, NonTensorData) else value for value in data[name]]


def uid_of(key: str) -> str:
    """The prompt of a TransferQueue key `{uid}_{session}_{index}`."""
    return key.rsplit("_", 2)[0]


def weight_of_rows(keys: Sequence[str], measured: MeasuredBatch) -> np.ndarray:
    """The weight of each row's prompt, shape (N,); 1 for a row of no measured prompt, that is for padding."""
    weight_of = dict(zip(measured.uids, measured.weights.weight_P, strict=True))
    return np.array([weight_of.get(uid_of(key), 1.0) for key in keys])


def real_final_rows(keys: list[str], tags: list[dict]) -> list[int]:
    """The rows that verl's GRPO compares: the last output of each session; no padding. In order of the batch."""
    final: dict[str, tuple[int, int]] = {}
    for row, (key, tag) in enumerate(zip(keys, tags, strict=True)):
        if tag.get("is_padding", False):
            continue
        session, index = key.rsplit("_", 1)
        if session not in final or int(index) > final[session][0]:
            final[session] = (int(index), row)
    if not final:
        raise SeedGrpoError("The batch holds no response.", "look for the rollout's errors further up in the log.")
    return sorted(row for _, row in final.values())


def prompt_text(messages: Any) -> str | None:
    """The text of the last user message of a prompt."""
    texts = [message.get("content") for message in messages or [] if message.get("role") == "user"]
    return texts[-1] if texts and isinstance(texts[-1], str) else None
