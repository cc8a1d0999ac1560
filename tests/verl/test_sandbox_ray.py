"""The sandbox where verl uses it: in an async Ray actor's executor threads, in several actors at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="needs the extra `train`")
    ray.init(num_cpus=4, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield ray
    ray.shutdown()


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def make_actor(ray: Any) -> Any:
    @ray.remote(num_cpus=1)
    class Grader:
        """As verl's reward loop worker: an async actor that grades in its executor's threads."""

        async def grade(self, answer: str, gold: str) -> bool:
            import asyncio

            from seed_grpo import grade_answer

            return await asyncio.get_running_loop().run_in_executor(None, grade_answer, answer, gold)

        async def grade_here(self, answer: str, gold: str) -> bool:
            from seed_grpo import grade_answer

            return grade_answer(answer, gold)

        async def workers(self) -> list[int]:
            from seed_grpo.meaning.equivalence import shared_keyer

            return shared_keyer()._sandbox.process_ids()

    return Grader.remote()


def test_async_actors_at_once_and_no_orphans(ray: Any) -> None:
    actors = [make_actor(ray) for _ in range(2)]
    good = [actor.grade.remote(f"{n}\\sqrt{{8}}", f"{2 * n}\\sqrt{{2}}") for n in range(1, 40) for actor in actors]
    bad = [actor.grade.remote("9^{9^9}", f"{n}\\sqrt{{2}}") for n in range(20) for actor in actors]
    direct = [actor.grade_here.remote("\\sqrt{12}", "2\\sqrt{3}") for actor in actors]
    assert all(ray.get(good, timeout=180))
    assert not any(ray.get(bad, timeout=180))
    assert all(ray.get(direct, timeout=180))
    pids = [pid for actor in actors for pid in ray.get(actor.workers.remote(), timeout=180)]
    assert len(set(pids)) >= 2
    assert all(alive(pid) for pid in pids)
    for actor in actors:
        ray.kill(actor)  # SIGKILL: nothing in the actor can clean up
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "workers outlived their actors"
        time.sleep(0.1)
