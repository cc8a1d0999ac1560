"""The transformers engine of a model that is being trained: its weights are overwritten between batches."""

from __future__ import annotations

from typing import Any

import torch

from seed_grpo.engines.hf import HFEngine
from seed_grpo.errors import SeedGrpoError


class TrainedEngine(HFEngine):
    """`HFEngine` that takes new weights."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parameters = dict(self.model.named_parameters(remove_duplicate=False))

    @torch.no_grad()
    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Overwrite parameters by name, in place.

        Raises:
            SeedGrpoError: a name that the model does not have, or a tensor of another shape.
        """
        for name, tensor in weights.items():
            parameter = self._parameters.get(name)
            if parameter is None or parameter.shape != tensor.shape:
                raise SeedGrpoError(
                    f"The weight {name!r} of shape {tuple(tensor.shape)} does not fit the rollout's model.",
                    "train and roll out the same model.",
                )
            parameter.copy_(tensor)

    def parameter_names(self) -> set[str]:
        """The parameters that a complete update must hold, tied ones by each of their names."""
        return set(self._parameters)
