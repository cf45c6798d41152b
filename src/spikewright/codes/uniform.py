# SPDX-License-Identifier: Apache-2.0
"""What codes have in common whose steps all weigh the same: a value is a sum over the train."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.codes.greedy import check_type
from spikewright.codes.tally import SumTally, Tally
from spikewright.codes.train_code import TrainCode
from spikewright.errors import ConfigError
from spikewright.shapes import Decoded

__all__ = ["UniformCode"]

_EXACT = 1 << 24


@dataclass(frozen=True, kw_only=True)
class UniformCode(TrainCode):
    """T steps of weight 1: n = Σ_t s[t], a value is a = λ·n/T.

    Args:
        T: Time steps, at least 1.

    Raises:
        ConfigError: If T < 1, or T ≥ 2^24, beyond which float32 does not count exactly.
    """

    k: ClassVar[float] = 1.0
    greedy: ClassVar[bool] = False
    pool_base: ClassVar[float] = 1.0  # plain sums, which makes the gate lateral inhibition

    T: int = 64

    def __post_init__(self) -> None:
        if type(self.T) is not int or not 1 <= self.T < _EXACT:
            raise ConfigError(
                f"{self.name} code: expected a whole number of time steps T from 1 to "
                f"{_EXACT - 1}, got T={self.T!r}. Set T to 1 or more."
            )

    @property
    def weights(self) -> tuple[float, ...]:
        """Weight of each step: 1."""
        return (1.0,) * self.steps

    @property
    def max_value(self) -> float:
        """Largest value of a train of 0/1 symbols, T; bursts go beyond it."""
        return float(self.T)

    def quantise_(self, target: Decoded, signed: bool = False) -> Decoded:
        """Overwrite numbers by counts: clip(floor(target), 0, T); signed: truncated, within ±T.

        Raises:
            ConfigError: If the type is neither float32 nor float64.
        """
        check_type(target)
        if signed:
            return target.clamp_(-self.max_value, self.max_value).trunc_()
        return target.clamp_(0.0, self.max_value).floor_()

    def count(self, n: Tensor, signed: bool = True) -> Tensor:
        """Return the least number of spikes that carry each value: |n|, "*n", int32."""
        return n.abs().to(torch.int32)

    def tally(self, signed: bool = True, alike: Sequence[Tensor] | None = None) -> Tally:
        """Return a counter of spikes that has seen nothing yet; see `Code.tally`."""
        return SumTally(self.count)

    def levels(self, limit: int) -> tuple[float, ...] | None:
        """Return 0, 1, …, T, None if that is more than ``limit`` values."""
        return tuple(float(i) for i in range(self.T + 1)) if limit > self.T else None

    def share(self, t: int) -> float:
        """Return t/T, what has entered of a constant current after ``t`` steps."""
        self.check_step(t)
        return t / self.T

    def _counts(self, target: Tensor, signed: bool) -> Tensor:
        """Return the counts of numbers, magnitudes if signed."""
        check_type(target)
        return self.quantise_(target.abs() if signed else target.clone())
