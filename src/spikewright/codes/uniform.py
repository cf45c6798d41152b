# SPDX-License-Identifier: Apache-2.0
"""What codes have in common whose steps all weigh the same: a value is a sum over the train."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from spikewright.codes.greedy import check_type
from spikewright.codes.plain import from_plain, to_plain
from spikewright.codes.tally import SumTally, Tally
from spikewright.errors import ConfigError
from spikewright.shapes import Decoded, Train

__all__ = ["UniformCode"]

_VERSION = 1
_EXACT = 1 << 24


@dataclass(frozen=True, kw_only=True)
class UniformCode:
    """T steps of weight 1: n = Σ_t s[t], a value is a = λ·n/T.

    Args:
        T: Time steps, at least 1.

    Raises:
        ConfigError: If T < 1, or T ≥ 2^24, beyond which float32 does not count exactly.
    """

    greedy: ClassVar[bool] = False
    holds: ClassVar[bool] = False

    T: int = 64

    def __post_init__(self) -> None:
        if type(self.T) is not int or not 1 <= self.T < _EXACT:
            raise ConfigError(
                f"{self._where}: expected a whole number of time steps T from 1 to {_EXACT - 1}, "
                f"got T={self.T!r}. Set T to 1 or more."
            )

    @property
    def _where(self) -> str:
        return f"{getattr(self, 'name', 'uniform')} code"

    @property
    def k(self) -> float:
        """Ratio of successive weights: 1."""
        return 1.0

    @property
    def steps(self) -> int:
        """Symbols in a train: T."""
        return self.T

    @property
    def weights(self) -> tuple[float, ...]:
        """Weight of each step: 1."""
        return (1.0,) * self.steps

    @property
    def max_value(self) -> float:
        """Largest value of a train of 0/1 symbols, T; bursts go beyond it."""
        return float(self.T)

    @property
    def pool_base(self) -> float:
        """Base of the max-pool gate: plain sums, which makes it lateral inhibition."""
        return 1.0

    def decode(self, train: Train) -> Decoded:
        """Add up: n = Σ_t s[t].

        Args:
            train: "steps *value", float32 or float64.

        Raises:
            ConfigError: If the type is another or the train has another number of steps.
        """
        check_type(train)
        if train.ndim == 0 or train.shape[0] != self.steps:
            raise ConfigError(
                f"{self._where}: expected a train of {self.steps} steps, got shape "
                f"{tuple(train.shape)}. Put time first and use the code it was written with."
            )
        return train.sum(0)

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

    def check_step(self, t: int) -> None:
        """Refuse a step outside the train."""
        if not 0 <= t <= self.steps:
            raise ConfigError(
                f"{self._where}: expected t from 0 to {self.steps} steps, got t={t}. "
                "Count steps from the start of the train."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return name, version and settings as plain values."""
        return to_plain(self, _VERSION)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Build the code from what ``to_dict`` wrote; ConfigError for unknown keys."""
        return from_plain(cls, plain, _VERSION)

    def _counts(self, target: Tensor, signed: bool) -> Tensor:
        """Return the counts of numbers, magnitudes if signed."""
        check_type(target)
        return self.quantise_(target.abs() if signed else target.clone())
