"""One node of a Ray cluster that belongs to one job: `python -m seed_grpo.training.ray_node start|wait …`.

`ray stop` ends every Ray of the user on a machine, and `ray start` takes fixed ports: both are wrong if jobs share
machines. Here each node has a folder and ports of its own, and whatever was started is ended with the command, and
nothing else. examples/slurm/train.sbatch runs it, one step per node.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.runs.files import replace_file
from seed_grpo.training.environment import BESIDE_OTHERS, NOT_UP, STARTS, short_folder
from seed_grpo.training.processes import kill, started_by

START_SECONDS = 300
"""Time for a head to come up."""
CONNECT_SECONDS = 180
"""Time to connect to a head that is up."""
ANY_PORT = "0"
LOWEST_PORT = 10100
"""Above those that Ray and others use by default."""
EPHEMERAL_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
CURRENT = "ray_current_cluster"
"""Where Ray writes the address of a head that is up."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
"""SIGUSR2 because srun passes it on; at SIGTERM it kills what it runs, with no time to clean up."""


def local_address(peer: str, interface: str | None = None) -> str:
    """The address at which `peer` reaches this machine: of the interface if one is named, else of the route to it.

    Args:
        peer: another machine's name or address, IPv4 or IPv6; the machine's own name if it is alone.
        interface: such as `ib0`.

    Raises:
        UsageError: no such interface, or none of its addresses can be used. SeedGrpoError: the peer is unknown.
    """
    if interface:
        return _address_of(interface)
    try:
        candidates = socket.getaddrinfo(peer, 9, type=socket.SOCK_DGRAM)
    except socket.gaierror as error:
        raise SeedGrpoError(
            f"The name {peer} has no address here: {error}.", "check name resolution between the nodes."
        ) from error
    # IPv4 first if there are both: not everything in the stack takes IPv6.
    for family, kind, protocol, _, address in sorted(candidates, key=lambda found: found[0] != socket.AF_INET):
        with socket.socket(family, kind, protocol) as probe:
            try:
                probe.connect(address)  # chooses the way, sends nothing
            except OSError:
                continue
            return probe.getsockname()[0]
    raise SeedGrpoError(f"There is no route from here to {peer}.", "name an interface with SEED_GRPO_INTERFACE.")


def _address_of(interface: str) -> str:
    import psutil

    interfaces = psutil.net_if_addrs()
    if interface not in interfaces:
        raise UsageError(
            f"{socket.gethostname()} has no interface {interface}.", f"choose one of {', '.join(sorted(interfaces))}."
        )
    for family in (socket.AF_INET, socket.AF_INET6):
        for found in interfaces[interface]:
            address = found.address.split("%")[0]
            if found.family == family and not ipaddress.ip_address(address).is_link_local:
                return address
    raise UsageError(f"The interface {interface} has no address that other machines can reach.", "choose another.")


def start(
    name: str,
    own_address: str,
    cpus: int,
    gpus: int,
    *,
    head: str | None = None,
    address_file: Path | None = None,
    notice_file: Path | None = None,
) -> int:
    """Run a Ray node until it ends or this process is told to stop; returns its exit status.

    Args:
        name: the node's name in the cluster.
        own_address: this node's address.
        cpus, gpus: the node's resources in Ray.
        head: the cluster's address; None for the head itself.
        address_file: for the head: where to write that address.
        notice_file: made on SIGUSR1, which Slurm may send to the steps of a job in place of its script. Ray itself
            ignores that signal here.
    """
    folder = Path(short_folder("ray-"))
    for signal_number in STOP_SIGNALS:
        signal.signal(signal_number, _leave)
    if notice_file is not None:
        signal.signal(signal.SIGUSR1, lambda *_: notice_file.touch())
    messages = folder / "start.log"
    try:
        for tries_left in reversed(range(STARTS)):
            node = _start_node(_command(name, own_address, cpus, gpus, head, folder), messages)
            if address_file is not None:
                _publish(folder / CURRENT, address_file, node)
            status = node.wait()
            said = messages.read_text(errors="replace")
            print(f"Ray on {name} ended by itself, status {status}:\n{said}", flush=True)
            if NOT_UP not in said or not tries_left:
                break
            kill(started_by(os.getpid(), str(folder)))
            (folder / CURRENT).unlink(missing_ok=True)
        return status or 1
    finally:
        _end(folder)


def _command(name: str, own_address: str, cpus: int, gpus: int, head: str | None, folder: Path) -> list[str]:
    """What starts the node; its ports are chosen anew each time."""
    where = [f"--address={head}"] if head else ["--head", f"--port={ANY_PORT}", "--include-dashboard=false"]
    return [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", *where),
        f"--node-name={name}",
        f"--node-ip-address={own_address}",
        f"--num-cpus={cpus}",
        f"--num-gpus={gpus}",
        f"--temp-dir={folder}",
        # Ray's defaults are fixed ports, of which a shared machine may have lost some.
        f"--min-worker-port={ANY_PORT}",
        f"--max-worker-port={ANY_PORT}",
        f"--dashboard-agent-listen-port={free_port()}",
        *([] if head else [f"--ray-client-server-port={free_port()}"]),
    ]


def _start_node(command: list[str], messages: Path) -> subprocess.Popen:
    """The node's process, which says what it has to say in a file."""
    with open(messages, "wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=node_environment(),
            start_new_session=True,
            preexec_fn=_ignore_notices,
        )


