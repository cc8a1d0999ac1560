"""SEED-GRPO in verl's V1 trainers: one mixin, and a trainer for each of verl's three modes.

The mixin overrides `_compute_advantage`: it takes the graded responses from the rollout, measures the uncertainty of
each prompt, and calls verl's own method with the weights at hand for the estimator. The rest of it keeps records and
checkpoints.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
from verl.trainer.ppo.v1.trainer_base import PPOTrainer, register_trainer
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync
from verl.trainer.ppo.v1.trainer_separate_async import PPOTrainerSeparateAsync
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.skip import SkipManager

from seed_grpo.errors import UsageError
from seed_grpo.meaning.registry import MEANINGS, make_meaning
from seed_grpo.measuring import measure_responses
from seed_grpo.method.labels import GOLD
from seed_grpo.runs.checkpoints import point_to_newest_whole, seal, step_folder
from seed_grpo.runs.names import STOP, STOPPED
from seed_grpo.runs.records import RunRecords
from seed_grpo.settings import Settings
from seed_grpo.validation import validation_metrics
from seed_grpo.verl_plugin.batches import real_final_rows, uid_of, weight_of_rows
from seed_grpo.verl_plugin.checks import check_group_size
from seed_grpo.verl_plugin.engine_health import living_engines
from seed_grpo.verl_plugin.estimator import BatchWeights, batch_weights
from seed_grpo.verl_plugin.graded import Graded, GradedReader, response_log_probs
from seed_grpo.verl_plugin.runtime import RuntimeSettings

if TYPE_CHECKING:  # verl loads this module while it loads what the group rollout needs
    from seed_grpo.verl_plugin.group_rollout import GroupRolloutManager

NOT_FOR_WORKERS = {
    "ability", "agent_name", "data_source", "dummy_tensor", "extra_fields", "extra_info", "global_steps", "index",
    "interaction_kwargs", "metrics", "mm_processor_kwargs", "mm_processor_output", "num_turns", "prompt", "raw_prompt",
    "reward_model", "session_id", "tools_kwargs", "uid",
}  # fmt: skip
"""Columns of verl's data set and agent loop that describe a row and enter no loss."""
NOT_FOR_ACTORS = {"returns", "rm_scores", "rollout_log_probs"}
"""Columns that the actor's loss does not read: a critic does, or the trainer itself before the update."""


