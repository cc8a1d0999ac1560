"""What verl has of the plugin in worker processes of Ray: of a small Ray started for the question, or of a cluster's
nodes. `python -m seed_grpo.training.plugin_check SCRATCH [ADDRESS]` answers; `registered_in_ray` runs it.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys

from seed_grpo.errors import SeedGrpoError
from seed_grpo.training.environment import run_environment, short_folder
from seed_grpo.training.processes import FOLDER, kill, started_by

ANSWER_SECONDS = 180.0


def registered_in_ray(address: str | None = None) -> dict[str, dict[str, bool]]:
    """For each node, which parts of the plugin are registered in a worker process there; in bounded time.

    Args:
        address: of a cluster; by default a Ray is started on this machine, and ended.

    Raises:
        SeedGrpoError: Ray does not start, or a node does not answer.
    """
    scratch = short_folder("seed-grpo-")
    process = subprocess.Popen(
        [sys.executable, "-m", "seed_grpo.training.plugin_check", scratch, *([address] if address else [])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**run_environment(scratch, on_cpu=address is None), FOLDER: scratch},
        start_new_session=True,
    )
    try:
        output, messages = process.communicate(timeout=ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        raise SeedGrpoError(
            f"No worker of Ray answers within {ANSWER_SECONDS:.0f} s.", "look at the load of the machines."
        ) from None
    finally:
        started = started_by(process.pid, scratch)
        if process.poll() is None:
            process.kill()
            process.communicate()
        kill(started)
        shutil.rmtree(scratch, ignore_errors=True)
    if process.returncode != 0:
        lines = [line.strip() for line in messages.splitlines() if line.strip()]
        raise SeedGrpoError(
            (lines[-1] if lines else f"status {process.returncode}")[:300],
            "install the same seed-grpo, Python and Ray on every node.",
        )
    return json.loads(output.strip().splitlines()[-1])


def _ask(scratch: str, address: str | None) -> dict[str, dict[str, bool]]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from seed_grpo.verl_plugin.launch import registered_in_this_process

    if address:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    else:
        ray.init(
            num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, _temp_dir=scratch
        )
    try:
        ask = ray.remote(num_cpus=0)(registered_in_this_process)
        names = {node["NodeID"]: node["NodeName"] for node in ray.nodes() if node["Alive"]}
        answers = [
            ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote() for node in names
        ]
        return dict(zip(names.values(), ray.get(answers), strict=True))
    finally:
        ray.shutdown()


if __name__ == "__main__":
    print(json.dumps(_ask(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)))
