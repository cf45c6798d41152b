# SPDX-License-Identifier: Apache-2.0
"""The identity: relays, inputs and read-outs pass on what they were given."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spikewright.functions.base import Function

__all__ = ["Identity"]


@dataclass(frozen=True, kw_only=True)
class Identity(Function):
    """f(x) = x; signed values take an ON/OFF pair of neurons."""

    name: ClassVar[str | None] = "identity"
    by_firing: ClassVar[bool] = True

    def __call__(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """Return ``x``."""
        return x
