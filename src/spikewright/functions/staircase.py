# SPDX-License-Identifier: Apache-2.0
"""The quantised activation that a network was trained with (QCFS, clip-floor)."""

import math
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.functions.base import Function

__all__ = ["Staircase", "quantised"]

_SNAP = 1e-5  # a unit in float32 is this near to θ/L if it is meant to be θ/L


def quantised(
    x: Float[Tensor, "*neuron"], cap: float, levels: int, offset: float, signed: bool = False
) -> Float[Tensor, "*neuron"]:
    """Apply the quantised activation that a site was trained with.

    a = θ · clip(⌊L·x/θ + φ⌋ / L, 0, 1), in this order of operations, which is that of the published
    code; a value on an edge belongs to the upper level.

    Args:
        x: Input of the site, "batch *neuron"; not changed.
        cap: θ > 0, the top, in the unit of ``x``.
        levels: L ≥ 1.
        offset: φ in [0, 1), in levels: ½ rounds, 0 floors.
        signed: Whether the staircase goes on below zero, down to -θ.

    Returns:
        Multiples of θ/L between 0 (signed: -θ) and θ, same shape.

    References:
        T. Bu et al., QCFS, ICLR 2022, equation 8 (φ = ½); CASC, 2024 (φ = 0, θ = 1).

    Example:
        >>> import torch
        >>> quantised(torch.tensor([-1.0, 0.24, 0.26, 0.9, 7.0]), 2.0, 4, 0.5).tolist()
        [0.0, 0.0, 0.5, 1.0, 2.0]
    """
    y = (x / cap).mul_(levels).add_(offset).floor_()
    return y.div_(levels).clamp_(-1.0 if signed else 0.0, 1.0).mul_(cap)


@dataclass(frozen=True, kw_only=True)
class Staircase(Function):
    """f(x) = θ · clip(⌊L·x/θ + φ⌋ / L, 0, 1); signed: down to -1.

    Args:
        cap: θ > 0, the top.
        levels: L ≥ 1.
        offset: φ in [0, 1).
        signed: Whether it goes on below zero.

    Raises:
        ConfigError: If a setting is out of range.
    """

    name: ClassVar[str | None] = "staircase"

    cap: float = 1.0
    levels: int = 8
    offset: float = 0.5
    signed: bool = False

    def __post_init__(self) -> None:
        """Check every setting."""
        if not (0.0 < self.cap < math.inf and self.levels >= 1 and 0.0 <= self.offset < 1.0):
            raise ConfigError(
                "staircase: expected a finite top above 0, 1 level or more and an offset in "
                f"[0, 1), got {self.cap!r}, {self.levels!r} and {self.offset!r}."
            )

    def __call__(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """Return the level of each value; see :func:`quantised`."""
        return quantised(x, self.cap, self.levels, self.offset, self.signed)

    def in_units(self, v: Tensor, unit: Tensor) -> Tensor:
        """Return the levels in units; whole numbers where a unit is the height of a level."""
        per_level = unit.double() * (self.levels / self.cap)
        whole = per_level.round()
        snapped = (per_level - whole).abs() < _SNAP
        ratio = per_level.where(~snapped, whole).to(v.dtype)
        low = -self.levels if self.signed else 0
        return v.mul_(ratio).add_(self.offset).floor_().clamp_(low, self.levels).div_(ratio)