class SeedGrpoMixin(PPOTrainer):
    """What SEED-GRPO adds to a verl trainer; put it before the trainer among the bases.

    With `algorithm.adv_estimator=grpo` the uncertainty is measured and recorded all the same, but changes nothing: the
    baselines run this way.
    """

    extends: str
    """The mode of verl's that the trainer extends. verl compares `trainer_mode` with its own names in many places."""
    agent_loop_manager: Any = None
    """verl's `fit` sets it."""

    def __init__(self, config: DictConfig) -> None:
        self.settings = Settings.from_config(config.get("seed_grpo"))
        self.meaning = make_meaning(self.settings)
        self.runtime = RuntimeSettings.from_config(config.get("seed_grpo_runtime"))
        check_group_size(config)
        self.folder = Path(config.trainer.default_local_dir)
        self._saved_step = 0
        super().__init__(config)

    @property
    def trainer_mode(self) -> str:
        return self.extends

    @trainer_mode.setter
    def trainer_mode(self, registered_name: str) -> None:
        """verl assigns the registered name; the name of the extended mode is kept."""

    def _init_dataloader(self) -> None:
        super()._init_dataloader()
        if not self.steps_per_epoch:
            raise UsageError(
                f"{len(self.train_dataset)} training prompts have at most data.max_prompt_length tokens, fewer than "
                f"data.train_batch_size={self.config.data.train_batch_size}.",
                "raise data.max_prompt_length, lower data.train_batch_size, or give more data.",
            )
        # The last step that the data gives is a last step: verl saves and validates after it.
        possible = self.steps_per_epoch * self.config.trainer.total_epochs
        self.total_training_steps = min(self.total_training_steps, possible)

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
        self.agent_loop_manager = agent_loop_manager
        if self.group_rollout:
            self.group_rollout.keep_texts = self.meaning.needs_text
        rollout = self.config.actor_rollout_ref.rollout.name
        try:
            with living_engines(rollout, lambda: self.llm_server_manager.get_replicas()):
                super().fit(agent_loop_manager)
        finally:
            if self.group_rollout:
                self.group_rollout.stop()

    @property
    def group_rollout(self) -> GroupRolloutManager | None:
        """The manager of the rollouts if it is ours, in this process; None on verl's own path."""
        from seed_grpo.verl_plugin.group_rollout import GroupRolloutManager

        return self.agent_loop_manager if isinstance(self.agent_loop_manager, GroupRolloutManager) else None

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
        stored = self.group_rollout is not None and self.group_rollout.stores_old_log_probs
        if stored and not any(tag.get("is_padding", False) for tag in batch.tags):
            return batch
        return super()._compute_old_log_prob(batch, metrics=metrics)

    def _update_actor(self, batch: Any, metrics: dict) -> Any:
        # The workers would also fetch texts and records, row by row, and use none of them.
        if batch.fields is not None:
            unused = NOT_FOR_WORKERS | NOT_FOR_ACTORS | (set() if self.processor else {"multi_modal_inputs"})
            batch.fields = [name for name in batch.fields if name not in unused]
        return super()._update_actor(batch, metrics)

    # ---- the method -------------------------------------------------------------------------------------------------

    def _compute_advantage(self, batch: Any, metrics: dict) -> Any:
        # The rows that take part in the advantages: the final output of each session, without padding.
        keys = [batch.keys[row] for row in real_final_rows(batch.keys, batch.tags)]
        graded = self._graded(keys, batch.partition_id)
        samples = [response.sample for response in graded]
        measured = measure_responses(
            [uid_of(key) for key in keys],
            samples,
            [response.reward for response in graded],
            self.meaning,
            self.settings,
            log_probs_N=self._log_probs(keys, batch.partition_id),
        )
        metrics.update(measured.metrics())
        if self.settings.labels != GOLD:
            metrics.update(measured.label_metrics([response.true_reward for response in graded]))
        metrics.update({f"seed_grpo/clusterer/{name}": n for name, n in self.meaning.take_counts().items()})
        if self.group_rollout and (cut := self.group_rollout.take_prompts_cut()):
            metrics["seed_grpo/prompts_cut"] = float(cut)
        problems = [samples[rows[0]].row for rows in measured.groups.rows_P]
        self.records.write_prompts(
            self.global_steps,
            (
                {**record, "prompt": problem["question"], "gold": problem["gold"]}
                for record, problem in zip(measured.records(), problems, strict=True)
            ),
        )
        with batch_weights(BatchWeights(keys=batch.keys, weight_N=weight_of_rows(batch.keys, measured))):
            return super()._compute_advantage(batch, metrics)

    def _graded(self, keys: list[str], partition_id: str) -> list[Graded]:
        # Fetching the responses from TransferQueue takes longer than the whole method; the group rollout has them.
        known = self.group_rollout.take_graded(keys) if self.group_rollout else None
        if known is not None:
            return known
        reader = GradedReader(self.tokenizer, self.settings.answer_template, self.meaning.needs_text)
        return reader.read(keys, partition_id)

    def _log_probs(self, keys: list[str], partition_id: str) -> np.ndarray | None:
        if self.settings.mass != "likelihood":
            return None
        return response_log_probs(keys, partition_id, mean=self.settings.length_normalize)

    # ---- records ----------------------------------------------------------------------------------------------------

    def _validate(self) -> dict[str, float]:
        metrics = super()._validate()
        if not hasattr(self, "timing_raw"):
            # The validation before the first step has no step record of its own to go into.
            self.records.write_validation(self.global_steps, metrics)
        return metrics

    def _val_metrics_update(
        self, data_sources: Any, sample_uids: Any, reward_extra_infos_dict: Any, *args: Any, **kwargs: Any
    ) -> dict[str, float]:
        metrics = super()._val_metrics_update(data_sources, sample_uids, reward_extra_infos_dict, *args, **kwargs)
        scores = reward_extra_infos_dict.get("acc") or reward_extra_infos_dict["reward"]
        right = [float(score) for score in scores]
        metrics["val/accuracy"] = float(np.mean(right))
        # The texts are not at hand here: a meaning that needs them leaves it to the answers.
        meaning = MEANINGS["exact"](self.settings) if self.meaning.needs_text else self.meaning
        answers = reward_extra_infos_dict.get("pred") or [None] * len(right)
        metrics.update(validation_metrics(sample_uids, right, answers, meaning))
        return metrics

    def _compute_metrics(self, batch: Any, metrics: dict, timing_raw: dict, global_steps: int, epoch: int) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, global_steps=global_steps, epoch=epoch)
        samples = sum(not tag.get("is_padding", False) for tag in batch.tags)
        metrics["perf/samples_per_second"] = samples / timing_raw["step"]
        self.records.write_step(global_steps, metrics)
        if self._saved_step == global_steps:
            # Only now: a run that ended in between would resume after a step that is not on record.
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
        # The group rollout, in this process, knows when it is done; verl would poll TransferQueue.
        if self.group_rollout:
            self.group_rollout.wait()
            self.group_rollout.failures.raise_after(self.config.data.train_batch_size)

    def _compute_metrics(self, batch: Any, metrics: dict, *args: Any, **kwargs: Any) -> None:
        # The weights are new, checkpoint and validation are done: the servers can begin with the next step's responses
        # while this one's metrics are gathered and logged.
        self._roll_out_ahead()
        super()._compute_metrics(batch, metrics, *args, **kwargs)

    def _roll_out_ahead(self) -> None:
        following = self.global_steps + 1
        # verl begins a profile, and looks for rollouts that it has saved, between two steps.
        watched = self.config.global_profiler.steps or any(s.is_enabled() for s in SkipManager.skip_instances.values())
        if following > self.total_training_steps or watched:
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
