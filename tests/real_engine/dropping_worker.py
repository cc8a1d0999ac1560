"""vLLM's worker as platform=cpu_vllm has it, which takes some weight updates from verl and throws them away.

The control of the tests that compare probabilities: with an update left out they must differ. DROP_UPDATES names the
updates, counted from 1, with commas; the first one comes before the first step.
"""

from __future__ import annotations

import os
from typing import Any

from seed_grpo.verl_plugin.cpu.vllm_worker import CPUWorkerExtension


class DroppingWorker(CPUWorkerExtension):
    updates = 0

    def update_weights_from_ipc(self, *args: Any, **kwargs: Any) -> None:
        type(self).updates += 1
        super().update_weights_from_ipc(*args, **kwargs)

    def _update_weights(self, *args: Any, **kwargs: Any) -> None:
        if str(self.updates) not in os.environ["DROP_UPDATES"].split(","):
            super()._update_weights(*args, **kwargs)
