"""vLLM's worker on a CPU, with weights that can be loaded anew.

On a CPU, vLLM packs the weight of each linear layer for oneDNN once it is loaded, and drops the parameter
(`dispatch_cpu_unquantized_gemm`, `vllm/model_executor/layers/utils.py`). verl's first weight update then ends with
"'Parameter' object has no attribute 'weight_loader'". Here the layer computes with the parameter itself, so an update
is in force as soon as it is written. It goes once vLLM keeps the parameter where `load_weights` may be called again.

Named by `rollout.engine_kwargs.vllm.worker_extension_cls` in platform=cpu_vllm.
"""

from __future__ import annotations

from typing import Any

import torch
from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension
from vllm.model_executor.layers import utils


class CPUWorkerExtension(vLLMColocateWorkerExtension):
    """verl's extension of vLLM's worker; vLLM makes it a base of the worker before the model is loaded."""

    def __new__(cls, **kwargs: Any) -> CPUWorkerExtension:
        # vLLM's layers import the function each time that they call it.
        utils.dispatch_cpu_unquantized_gemm = _compute_with_the_parameter
        return super().__new__(cls, **kwargs)


_pack = utils.dispatch_cpu_unquantized_gemm


def _compute_with_the_parameter(layer: Any, remove_weight: bool) -> None:
    """For a matrix, what vLLM itself falls back to if it cannot pack; everything else as vLLM does it."""
    if layer.weight.ndim == 2:
        layer.cpu_linear = torch.nn.functional.linear
    else:
        _pack(layer, remove_weight)
