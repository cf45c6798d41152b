# SPDX-License-Identifier: Apache-2.0
"""The signed radix code: binary weights, symbols -1, 0 and 1, so that fewer of them are spikes.

15 is 1 1 1 1 in binary and 1 0 0 0 -1 with signs. A neuron with two thresholds writes such trains
while it fires, without knowing what follows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.codes.greedy import check_type
from spikewright.codes.tally import SumTally, Tally
from spikewright.codes.train_code import TrainCode
from spikewright.errors import ConfigError
from spikewright.shapes import Decoded, Train

__all__ = ["GRID", "SignedRadix"]

GRID = 16
"""Thresholds are whole numbers of so many parts of a unit, so that they are exact everywhere."""

_MOST_STEPS = 16


@dataclass(frozen=True, kw_only=True)
class SignedRadix(TrainCode):
    """Step j of a train weighs 2^(T - j) units; its symbol is decided by two thresholds.

        s[j] = [r ≥ rise_j] - [r < fall_j];  r ← r - w_j·s[j];  r = target at the start.

    Without thresholds of its own a train is the signed binary form with the fewest digits, the
    non-adjacent form, as far as T digits go: rise_j is the first whole number above ⅔·w_j, and
    fall_j = 1 - rise_j. Then n = clip(floor(target), 0, S) with S = 2^T - 1, bit for bit as in the
    binary code, and no train has more spikes than the binary one. Thresholds of its own give up
    values that take many spikes for nearer ones that take few; see
    :func:`spikewright.calibration.priced_thresholds`.

    Whatever the thresholds are, what the first steps carry never falls as the target rises (law,
    tested): within one such value the residual rises with the target, and two of them differ by at
    least 2 in units of the next step, which its symbols cannot turn round. So decoded values are in
    the targets' order, and the max-pool gate is exact.

    A target below zero is silent, above S it is S. Signed trains are those of the magnitude times
    the sign.

    Args:
        T: Time steps, 1 to 16.
        rise: Threshold of each step in units, multiples of 1/16, at least half of the step's
            weight; empty for the non-adjacent form.
        fall: The same of negative spikes: at most minus half of the weight, in the last step at
            most 0 (the half unit that rounds is a part of the target).

    Raises:
        ConfigError: If T or a threshold is out of range, or two trains would have one value.

    References:
        G. W. Reitwiesner, Binary arithmetic, Advances in Computers 1, 1960 (the non-adjacent form
        and that it has the fewest digits).

    Example:
        >>> code = SignedRadix(T=4)
        >>> code.encode(torch.tensor([7.9, 5.0])).T.tolist()
        [[1.0, 0.0, 0.0, -1.0], [0.0, 1.0, 0.0, 1.0]]
        >>> code.quantise_(torch.tensor([7.9, -1.0, 99.0])).tolist()
        [7.0, 0.0, 15.0]
    """

    name: ClassVar[str] = "signed-radix"
    k: ClassVar[float] = 2.0
    greedy: ClassVar[bool] = False
    both_signs: ClassVar[bool] = True
    pool_base: ClassVar[float] = 2.0  # what the first steps carry is in the order of the values

    T: int = 8
    rise: tuple[float, ...] = ()
    fall: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if type(self.T) is not int or not 1 <= self.T <= _MOST_STEPS:
            raise ConfigError(
                f"signed-radix code: expected a whole number of time steps, T >= 1 and at most "
                f"{_MOST_STEPS}, got T={self.T!r}. Choose T within."
            )
        for name in ("rise", "fall"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        if not self.rise and not self.fall:
            return
        ends = [*(w / 2.0 for w in self.weights[:-1]), 0.0]
        sound = len(self.rise) == len(self.fall) == self.T and all(
            r >= w / 2.0 and f <= -end and r * GRID % 1.0 == f * GRID % 1.0 == 0.0
            for w, r, f, end in zip(self.weights, self.rise, self.fall, ends, strict=True)
        )
        if not sound:
            raise ConfigError(
                f"signed-radix code: expected {self.T} thresholds of either sign, multiples of "
                f"1/{GRID} unit that are at least half of their step's weight, got "
                f"rise={self.rise}, fall={self.fall}. Leave both out for the non-adjacent form."
            )
        if not bool((self._values.diff() > 0).all()):
            raise ConfigError(
                "signed-radix code: expected thresholds that write every value in one way, got "
                f"some that write one in two ways: rise={self.rise}, fall={self.fall}. Move them."
            )

    @property
    def weights(self) -> tuple[float, ...]:
        """Weight of each step in units, 2^(T - j) for j = 1..T."""
        return tuple(2.0**j for j in reversed(range(self.T)))

    @property
    def max_value(self) -> float:
        """Largest value S = 2^T - 1, in units."""
        return 2.0**self.T - 1.0

    @cached_property
    def thresholds(self) -> tuple[tuple[float, float], ...]:
        """Rise and fall of each step, in units."""
        if self.rise:
            return tuple(zip(self.rise, self.fall, strict=True))
        rises = [float(int(2.0 * w / 3.0) + 1) for w in self.weights]
        return tuple((r, 1.0 - r) for r in rises)

    def encode(self, target: Decoded, signed: bool = False) -> Train:
        """Write numbers as trains; see the class for the rule.

        Args:
            target: Numbers in units, any shape, float32 or float64, no NaN.
            signed: Write sign(target)·encode(|target|); otherwise targets ≤ 0 are silent.

        Returns:
            Train, "steps *target", same type as ``target``, symbols {-1, 0, 1}.

        Raises:
            ConfigError: If the type is another.
        """
        check_type(target)
        residual = (target.abs() if signed else target).clamp(0.0, self.max_value)
        train = residual.new_empty((self.steps, *target.shape))
        for spikes, weight, (rise, fall) in zip(train, self.weights, self.thresholds, strict=True):
            torch.ge(residual, rise, out=spikes)
            spikes.sub_(torch.lt(residual, fall, out=torch.empty_like(spikes)))
            residual.sub_(spikes, alpha=weight)
        return train.mul_(target.sign()) if signed else train

    def quantise_(self, target: Decoded, signed: bool = False) -> Decoded:
        """Overwrite numbers by what their trains decode to; arguments as in ``encode``."""
        check_type(target)
        top = self.max_value
        target.clamp_(-top if signed else 0.0, top)
        if not self.rise:
            return target.trunc_()
        place = (target.abs() if signed else target).mul(GRID).to(torch.int32)
        found = self._by_place.to(target.device)[place].to(target.dtype)
        return target.copy_(found.mul_(target.sign()) if signed else found)

    def count(self, n: Tensor, signed: bool = True) -> Tensor:
        """Count the spikes of decoded values, of either sign.

        Args:
            n: Decoded values, any shape, float32 or float64, as ``quantise_`` returns them.
            signed: Whether negative values may occur.

        Returns:
            Spikes of each train, "*n", uint8.
        """
        check_type(n)
        return self._counts.to(n.device)[n.abs().to(torch.int32)]

    def tally(self, signed: bool = True, alike: Sequence[Tensor] | None = None) -> Tally:
        """Return a counter of spikes that has seen nothing yet; see `Code.tally`."""
        return SumTally(self.count)

    def prefix(self, n: Tensor, t: int) -> Tensor:
        """Return what the first ``t`` symbols carry: Σ_{j ≤ t} w_j·s[j]; see `Radix.prefix`."""
        check_type(n)
        self.check_step(t)
        found = self._prefixes[t].to(n.device)[n.abs().to(torch.int32)]
        return found.to(n.dtype).mul_(n.sign())

    def levels(self, limit: int) -> tuple[float, ...] | None:
        """Return all values ≥ 0 in ascending order, None if there are more than ``limit``."""
        values = self._values if self.rise else torch.arange(self.max_value + 1.0)
        return tuple(values.tolist()) if len(values) <= limit else None

    def share(self, t: int) -> float:
        """Return Σ_{j ≤ t} w_j / S, what has entered of a constant current after ``t`` steps."""
        self.check_step(t)
        return sum(self.weights[:t]) / self.max_value

    @cached_property
    def _by_place(self) -> Tensor:
        """The value of the targets in [i/16, (i + 1)/16), "place"."""
        places = torch.arange(self.max_value * GRID + 1.0, dtype=torch.float64) / GRID
        return self.decode(self.encode(places)).float()

    @cached_property
    def _starts(self) -> Tensor:
        """A target of every train, ascending."""
        if not self.rise:
            return torch.arange(self.max_value + 1.0, dtype=torch.float64)
        places = torch.arange(self.max_value * GRID + 1.0, dtype=torch.float64) / GRID
        train = self.encode(places)
        new = torch.cat([torch.tensor([True]), (train[:, 1:] != train[:, :-1]).any(0)])
        return places[new]

    @cached_property
    def _values(self) -> Tensor:
        """The value of every train, in the order of ``_starts``."""
        return self.decode(self.encode(self._starts))

    @cached_property
    def _prefixes(self) -> Tensor:
        """What t steps carry of the train of value n, "t n"; zero where no train has this value."""
        train = self.encode(self._starts)
        weights = torch.tensor(self.weights, dtype=torch.float64)[:, None]
        table = torch.zeros(self.steps + 1, int(self.max_value) + 1)
        table[1:, self._values.long()] = (train * weights).cumsum(0).float()
        return table

    @cached_property
    def _counts(self) -> Tensor:
        """Spikes of the train of value n, "n"; zero where no train has this value."""
        counts = torch.zeros(int(self.max_value) + 1, dtype=torch.uint8)
        counts[self._values.long()] = self.encode(self._starts).abs().sum(0).to(torch.uint8)
        return counts
