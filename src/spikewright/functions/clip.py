# SPDX-License-Identifier: Apache-2.0
"""Clipping to a range, which a neuron computes by firing: no train is longer than the longest."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.functions.base import Function

__all__ = ["Clip"]


@dataclass(frozen=True, kw_only=True)
class Clip(Function):
    """f(x) = min(max(x, low), high), as ReLU6 (0 to 6) or a hardtanh (-1 to 1).

    Methods choose λ ≤ ``high``, so that the longest train is the clip.

    Args:
        low: The least value: 0, or -``high``.
        high: The largest value, above 0.

    Raises:
        ConfigError: If the range is another.
    """

    name: ClassVar[str | None] = "clip"
    by_firing: ClassVar[bool] = True

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Check the range."""
        if not 0.0 < self.high < math.inf or self.low not in (0.0, -self.high):
            raise ConfigError(
                f"clip: expected a range from 0 or -high to a finite high above 0, got "
                f"{self.low!r} to {self.high!r}."
            )

    def __call__(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """Return ``x`` within the range; see :class:`Function`."""
        return x.clamp_(self.low, self.high) if overwrite else x.clamp(self.low, self.high)
