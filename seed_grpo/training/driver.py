"""The driver process of a run: `python -m seed_grpo.training.driver CONFIG.yaml SCRATCH`. Started by `launch`."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from seed_grpo.errors import SeedGrpoError, last_line
from seed_grpo.training.fork_server import ForkServer, Worker, end_with_parent, py_executable
from seed_grpo.training.own_ray import OwnRay

FAILURE_MARK = "SEED_GRPO_FAILURE: "
"""A failure is printed behind this mark, in one line; `launch` looks for it."""
OF_THE_CLUSTER = {"num_cpus", "num_gpus", "resources", "object_store_memory", "include_dashboard", "dashboard_host",
                  "dashboard_port"}  # fmt: skip
"""A cluster that is there already brings its own; Ray refuses to be told them again."""


def main(config_path: str, scratch: str) -> int | Worker:
    """Run verl's V1 trainer with a composed configuration, as verl's own `main_ppo` does.

    Args:
        config_path: the configuration as YAML.
        scratch: a folder for Ray's files; unused if the run joins a cluster that is already there.

    Returns:
        The exit status; in a process that was forked for a worker of Ray, what it is to run.
    """
    # SIGTERM ends the run like Ctrl-C: Ray's processes are stopped on the way out.
    signal.signal(signal.SIGTERM, _interrupt)
    # The launcher answers this one; Slurm may send it to every process of a job.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    descriptors = _inherited()
    from omegaconf import OmegaConf

    config: Any = OmegaConf.load(config_path)
    from seed_grpo.training.cluster import cluster_address
    from seed_grpo.verl_plugin.runtime import RuntimeSettings

    address = cluster_address(config)
    if RuntimeSettings.from_config(config.get("seed_grpo_runtime")).trainer_in_driver and not address:
        return _train_here(config, scratch, descriptors)
    threading.Thread(target=end_with_owner, daemon=True).start()
    try:
        _check(config)
        _prepare_ray(config, address, scratch)
        _train_in_actor(config)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


def _inherited() -> list[int]:
    """Descriptors that this process was started with: the lock of the run's folder is one."""
    listed = [int(name) for name in os.listdir("/dev/fd")]
    return [number for number in listed if number > 2 and os.path.exists(f"/dev/fd/{number}")]


def _check(config: Any) -> None:
    from seed_grpo.training.resolvers import attention_note
    from seed_grpo.verl_plugin.launch import check_config

    print(attention_note(config))
    check_config(config)


def _train_in_actor(config: Any) -> None:
    import ray

    from seed_grpo.verl_plugin.launch import train_in_actor

    try:
        train_in_actor(config)
    finally:
        ray.shutdown()


def _train_here(config: Any, scratch: str, private: list[int]) -> int | Worker:
    """Train on this machine alone: Ray starts while this process imports verl.

    On Linux and without an accelerator, the trainer and all workers of Ray are then forked from it.
    """
    from omegaconf import OmegaConf

    from seed_grpo.verl_plugin.launch import import_libraries, import_workers

    # Ray's default for a Ray of one's own, said before any process imports Ray.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    arguments: Any = OmegaConf.to_container(config.ray_kwargs.ray_init, resolve=True)
    ray = OwnRay(arguments, scratch, private)
    here = os.getpid()
    try:
        import_libraries()
        ray.wait()
        _check(config)
        if config.trainer.device != "cpu" or sys.platform != "linux":
            threading.Thread(target=end_with_owner, daemon=True).start()
            _connect_and_train(config, ray, None)
            return 0
        import_workers(config.actor_rollout_ref.rollout.name)
        server = ForkServer(scratch)
        gc.freeze()  # collecting garbage would copy the pages that the forks share
        trainer = os.fork()
        if not trainer:
            end_with_parent(signal.SIGTERM)
            run_and_exit(lambda: _connect_and_train(config, ray, py_executable(scratch)))
        ended = server.serve(trainer, lambda: os.kill(trainer, signal.SIGTERM), private)
        if isinstance(ended, int) and ended and not ray.is_there():
            raise SeedGrpoError(
                "Ray ended before the run did.", "see whether it was killed; start the run again to resume it."
            )
        return ended
    finally:
        if os.getpid() == here:
            ray.end()
            shutil.rmtree(scratch, ignore_errors=True)


def _connect_and_train(config: Any, ray: OwnRay, worker_command: str | None) -> int:
    from seed_grpo.verl_plugin.launch import train_here

    ray.connect(worker_command)
    signal.signal(signal.SIGTERM, _interrupt)  # Ray has put its own there
    try:
        train_here(config)
    finally:
        ray.disconnect()
    return 0


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


def run_and_exit(run: Callable[[], int | Worker]) -> Worker:
    """End the process with the status that `run` returns, or that its failure has; returns what a fork is to run."""
    status: int | Worker = 0
    try:
        status = run()
        if isinstance(status, Worker):
            return status
    except KeyboardInterrupt:
        status = 130
    except Exception as error:
        traceback.print_exc()
        print(FAILURE_MARK + " ".join(failure_line(error).split()))
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    if status < 0:  # the trainer was killed, and its owner looks at this process
        with suppress(OSError):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    # The interpreter would wait for the threads of rollouts that an asynchronous run has left in flight.
    os._exit(status)


if __name__ == "__main__":
    run_and_exit(lambda: main(*sys.argv[1:])).run()
