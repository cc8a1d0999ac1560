"""The sandbox: timers, kills, memory, turns, threads, forks, and what is left when an owner ends."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from seed_grpo.errors import SeedGrpoError
from seed_grpo.meaning.equivalence import AnswerKeyer
from seed_grpo.sandbox.pool import PATIENCE, Sandbox

SOFT = 0.3
# A machine that does other things too.
SLACK = 0.5
ENDLESS = "work 1000"
HERE = Path(__file__).parents[1]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Sandbox]]:
    """Sandboxes whose workers run `sandbox_jobs`; closed afterwards."""
    monkeypatch.syspath_prepend(str(HERE))
    made: list[Sandbox] = []

    def build(workers: int = 1, soft_seconds: float = SOFT, memory_bytes: int = 1 << 29) -> Sandbox:
        made.append(Sandbox("sandbox_jobs:job", workers=workers, soft_seconds=soft_seconds, memory_bytes=memory_bytes))
        return made[-1]

    yield build
    for sandbox in made:
        sandbox.close()


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def test_outcomes_come_in_order(make: Callable[..., Sandbox]) -> None:
    outcomes = make(workers=2).evaluate([f"echo {number}" for number in range(200)])
    assert [outcome.value for outcome in outcomes] == [str(number) for number in range(200)]


def test_workers_live_on(make: Callable[..., Sandbox]) -> None:
    sandbox = make()
    assert len({sandbox.evaluate(["pid"])[0].value for _ in range(5)}) == 1


def test_the_soft_timer_ends_python_code(make: Callable[..., Sandbox]) -> None:
    sandbox = make()
    sandbox.evaluate(["echo warm"])
    start = time.monotonic()
    (outcome,) = sandbox.evaluate([ENDLESS])
    assert outcome.timed_out
    assert outcome.value is None
    assert SOFT - 0.05 < time.monotonic() - start < PATIENCE * SOFT


def test_what_the_timer_cannot_end_is_killed_and_replaced(make: Callable[..., Sandbox]) -> None:
    sandbox = make()
    before = sandbox.evaluate(["pid"])[0].value
    start = time.monotonic()
    (outcome,) = sandbox.evaluate(["stuck"])
    assert outcome.timed_out
    assert time.monotonic() - start < PATIENCE * SOFT
    assert sandbox.evaluate(["pid"])[0].value != before
    assert not alive(int(before or 0))


def test_what_waits_is_killed_and_replaced(make: Callable[..., Sandbox]) -> None:
    sandbox = make()
    before = sandbox.evaluate(["pid"])[0].value
    start = time.monotonic()
    (outcome,) = sandbox.evaluate(["sleep"])
    assert outcome.timed_out
    assert PATIENCE * SOFT < time.monotonic() - start < PATIENCE * SOFT + 10 * SLACK
    assert sandbox.evaluate(["pid"])[0].value != before


def test_other_work_of_the_machine_takes_no_time_from_a_job(make: Callable[..., Sandbox]) -> None:
    """The reward of an answer is the same on a busy machine: a job's time is the processor's."""
    sandbox = make()
    sandbox.evaluate(["echo warm"])
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        start = time.monotonic()
        outcomes = sandbox.evaluate([f"work {0.8 * SOFT}"] * 4)
        taken = time.monotonic() - start
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert not any(outcome.timed_out for outcome in outcomes)
    assert taken > 1.3 * 4 * 0.8 * SOFT, "the machine was not busy: the test shows nothing"


def test_nothing_half_finished_stays_behind(make: Callable[..., Sandbox]) -> None:
    """A worker whose job was interrupted takes no other: caches of a library could be in pieces."""
    sandbox = make()
    before = sandbox.evaluate(["pid"])[0].value
    sandbox.evaluate([ENDLESS])
    assert sandbox.evaluate(["pid"])[0].value != before


def test_memory_is_limited(make: Callable[..., Sandbox]) -> None:
    sandbox = make(memory_bytes=1 << 28)
    assert sandbox.evaluate([f"memory {1 << 20}"])[0].value == str(1 << 20)
    assert sandbox.evaluate([f"memory {1 << 29}"])[0].timed_out
    assert sandbox.evaluate(["echo on"])[0].value == "on"


def test_a_fault_costs_one_key(make: Callable[..., Sandbox]) -> None:
    outcomes = make().evaluate(["raise oops", "echo on"])
    assert [(outcome.value, outcome.timed_out) for outcome in outcomes] == [(None, False), ("on", False)]


def test_a_job_that_kills_its_worker_does_so_twice_at_most(make: Callable[..., Sandbox]) -> None:
    outcomes = make().evaluate(["crash", "echo on"])
    assert [(outcome.value, outcome.timed_out) for outcome in outcomes] == [(None, True), ("on", False)]


def test_a_worker_killed_from_outside_costs_nothing(make: Callable[..., Sandbox]) -> None:
    sandbox = make()
    os.kill(int(sandbox.evaluate(["pid"])[0].value or 0), signal.SIGKILL)
    assert sandbox.evaluate(["echo on"])[0].value == "on"


def test_values_are_whatever_json_holds_and_modules_are_warmed_up_once(make: Callable[..., Sandbox]) -> None:
    sandbox = make()
    assert [sandbox.evaluate(["warmed"])[0].value for _ in range(2)] == [{"times": 1}, {"times": 1}]


def test_a_function_of_any_module_is_served_without_a_warm_up() -> None:
    sandbox = Sandbox("json:loads", workers=1)
    assert sandbox.evaluate(['{"a": [1, null]}'])[0].value == {"a": [1, None]}
    assert sandbox.evaluate(["{"])[0].error == "JSONDecodeError"
    sandbox.close()


def test_the_package_names_it_and_loads_little() -> None:
    program = (
        "import sys; from seed_grpo.sandbox import Sandbox; print('numpy' in sys.modules, 'mpmath' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=180, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_what_a_job_prints_is_no_answer(make: Callable[..., Sandbox]) -> None:
    outcomes = make().evaluate(["print", "echo next"])
    assert [outcome.value for outcome in outcomes] == ["honest", "next"]


def test_the_clock_starts_with_the_job_not_in_the_queue(make: Callable[..., Sandbox]) -> None:
    """Good answers behind hanging ones keep their keys: waiting is not charged."""
    outcomes = make(workers=2).evaluate([ENDLESS] * 6 + ["echo good"] * 8)
    assert [outcome.value for outcome in outcomes[6:]] == ["good"] * 8


def test_callers_take_turns(make: Callable[..., Sandbox]) -> None:
    sandbox = make(workers=1)
    sandbox.evaluate(["echo warm"])
    batch = threading.Thread(target=sandbox.evaluate, args=([ENDLESS] * 16,))
    start = time.monotonic()
    batch.start()
    time.sleep(0.1)
    assert sandbox.evaluate(["echo me"])[0].value == "me"
    waited = time.monotonic() - start
    batch.join()
    assert waited < (time.monotonic() - start) / 2


def test_many_threads_at_once(make: Callable[..., Sandbox]) -> None:
    sandbox = make(workers=2)
    with ThreadPoolExecutor(16) as threads:
        done = list(threads.map(lambda n: [o.value for o in sandbox.evaluate([f"echo {n}"] * 5)], range(64)))
    assert done == [[str(n)] * 5 for n in range(64)]


def test_no_more_workers_than_asked_for(make: Callable[..., Sandbox]) -> None:
    sandbox = make(workers=2)
    outcomes = sandbox.evaluate(["pid"] * 100)
    assert len({outcome.value for outcome in outcomes}) <= 2
    assert len(sandbox.process_ids()) <= 2


def test_from_an_executor_thread_of_an_event_loop(make: Callable[..., Sandbox]) -> None:
    """Where verl calls a reward function; signals do not work there."""
    sandbox = make()

    async def main() -> list[str | None]:
        loop = asyncio.get_running_loop()
        jobs = [loop.run_in_executor(None, sandbox.evaluate, [f"echo {n}", ENDLESS]) for n in range(3)]
        return [outcomes[0].value for outcomes in await asyncio.gather(*jobs)]

    assert asyncio.run(main()) == ["0", "1", "2"]


def test_closing_ends_the_workers_and_fails_who_waits(make: Callable[..., Sandbox]) -> None:
    sandbox = make()
    pid = int(sandbox.evaluate(["pid"])[0].value or 0)
    errors: list[Exception] = []

    def wait() -> None:
        try:
            sandbox.evaluate([ENDLESS] * 20)
        except SeedGrpoError as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.1)
    sandbox.close()
    waiting.join(5)
    assert errors
    wait_until(lambda: not alive(pid))
    with pytest.raises(SeedGrpoError, match="closed"):
        sandbox.evaluate(["echo late"])


def test_a_sandbox_that_nobody_holds_ends_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    sandbox = Sandbox("sandbox_jobs:job", workers=1, soft_seconds=SOFT)
    pid = int(sandbox.evaluate(["pid"])[0].value or 0)
    del sandbox
    gc.collect()
    wait_until(lambda: not alive(pid))


def test_no_zombies(make: Callable[..., Sandbox]) -> None:
    sandbox = make()
    pids = set()
    for _ in range(3):
        pids.add(int(sandbox.evaluate(["pid"])[0].value or 0))
        sandbox.evaluate(["stuck"])
    # A zombie is still there: every worker that was killed is waited for, too.
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_workers_that_cannot_start_are_an_error_that_says_so() -> None:
    sandbox = Sandbox("no_such_module:job", workers=1, soft_seconds=SOFT)
    with pytest.raises(SeedGrpoError, match="no_such_module:job does not start"):
        sandbox.evaluate(["echo"])
    sandbox.close()


OWNER = """
    import sys, time, threading
    sys.path.insert(0, {here!r})
    from seed_grpo.sandbox.pool import Sandbox
    sandbox = Sandbox("sandbox_jobs:job", workers=2, soft_seconds=60.0)
    print(*{{outcome.value for outcome in sandbox.evaluate(["pid"] * 40)}}, flush=True)
    {then}
