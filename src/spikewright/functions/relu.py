# SPDX-License-Identifier: Apache-2.0
"""ReLU, which a neuron computes by firing: below its threshold it is silent."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spikewright.functions.base import Function

__all__ = ["ReLU"]


@dataclass(frozen=True, kw_only=True)
class ReLU(Function):
    """f(x) = max(x, 0)."""

    name: ClassVar[str | None] = "relu"
    by_firing: ClassVar[bool] = True

    def __call__(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """Return max(x, 0); see :class:`Function`."""
        return x.clamp_(min=0.0) if overwrite else x.clamp(min=0.0)
