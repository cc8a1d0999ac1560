"""Stands for a worker that `fork_server` has forked: `python -I -S fork_client.py SOCKET SCRIPT ARGUMENT…`.

It starts in a hundredth of a second, and lives as long as the worker: Ray started this process, and watches it.
"""

import json
import os
import socket
import sys

HEADER = 4
"""Bytes that say how long the request is."""
STREAMS = 3
"""Standard input, output and error go with it."""


def main(path: str, *arguments: str) -> int:
    """Have a worker forked; returns its exit status when it has ended, or 1 if the server has."""
    request = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}
    body = json.dumps(request).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.connect(path)
        socket.send_fds(server, [len(body).to_bytes(HEADER, "big")], list(range(STREAMS)))
        server.sendall(body)
        answer = server.recv(4)
    status = int.from_bytes(answer, "big", signed=True) if len(answer) == 4 else 1
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