"""


def start_owner(then: str) -> tuple[subprocess.Popen[str], list[int]]:
    program = textwrap.dedent(OWNER.format(here=str(HERE), then=then))
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    return owner, [int(pid) for pid in owner.stdout.readline().split()]


@pytest.mark.parametrize("then", ["pass", "sys.exit(3)", "raise SystemExit", "import os; os._exit(1)"])
def test_no_orphans_when_the_owner_ends(then: str) -> None:
    owner, pids = start_owner(then)
    owner.wait(20)
    assert pids
    wait_until(lambda: not any(alive(pid) for pid in pids))


@pytest.mark.parametrize("busy", ["time.sleep(60)", 'sandbox.evaluate(["work 1000", "stuck", "sleep"])'])
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_no_orphans_when_the_owner_is_killed(busy: str, signal_number: int) -> None:
    """Also where the workers are busy for a minute, and so read nothing from their standard input."""
    owner, pids = start_owner(busy)
    time.sleep(0.5)
    owner.send_signal(signal_number)
    owner.wait(20)
    assert pids
    wait_until(lambda: not any(alive(pid) for pid in pids), seconds=5)


def test_a_forked_child_has_its_own_workers() -> None:
    """And leaves the parent's alone, also when it is the last to hold the parent's pipes."""
    then = textwrap.dedent(
        """
        import os
        child = os.fork()
        mine = sandbox.evaluate(["pid"])[0].value
        print("child" if child == 0 else "parent", mine, flush=True)
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        print("after", sandbox.evaluate(["pid"])[0].value, flush=True)
        """
    )
    program = textwrap.dedent(OWNER.format(here=str(HERE), then="")) + then
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=180, check=True)
    first, *rest = done.stdout.splitlines()
    seen = dict(line.split() for line in rest)
    assert seen["child"] not in first.split()
    assert seen["parent"] in first.split()
    assert seen["after"] in first.split()


def test_a_fork_while_other_threads_use_it() -> None:
    program = f"""
