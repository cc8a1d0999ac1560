"""SEED-GRPO as a recipe: verl's `main_ppo` with the recipe's configuration.

python3 -m recipe.seed_grpo.main_seed_grpo experiment=qwen2.5_math_7b platform=gpu seed_grpo.alpha=0.05
"""

from __future__ import annotations

import hydra
from omegaconf import DictConfig, OmegaConf
from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config
from verl.utils.device import auto_set_device

from seed_grpo.training.compose import register_defaults
from seed_grpo.training.preflight import check_run
from seed_grpo.verl_plugin import require_registered

register_defaults()


@hydra.main(config_path="pkg://seed_grpo.configs", config_name="train", version_base=None)
def main(config: DictConfig) -> None:
    """Check the run, then hand it to verl."""
    require_registered()
    OmegaConf.resolve(config)  # Ray's processes do not know the project's resolvers
    check_run(config)
    auto_set_device(config)
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    run_ppo(config, task_runner_class=TaskRunnerV1)


if __name__ == "__main__":
    main()
