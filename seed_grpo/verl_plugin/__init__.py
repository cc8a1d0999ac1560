"""The plugin: verl imports this module in every process that imports verl (entry point group `verl.plugins`).

verl imports it while `verl/__init__` is still executing, in trainers and in the smallest worker alike, so nothing heavy
may happen here: each registration waits until verl itself has imported the registry that it belongs to. Modules that
register by decorator are only imported: one of them may have imported verl's registry in the first place. verl logs an
error in this module at level DEBUG only; `registered()` says whether every registration happened.
"""

from __future__ import annotations

import gc
import os
from types import ModuleType

from wrapt import when_imported

from seed_grpo.errors import SeedGrpoError
from seed_grpo.verl_plugin.names import (
    COLUMN_STORAGE,
    CPU_PLATFORM,
    ESTIMATOR,
    HF_ROLLOUT,
    RAFT_PP,
    REWARD_MANAGER,
    TRAINER_MODES,
    VLLM_ROLLOUT,
)

if os.environ.get("VERL_PLATFORM") == CPU_PLATFORM:
    # By default Python looks for garbage every 700 new objects. That is a fifth of the time that importing verl takes,
    # and a tenth of a step, in which TransferQueue builds one object per row and field.
    gc.set_threshold(100_000, 20, 100)

    from seed_grpo.verl_plugin.cpu.vllm_name import answer_to_vllm

    answer_to_vllm()


@when_imported("verl.plugin.platform.platform_manager")
def _register_platform(module: ModuleType) -> None:
    import seed_grpo.verl_plugin.cpu.platform  # noqa: F401


@when_imported("verl.trainer.ppo.core_algos")
def _register_estimator(module: ModuleType) -> None:
    from seed_grpo.verl_plugin.estimator import compute_seed_grpo_advantage
    from seed_grpo.verl_plugin.raft_pp import compute_raft_pp_advantage

    module.register_adv_est(ESTIMATOR)(compute_seed_grpo_advantage)
    module.register_adv_est(RAFT_PP)(compute_raft_pp_advantage)


@when_imported("verl.trainer.ppo.v1")
def _register_trainers(module: ModuleType) -> None:
    # Not under the name trainer_base: its own module imports the modes that our trainers extend.
    import seed_grpo.verl_plugin.trainer  # noqa: F401


@when_imported("verl.experimental.reward_loop.reward_manager")
def _register_reward_manager(module: ModuleType) -> None:
    import seed_grpo.verl_plugin.reward  # noqa: F401


@when_imported("verl.workers.rollout.replica")
def _register_rollout_server(module: ModuleType) -> None:
    def load() -> type:
        from seed_grpo.verl_plugin.cpu.hf_rollout import HFReplica

        return HFReplica

    def load_vllm() -> type:
        from seed_grpo.verl_plugin.vllm_groups import GroupReplica

        return GroupReplica

    module.RolloutReplicaRegistry.register(HF_ROLLOUT, load)
    module.RolloutReplicaRegistry.register(VLLM_ROLLOUT, load_vllm)


@when_imported("verl.workers.rollout.base")
def _register_rollout_adapter(module: ModuleType) -> None:
    # verl has a registration function for servers, but only a table for their adapters.
    module._ROLLOUT_REGISTRY[(HF_ROLLOUT, "async")] = "seed_grpo.verl_plugin.cpu.hf_rollout.HFServerAdapter"
    module._ROLLOUT_REGISTRY[(VLLM_ROLLOUT, "async")] = "seed_grpo.verl_plugin.weight_sync.VLLMServerAdapter"


@when_imported("verl.workers.engine")
def _register_engine(module: ModuleType) -> None:
    # verl's FSDP engine runs on a CPU unchanged, but verl registers it for accelerators only.
    module.EngineRegistry.register(model_type="language_model", backend=["fsdp", "fsdp2"], device="cpu")(
        module.FSDPEngineWithLMHead
    )


@when_imported("transfer_queue")
def _register_storage(module: ModuleType) -> None:
    import seed_grpo.verl_plugin.cpu.column_storage  # noqa: F401


def require_registered() -> None:
    """Raise `SeedGrpoError` if a part of the plugin did not register in this process; verl itself would not say so."""
    try:
        missing = [f"{part} is not registered" for part, present in registered().items() if not present]
    except ValueError as error:  # verl does not import if it does not know the platform in VERL_PLATFORM
        missing = [str(error)]
    if missing:
        raise SeedGrpoError(
            f"verl did not load the seed-grpo plugin: {missing[0].rstrip('.')}.",
            "reinstall seed-grpo in this environment, and unset VERL_USE_EXTERNAL_PLUGINS.",
        )


def registered() -> dict[str, bool]:
    """Whether verl loads the plugin, and for each part whether it is registered in this process.

    This imports verl's trainer, which takes seconds.
    """
    import verl
    from transfer_queue.storage.managers.base import StorageManagerFactory
    from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER as reward_managers
    from verl.plugin.platform.platform_manager import PlatformRegistry
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
    from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY
    from verl.workers.rollout.base import _ROLLOUT_REGISTRY
    from verl.workers.rollout.replica import RolloutReplicaRegistry

    # What verl found when it was imported, and which of it VERL_USE_EXTERNAL_PLUGINS lets it load: this process may
    # have imported the plugin by itself, and the others of the run will not.
    found = {plugin.name for plugin in getattr(verl, "_discovered", ()) if plugin.value == __name__}
    allowed = getattr(verl, "_allowed", None)
    return {
        "entry point among verl.plugins": bool(found if allowed is None else found & allowed),
        **{f"advantage estimator {name}": name in ADV_ESTIMATOR_REGISTRY for name in (ESTIMATOR, RAFT_PP)},
        **{f"trainer mode {mode}": mode in TRAINER_REGISTRY for mode in TRAINER_MODES},
        f"reward manager {REWARD_MANAGER}": REWARD_MANAGER in reward_managers,
        f"platform {CPU_PLATFORM}": PlatformRegistry.get(CPU_PLATFORM) is not None,
        f"rollout {HF_ROLLOUT}": HF_ROLLOUT in RolloutReplicaRegistry._registry
        and (HF_ROLLOUT, "async") in _ROLLOUT_REGISTRY,
        f"storage backend {COLUMN_STORAGE}": COLUMN_STORAGE in StorageManagerFactory._registry,
    }