import os, sys, threading
sys.path.insert(0, {str(HERE)!r})
from seed_grpo.meaning.equivalence import AnswerKeyer
keyer = AnswerKeyer()
running = True
def work(base):
    n = base
    while running:
        n += 1
        keys = keyer.keys([f"\\sqrt{{{{{{n}}}}}}", f"2\\sqrt{{{{{{n}}}}}}"], "symbolic")
        assert keys[0] != keys[1]
def short_lived():
    while running:
        AnswerKeyer().keys(["\\sqrt{{5}}"], "symbolic")
threads = [threading.Thread(target=work, args=(10**6 * i,)) for i in (1, 2)] + [threading.Thread(target=short_lived)]
for thread in threads:
    thread.start()
for _ in range(30):
    child = os.fork()
    if child == 0:
        ok = keyer.keys(["\\sqrt{{8}}", "2\\sqrt{{2}}"], "symbolic")
        os._exit(0 if ok[0] == ok[1] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
running = False
for thread in threads:
    thread.join()
print("done")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "done", done.stderr
    assert not done.stderr


def test_a_first_caller_does_not_wait_long() -> None:
    """A worker loads no computer algebra system: it starts in a fraction of a second."""
    keyer = AnswerKeyer()
    keyer.keys(["\\sqrt{8}"], "symbolic")
    for worker in keyer._sandbox.process_ids():
        used = psutil.Process(worker).cpu_times()
        assert used.user + used.system < 1
    keyer.close()
