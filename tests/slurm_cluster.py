"""A real Slurm of two nodes on this one machine: munged, slurmctld and two slurmd, as root, in a folder of its own."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "squeue", "srun")
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={slurmctld}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
MessageTimeout=60
SlurmdTimeout=600
SchedulerParameters=sched_interval=2
GresTypes=gpu
NodeName=w1 NodeHostname={host} NodeAddr=127.0.0.1 Port={w1} CPUs={cpus} RealMemory=1000 Gres=gpu:1 State=UNKNOWN
NodeName=w2 NodeHostname={host} NodeAddr=127.0.0.1 Port={w2} CPUs={cpus} RealMemory=1000 Gres=gpu:1 State=UNKNOWN
PartitionName=all Nodes=w1,w2 Default=YES State=UP
"""


def why_not() -> str | None:
    """Why Slurm cannot be started here; None if it can."""
    missing = [name for name in PROGRAMS if find(name) is None]
    if missing:
        return f"no {', '.join(missing)} (apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "slurmd starts jobs only as root"
    return None


def find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class Slurm:
    """The running cluster.

    Attributes:
        folder: its configuration, state and logs.
        cpus: CPUs that it believes each node to have.
    """

    def __init__(self, folder: Path, cpus: int) -> None:
        self.folder = folder
        self.cpus = cpus
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def run(self, *command: str, **environment: str) -> str:
        """The output of one of Slurm's commands."""
        done = subprocess.run(
            [find(command[0]) or command[0], *command[1:]],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=180,
        )
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout.strip()

    def submit(self, *arguments: str, environment: Mapping[str, str], folder: Path) -> Job:
        done = self.run("sbatch", "--parsable", f"--chdir={folder}", *arguments, **environment)
        return Job(self, done.split(";")[0], folder)


ENDED_SECONDS = 10
"""A state that means the end has to last this long."""


class Job:
    """A submitted job."""

    def __init__(self, slurm: Slurm, number: str, folder: Path) -> None:
        self.slurm, self.number, self.folder = slurm, number, folder

    def field(self, name: str) -> str:
        """A field of `scontrol show job`."""
        found = re.search(rf"\b{name}=(\S*)", self.slurm.run("scontrol", "show", "job", self.number))
        assert found, name
        return found[1]

    @property
    def log(self) -> str:
        path = next(iter(self.folder.glob(f"*-{self.number}.log")), None)
        return path.read_text(encoding="utf-8", errors="replace") if path else ""

    def wait_for(self, holds: Callable[[Job], bool], seconds: float) -> None:
        """Wait until something holds; what it printed is the message if it never does.

        A job that is being requeued may be shown as ended for a moment.
        """
        deadline = time.monotonic() + seconds
        ended_at: float | None = None
        while not holds(self):
            now, state = time.monotonic(), self.field("JobState")
            ended = state not in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED")
            ended_at = (ended_at or now) if ended else None
            over = ended_at is not None and now > ended_at + ENDED_SECONDS
            if (over and not holds(self)) or now > deadline:
                raise AssertionError(f"job {self.number}, {state}, after {seconds} s at most:\n{self.log[-6000:]}")
            time.sleep(0.5)

    def cancel(self) -> None:
        with suppress(AssertionError):
            self.slurm.run("scancel", self.number)


@contextmanager
def running_slurm(folder: Path, cpus: int) -> Iterator[Slurm]:
    """Start munged, slurmctld and two slurmd; end exactly these afterwards."""
    ports = dict(zip(("slurmctld", "w1", "w2"), free_ports(3), strict=True))
    (folder / "state").mkdir()
    folder.chmod(0o755)  # munge refuses a socket that others cannot reach
    (folder / "slurm.conf").write_text(CONFIG.format(host=socket.gethostname(), folder=folder, cpus=cpus, **ports))
    # A GPU that is no GPU: Slurm counts it, and nothing here opens it.
    (folder / "gres.conf").write_text("NodeName=w[1-2] Name=gpu File=/dev/null\n")
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    slurm = Slurm(folder, cpus)
    daemons = [
        ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={key}",
         f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"],
        ["slurmctld", "-D", "-f", f"{folder}/slurm.conf"],
        ["slurmd", "-D", "-N", "w1", "-f", f"{folder}/slurm.conf"],
        ["slurmd", "-D", "-N", "w2", "-f", f"{folder}/slurm.conf"],
    ]  # fmt: skip
    started: list[subprocess.Popen] = []
    try:
        for number, command in enumerate(daemons):
            with open(folder / f"{number}-{command[0]}.out", "wb") as output:
                program = find(command[0]) or command[0]
                started.append(
                    subprocess.Popen([program, *command[1:]], env=slurm.environment, stdout=output, stderr=output)
                )
            if command[0] == "munged":
                wait_until(lambda: (folder / "munge.socket").exists(), 20, folder)
        wait_until(lambda: nodes_are_idle(slurm), 60, folder)
        yield slurm
    finally:
        with suppress(AssertionError):
            slurm.run("scancel", "--user=root")
            wait_until(lambda: slurm.run("squeue", "--noheader") == "", 30, folder)
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def nodes_are_idle(slurm: Slurm) -> bool:
    try:
        return slurm.run("sinfo", "--noheader", "--format=%T").split() == ["idle"]
    except AssertionError:
        return False


def wait_until(holds: Callable[[], bool], seconds: float, folder: Path) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            logs = "\n".join(f"== {path.name}\n{path.read_text()[-1500:]}" for path in sorted(folder.glob("*.log")))
            raise AssertionError(f"Slurm did not come up:\n{logs}")
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
