"""The driver process of a run: `python -m seed_grpo.training.driver CONFIG.yaml`. Started by `launch`, never imported."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any


def main(config_path: str) -> None:
    """Run verl's V1 trainer with a composed configuration, as verl's own `main_ppo` does."""
    # SIGTERM ends the run like Ctrl-C: Ray's processes are stopped on the way out.
    signal.signal(signal.SIGTERM, _interrupt)
    from omegaconf import OmegaConf

    config = OmegaConf.load(config_path)
    for name, value in config.ray_kwargs.ray_init.runtime_env.get("env_vars", {}).items():
        os.environ.setdefault(name, str(value))

    import ray
    from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config
    from verl.utils.device import auto_set_device

    from seed_grpo.verl_plugin import require_registered

    require_registered()
    auto_set_device(config)
    validate_config(
        config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config)
    )
    try:
        run_ppo(config, task_runner_class=TaskRunnerV1)
    finally:
        ray.shutdown()


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main(sys.argv[1])
