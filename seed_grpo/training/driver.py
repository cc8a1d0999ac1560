"""The driver process of a run: `python -m seed_grpo.training.driver CONFIG.yaml SCRATCH`. Started by `launch`."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import traceback
from typing import Any

from seed_grpo.errors import SeedGrpoError

FAILURE_MARK = "SEED_GRPO_FAILURE: "
"""A failure is printed behind this mark, in one line; `launch` looks for it."""


def main(config_path: str, scratch: str) -> None:
    """Run verl's V1 trainer with a composed configuration, as verl's own `main_ppo` does.

    Args:
        config_path: the configuration as YAML.
        scratch: a folder for Ray's files; unused where the run joins a cluster that is already there.
    """
    # SIGTERM ends the run like Ctrl-C: Ray's processes are stopped on the way out.
    signal.signal(signal.SIGTERM, _interrupt)
    # The launcher's to answer; Slurm may send it to every process of a job.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    threading.Thread(target=_end_with_owner, daemon=True).start()
    from omegaconf import OmegaConf, open_dict

    config: Any = OmegaConf.load(config_path)
    ray_init = config.ray_kwargs.ray_init
    for name, value in ray_init.runtime_env.get("env_vars", {}).items():
        os.environ.setdefault(name, str(value))
    address = os.environ.get("RAY_ADDRESS") or ray_init.get("address")
    with open_dict(ray_init):
        if address:
            # The cluster's processes were not started from here: what they should know goes with the run.
            env_vars = ray_init.runtime_env.get("env_vars", {})
            ray_init.runtime_env["env_vars"] = {"TENSORBOARD_DIR": os.environ.get("TENSORBOARD_DIR", ""), **env_vars}
        else:
            ray_init["_temp_dir"] = scratch

    import verl  # noqa: F401  (first: it is to load the plugin by itself, as it must in every process of Ray)

    from seed_grpo.verl_plugin import require_registered

    require_registered()

    import ray
    from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config
    from verl.utils.device import auto_set_device

    from seed_grpo.training.cluster import check_cluster, nodes_at
    from seed_grpo.training.resolvers import attention_note

    print(attention_note(config))
    auto_set_device(config)
    validate_config(config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    if address:
        check_cluster(config, nodes_at(address))
    try:
        run_ppo(config, task_runner_class=TaskRunnerV1)
    finally:
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


def failure_line(error: BaseException) -> str:
    """One line for the person who started the run: our own error if one is among the causes, else the last one."""
    causes = [error]
    while (cause := getattr(causes[-1], "cause", None) or causes[-1].__cause__) and isinstance(cause, BaseException):
        causes.append(cause)
    ours = [cause for cause in causes if isinstance(cause, SeedGrpoError) and cause.args]
    if ours and ours[-1].cause and isinstance(ours[-1].cause, str):
        return str(ours[-1])
    lines = [line for line in str(causes[-1]).splitlines() if line.strip()]
    return f"{type(causes[-1]).__name__}: {lines[-1].strip() if lines else 'no message'}"


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _end_with_owner() -> None:
    """Standard input closes when the process that started this one ends, however it ends."""
    # Not through sys.stdin: a thread that waits in there with its lock held aborts the interpreter's exit.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        traceback.print_exc()
        print(FAILURE_MARK + " ".join(failure_line(error).split()), flush=True)
        sys.exit(1)
