"""The driver process of a run: `python -m seed_grpo.training.driver CONFIG.yaml SCRATCH`. Started by `launch`."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from seed_grpo.errors import SeedGrpoError, last_line
from seed_grpo.training.environment import NOT_UP, STARTS
from seed_grpo.training.processes import kill, started_by

FAILURE_MARK = "SEED_GRPO_FAILURE: "
"""A failure is printed behind this mark, in one line; `launch` looks for it."""
START_SECONDS = 600.0
"""For Ray and TransferQueue to start on this machine."""
OF_THE_CLUSTER = {"num_cpus", "num_gpus", "resources", "object_store_memory", "include_dashboard", "dashboard_host",
                  "dashboard_port"}  # fmt: skip
"""A cluster that is there already brings its own; Ray refuses to be told them again."""


def main(config_path: str, scratch: str) -> None:
    """Run verl's V1 trainer with a composed configuration, as verl's own `main_ppo` does.

    Args:
        config_path: the configuration as YAML.
        scratch: a folder for Ray's files; unused if the run joins a cluster that is already there.
    """
    # SIGTERM ends the run like Ctrl-C: Ray's processes are stopped on the way out.
    signal.signal(signal.SIGTERM, _interrupt)
    # The launcher answers this one; Slurm may send it to every process of a job.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    threading.Thread(target=end_with_owner, daemon=True).start()
    from omegaconf import OmegaConf

    config: Any = OmegaConf.load(config_path)
    for name, value in config.ray_kwargs.ray_init.runtime_env.get("env_vars", {}).items():
        os.environ.setdefault(name, str(value))
    # Only now: the plugin reads the environment when it is imported.
    from seed_grpo.training.cluster import cluster_address
    from seed_grpo.verl_plugin.launch import check_config, train_here, train_in_actor
    from seed_grpo.verl_plugin.runtime import RuntimeSettings

    address = cluster_address(config)
    here = RuntimeSettings.from_config(config.get("seed_grpo_runtime")).trainer_in_driver and not address
    early = _EarlyRay(config, scratch) if here else None

    import ray

    from seed_grpo.training.resolvers import attention_note

    print(attention_note(config))
    check_config(config)
    try:
        if early is not None:
            early.wait()
            train_here(config)
        else:
            _prepare_ray(config, address, scratch)
            train_in_actor(config)
    finally:
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


def _prepare_ray(config: Any, address: str | None, scratch: str) -> None:
    """What verl will start Ray with, or join the cluster with."""
    from omegaconf import open_dict

    ray_init = config.ray_kwargs.ray_init
    with open_dict(ray_init):
        if address:
            # The cluster's processes were not started from here: what they should know goes with the run.
            env_vars = ray_init.runtime_env.get("env_vars", {})
            ray_init.runtime_env["env_vars"] = {"TENSORBOARD_DIR": os.environ.get("TENSORBOARD_DIR", ""), **env_vars}
            for name in OF_THE_CLUSTER & set(ray_init):
                ray_init.pop(name)
        else:
            ray_init["_temp_dir"] = scratch


class _EarlyRay:
    """Ray and TransferQueue on this machine, started while this process still imports verl.

    verl's task runner finds both running. Ray's processes inherit the environment of this one: a `runtime_env` would
    start each of them anew.
    """

    def __init__(self, config: Any, scratch: str) -> None:
        self._config = config
        self._scratch = scratch
        self._error: BaseException | None = None
        self._done = threading.Event()
        threading.Thread(target=self._start, daemon=True).start()

    def _start(self) -> None:
        try:
            import ray
            from omegaconf import OmegaConf

            from seed_grpo.verl_plugin.launch import start_transfer_queue

            arguments: Any = OmegaConf.to_container(self._config.ray_kwargs.ray_init, resolve=True)
            del arguments["runtime_env"]

            def clean_up() -> None:
                ray.shutdown()
                kill(started_by(os.getpid(), self._scratch))

            start_again(lambda: ray.init(**arguments, _temp_dir=self._scratch), clean_up)
            start_transfer_queue(self._config.transfer_queue)
        except BaseException as error:
            self._error = error
        self._done.set()
        # The kernel ends Ray's processes with the thread that started them.
        threading.Event().wait()

    def wait(self) -> None:
        """Return once both run; raises what went wrong."""
        if not self._done.wait(START_SECONDS):
            raise SeedGrpoError(
                f"Ray and TransferQueue did not start within {START_SECONDS:.0f} s.",
                "look at the machine's load and memory, and at what Ray said before this in the log.",
            )
        if self._error is not None:
            raise self._error


def start_again(start: Callable[[], Any], clean_up: Callable[[], Any]) -> None:
    """Start a Ray, up to `STARTS` times if its node does not come up."""
    for tries_left in reversed(range(STARTS)):
        try:
            start()
            return
        except Exception as error:
            if NOT_UP not in str(error) or not tries_left:
                raise
            print("Ray's node did not come up: once more.", flush=True)
            clean_up()


def failure_line(error: BaseException) -> str:
    """One line for the person who started the run: our own error if one is among the causes, else the last one."""
    causes = [error]
    while (cause := getattr(causes[-1], "cause", None) or causes[-1].__cause__) and isinstance(cause, BaseException):
        causes.append(cause)
    ours = [cause for cause in causes if isinstance(cause, SeedGrpoError) and cause.args]
    if ours and ours[-1].cause and isinstance(ours[-1].cause, str):
        return str(ours[-1])
    return last_line(causes[-1])


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def end_with_owner() -> None:
    """Standard input closes when the process that started this one ends, however it ends."""
    # Not through sys.stdin: a thread that waits in there with its lock held aborts the interpreter's exit.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    status = 0
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    except Exception as error:
        traceback.print_exc()
        print(FAILURE_MARK + " ".join(failure_line(error).split()))
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # The interpreter would wait for the threads of rollouts that an asynchronous run has left in flight.
    os._exit(status)
