"""Seeds of requests for `rollout.full_determinism`.

verl gives each request of a server the same seed then, and each request of a batch the same name: the responses of a
group would be copies, with no entropy and no advantage. Here a response's seed depends on the run's seed, the step, the
prompt and the response's number in its group.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


def request_seed(run_seed: int, step: int, prompt_ids: Sequence[int], session: int) -> int:
    """A seed of 31 bits, the same in each process and on each machine."""
    name = f"{run_seed} {step} {session} {' '.join(map(str, prompt_ids))}"
    return int.from_bytes(sha256(name.encode()).digest()[:4], "big") >> 1