def free_port() -> int:
    """A port that nobody uses at the moment, and that the system does not give to the next who asks for any port, as
    Ray's head does."""
    ports = sorted(set(range(LOWEST_PORT, 1 << 16)) - set(_given_out())) or range(LOWEST_PORT, 1 << 16)
    for port in random.SystemRandom().sample(ports, len(ports)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port
    raise SeedGrpoError("No port is free.", "look at what this machine runs.")


def _given_out() -> range:
    """The ports among which the system chooses; IANA's where it does not say."""
    try:
        first, last = map(int, EPHEMERAL_PORTS.read_text(encoding="utf-8").split())
    except (OSError, ValueError):
        first, last = 49152, 65535
    return range(first, last + 1)


def _publish(source: Path, target: Path, node: subprocess.Popen) -> None:
    """Copy the address that Ray wrote, as soon as it has."""
    deadline = time.monotonic() + START_SECONDS
    while not (source.is_file() and (address := source.read_text(encoding="utf-8").strip())):
        if node.poll() is not None:
            return
        if time.monotonic() > deadline:
            raise SeedGrpoError(f"Ray's head did not start in {START_SECONDS} s.", "look at the machine's load.")
        time.sleep(0.2)
    replace_file(target, address)


def node_environment() -> dict[str, str]:
    """The environment of Ray's processes, and of all that verl starts in them."""
    environment = {**BESIDE_OTHERS, **os.environ}
    if environment.keys() & {"CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"}:
        # Slurm sets this one as well, whatever the make of the GPUs, and verl refuses the pair.
        environment.pop("ROCR_VISIBLE_DEVICES", None)
    return environment


def _ignore_notices() -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def _leave(signal_number: int, frame: FrameType | None) -> None:
    raise SystemExit(0 if signal_number == signal.SIGUSR2 else 128 + signal_number)


def _end(folder: Path) -> None:
    """End the node and all that it started: Ray's processes have its folder in their command line."""
    for signal_number in STOP_SIGNALS:
        signal.signal(signal_number, signal.SIG_IGN)
    kill(started_by(os.getpid(), str(folder)))
    shutil.rmtree(folder, ignore_errors=True)


def wait(address: str, names: Collection[str], seconds: float) -> None:
    """Return when all nodes have joined.

    Raises:
        SeedGrpoError: with the names of the nodes that did not join in time.
    """
    import ray

    # Connecting has no time limit of its own; it takes seconds on a slow machine, however soon the others should join.
    limit = max(seconds, CONNECT_SECONDS)
    unreached = threading.Timer(limit, _give_up, (f"No Ray cluster answers at {address} within {limit:.0f} s.",))
    unreached.daemon = True
    unreached.start()
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")  # type: ignore[arg-type]
    finally:
        unreached.cancel()
    deadline = time.monotonic() + seconds
    missing, told = set(names), -1
    try:
        while True:
            alive = {node["NodeName"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
            missing = set(names) - alive.keys()
            if told != len(missing):
                told = len(missing)
                waiting = f"; waiting for {', '.join(sorted(missing))}" if missing else ""
                print(f"{len(names) - told} of {len(names)} nodes have joined{waiting}", flush=True)
            if not missing:
                break
            if time.monotonic() > deadline:
                raise SeedGrpoError(
                    f"{told} of {len(names)} nodes did not join within {seconds:.0f} s: {', '.join(sorted(missing))}.",
                    "see what their Ray said in the job's log, and whether they reach the first node.",
                )
            time.sleep(0.5)
        for name in sorted(names):
            print(f"  {name}: {alive[name].get('CPU', 0):.0f} CPUs, {alive[name].get('GPU', 0):.0f} GPUs", flush=True)
    finally:
        ray.shutdown()


def _give_up(cause: str) -> None:
    error = SeedGrpoError(cause, "see what the first node's Ray said in the job's log.")
    print(f"seed-grpo: {error}", file=sys.stderr, flush=True)
    os._exit(error.exit_code)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m seed_grpo.training.ray_node", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    node = commands.add_parser("start", help="run one node of the cluster in the foreground")
    node.add_argument("--name", required=True, help="the node's name in the cluster")
    role = node.add_mutually_exclusive_group(required=True)
    role.add_argument("--address-file", type=Path, help="this is the head: write the cluster's address there")
    role.add_argument("--head", help="join the cluster at this address")
    node.add_argument("--peer", required=True, help="a machine that must reach this one")
    node.add_argument("--interface", help="network interface to use (default: that of the route to the peer)")
    node.add_argument("--notice-file", type=Path, help="made when SIGUSR1 arrives")
    allotted = os.environ.get("SLURM_CPUS_ON_NODE")
    node.add_argument("--cpus", type=int, default=allotted, required=allotted is None, help="default: Slurm's")
    node.add_argument("--gpus", type=int, required=True)
    joined = commands.add_parser("wait", help="wait until all nodes have joined")
    joined.add_argument("--address", required=True)
    joined.add_argument("--seconds", type=float, default=300)
    joined.add_argument("names", nargs="+")
    given = parser.parse_args(arguments)
    try:
        if given.command == "wait":
            wait(given.address, given.names, given.seconds)
            return 0
        own_address = local_address(given.peer, given.interface)
        return start(
            given.name,
            own_address,
            given.cpus,
            given.gpus,
            head=given.head,
            address_file=given.address_file,
            notice_file=given.notice_file,
        )
    except SeedGrpoError as error:
        print(f"seed-grpo: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
