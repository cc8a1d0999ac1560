"""Weight updates of vLLM that end, one way or the other.

verl's sender waits for the receiver's answer to each part of the weights without a limit
(`verl/workers/rollout/vllm_rollout/bucketed_weight_transfer.py`). If the receiver fails, or vLLM's engine has died, the
training rank waits for ever, and the error lies in a Ray call that nobody asks for. Here the rank looks at that call
while it waits, and gives up after a time without any answer. It goes once verl bounds the wait.
"""

from __future__ import annotations

import os
import time
from contextvars import ContextVar
from typing import Any

import ray
import verl.workers.rollout.vllm_rollout.vllm_rollout as verl_rollout
import zmq
from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightSender
from verl.workers.rollout.vllm_rollout.vllm_rollout import ServerAdapter

from seed_grpo.errors import SeedGrpoError, last_line

SECONDS = "SEED_GRPO_WEIGHT_SYNC_SECONDS"
"""The environment variable with the longest wait for vLLM to take one part of the weights; 600 if it is unset."""
_LOOK_MILLISECONDS = 500
_receiver: ContextVar[Any] = ContextVar("receiver", default=None)
"""The Ray call of the update under way, in which vLLM's workers receive; None on a rank without a server."""


class VLLMServerAdapter(ServerAdapter):
    """verl's adapter for vLLM; an update that fails raises a `SeedGrpoError` that names vLLM's reason."""

    async def _execute_method(self, method: str, non_block: bool = False, *args: Any, **kwargs: Any) -> Any:
        future = await super()._execute_method(method, non_block, *args, **kwargs)
        if non_block:
            _receiver.set(future)
        return future

    async def update_weights(self, weights: Any, *args: Any, **kwargs: Any) -> Any:
        _receiver.set(None)
        try:
            return await super().update_weights(weights, *args, **kwargs)
        except (ray.exceptions.RayError, TimeoutError) as error:
            reason = last_line(getattr(error, "cause", None) or error)  # of an error in a Ray call, what it wraps
            raise SeedGrpoError(
                f"vLLM (replica {self.replica_rank}) did not take the new weights: {reason}.",
                "look for its error further up in train.log, then start the run again to resume it.",
            ) from error


class _WatchedSender(BucketedWeightSender):
    def _init_socket(self) -> None:
        super()._init_socket()
        self.socket: Any = _WatchedSocket(self.socket, _receiver.get(), float(os.environ.get(SECONDS, "600")))


class _WatchedSocket:
    """The sender's socket, whose waits end when the receiver does. A REQ socket without a peer waits to send, too."""

    def __init__(self, socket: Any, receiver: Any, seconds: float) -> None:
        self._socket = socket
        self._receiver = receiver
        self._seconds = seconds

    def send_pyobj(self, message: Any) -> None:
        self._wait(zmq.POLLOUT)
        self._socket.send_pyobj(message)

    def recv(self) -> bytes:
        self._wait(zmq.POLLIN)
        answer: bytes = self._socket.recv()
        return answer

    def _wait(self, what: int) -> None:
        deadline = time.monotonic() + self._seconds
        while not self._socket.poll(_LOOK_MILLISECONDS, what):
            if self._receiver is not None and ray.wait([self._receiver], timeout=0)[0]:
                ray.get(self._receiver)  # raises what the receiver raised
                if not self._socket.poll(_LOOK_MILLISECONDS, what):
                    raise TimeoutError("the receiver ended without an answer")
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer within {self._seconds:.0f} s")

    def close(self) -> None:
        # What nobody will receive would keep the process from ending.
        self._socket.close(linger=0)


# verl's adapter makes its sender by this name.
vars(verl_rollout)["BucketedWeightSender"] = _WatchedSender
