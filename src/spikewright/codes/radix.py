# SPDX-License-Identifier: Apache-2.0
"""The radix code of SpikeConverter: step j of a train weighs k times what step j + 1 weighs.

k = 2 is a binary code of ``steps`` bits; k towards 1 is rate code.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.codes.greedy import check_type, flat_parts, greedy_levels, greedy_residual
from spikewright.codes.tally import OnesTally, SumTally, Tally, popcount
from spikewright.codes.train_code import TrainCode
from spikewright.errors import ConfigError
from spikewright.shapes import Decoded, Train

__all__ = ["Radix"]

_FLOAT32_BITS = 24


@dataclass(frozen=True, kw_only=True)
class Radix(TrainCode):
    """Greedy base-k code: a train of 0/1 symbols whose step j weighs k^(steps - j) units.

    Units are those of the **last** step, so an extra step is one more step and makes the unit k
    times finer; a value is ``a = λ·n/S``, and n/S does not depend on the choice of unit.

    The greedy rule fires step j when the residual is at least its weight (ties fire). For every
    target in [0, S + 1) the residual left after the last step is in [0, 1) unit, because each
    weight is at most one more than the sum of those after it; that is so exactly for k ≤ 2.
    Targets of S and more give S, targets below one unit (negative ones too) are silent.

    For k < 2 the weights are rounded to multiples of 2^(e - 24) with 2^e ≥ S + 1. Every sum of
    weights is then exact in float32: encoding, decoding, counting and prefixes are free of
    rounding and give the same bits in any order and on any device. The change is at most
    2^-25 of the full range for each weight; k = 2 and other short binary fractions at
    small ``steps`` are not changed at all.

    Signed trains are the difference of an ON and an OFF train: symbols -1, 0, 1 with one sign.

    Args:
        k: Ratio of successive weights, in (1, 2].
        T: Time steps, at least 1.
        extra_step: Whether one more step follows the T steps.

    Raises:
        ConfigError: If T < 1, k is outside (1, 2] or not finite, or S + 1 > 2^24, beyond which
            float32 does not hold the values exactly (for k = 2: more than 24 steps).

    References:
        F. Liu et al., SpikeConverter, AAAI 2022. The paper's Σ_t Y[t] k^(T-t) is ``decode``.

    Example:
        >>> code = Radix(T=3)
        >>> code.weights, code.max_value
        ((4.0, 2.0, 1.0), 7.0)
        >>> code.encode(torch.tensor([5.9, -1.0])).tolist()
        [[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
        >>> code.quantise_(torch.tensor([5.9, -1.0, 99.0])).tolist()
        [5.0, 0.0, 7.0]
    """

    name: ClassVar[str] = "radix"
    greedy: ClassVar[bool] = True
    pool_base: ClassVar[float] = 2.0  # greedy trains order like binary numbers

    k: float = 2.0
    T: int = 8
    extra_step: bool = False

    def __post_init__(self) -> None:
        if type(self.T) is not int or self.T < 1:
            raise ConfigError(
                f"radix code: expected a whole number of time steps T >= 1, got T={self.T!r}. "
                "Set T to 1 or more."
            )
        if not math.isfinite(self.k) or not 1.0 < self.k <= 2.0:
            raise ConfigError(
                f"radix code: expected k in (1, 2], got k={self.k!r}. "
                "Above 2 the greedy code leaves gaps; k towards 1 is rate code."
            )
        bits = math.inf
        if self.steps * math.log2(self.k) <= _FLOAT32_BITS and self.steps < 1 << _FLOAT32_BITS:
            bits = math.log2(math.fsum(self.k**j for j in range(self.steps)) + 1.0)
        if bits > _FLOAT32_BITS:
            raise ConfigError(
                f"radix code: expected values of at most {_FLOAT32_BITS} bits, which is what "
                f"float32 holds exactly, got k={self.k} with {self.steps} steps "
                f"(steps·log2 k = {self.steps * math.log2(self.k):.2f}). Use fewer steps or a "
                "smaller k."
            )

    @property
    def steps(self) -> int:
        """Symbols in a train: T, and one more with the extra step."""
        return self.T + self.extra_step

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """Weight of each step in units, k^(steps - j) for j = 1..steps; the last one is 1."""
        powers = [self.k**j for j in range(self.steps)]
        bits = math.ceil(math.log2(math.fsum(powers) + 1.0))
        grid = 2.0 ** (bits - _FLOAT32_BITS)
        weights, total = [], 0.0
        for power in powers:
            weight = min(round(power / grid) * grid, total + 1.0)
            weights.append(weight)
            total += weight
        return tuple(reversed(weights))

    @cached_property
    def max_value(self) -> float:
        """Largest decoded value S = Σ weights = (k^steps - 1)/(k - 1), in units."""
        return sum(self.weights)

    def encode(self, target: Decoded, signed: bool = False) -> Train:
        """Write numbers as greedy trains.

        s[j] = (r ≥ w_j);  r ← r - w_j·s[j];  r = target at the start.

        Args:
            target: Numbers in units, any shape, float32 or float64, no NaN.
            signed: Write sign(target)·encode(|target|), an ON/OFF pair on one wire; otherwise
                targets ≤ 0 are silent.

        Returns:
            Train, "steps *target", same type as ``target``, symbols {0, 1} or {-1, 0, 1}.

        Raises:
            ConfigError: If the type is another.
        """
        check_type(target)
        residual = target.abs() if signed else target.clone()
        train = residual.new_empty((self.steps, *target.shape))
        for spikes, weight in zip(train, self.weights, strict=True):
            torch.ge(residual, weight, out=spikes)
            residual.sub_(spikes, alpha=weight)
        return train.mul_(target.sign()) if signed else train

    def quantise_(self, target: Decoded, signed: bool = False) -> Decoded:
        """Overwrite numbers by what their greedy trains decode to.

        k = 2: n = clip(floor(target), 0, S); signed: n = clip(trunc(target), -S, S).

        Args:
            target: Numbers in units, any shape and memory order, float32 or float64, no NaN.
            signed: As in ``encode``.

        Returns:
            ``target`` itself, bit for bit ``decode(encode(target, signed))``.

        Raises:
            ConfigError: If the type is another.
        """
        check_type(target)
        top = self.max_value
        target.clamp_(-top if signed else 0.0, top)
        if self.k == 2.0:
            return target.trunc_() if signed else target.floor_()
        for part in flat_parts(target):
            sign = part.sign() if signed else None
            magnitude = part.abs_() if signed else part
            magnitude.sub_(greedy_residual(magnitude, self.weights))
            if sign is not None:
                part.mul_(sign)
        return target

    def count(self, n: Tensor, signed: bool = True) -> Tensor:
        """Count the spikes of decoded values; for k = 2 the ones in the binary form of |n|.

        Args:
            n: Decoded values, any shape, float32 or float64, as ``quantise_`` returns them.
            signed: Whether negative values may occur; False saves a pass.

        Returns:
            Spikes of each train, "*n", uint8 up to 255 steps, int32 above.

        Raises:
            ConfigError: If the type is another.
        """
        check_type(n)
        if self.k == 2.0:
            return popcount(n)
        residual = n.abs() if signed else n.clone()
        counts = torch.empty_like(residual, dtype=torch.uint8 if self.steps <= 255 else torch.int32)
        for left, found in zip(flat_parts(residual), flat_parts(counts), strict=True):
            spikes, fired = torch.empty_like(left), torch.zeros_like(left)
            for weight in self.weights:
                torch.ge(left, weight, out=spikes)
                left.sub_(spikes, alpha=weight)
                fired.add_(spikes)
            found.copy_(fired)
        return counts

    def tally(self, signed: bool = True, alike: Sequence[Tensor] | None = None) -> Tally:
        """Return a counter of spikes that has seen nothing yet; see `Code.tally`."""
        return OnesTally(self.steps, signed, alike) if self.k == 2.0 else SumTally(self.count)

    def prefix(self, n: Tensor, t: int) -> Tensor:
        """Cut decoded values after ``t`` steps: Σ_{j ≤ t} w_j·s[j].

        k = 2: n truncated towards zero to a multiple of 2^(steps - t).

        Args:
            n: Decoded values, any shape, float32 or float64, as ``quantise_`` returns them.
            t: Steps to keep, 0 to ``steps``.

        Returns:
            A new tensor like ``n``, still in units of the last step.

        Raises:
            ConfigError: If ``t`` is outside its range or the type is another.
        """
        check_type(n)
        self.check_step(t)
        if self.k == 2.0:
            below = 2.0 ** (self.steps - t)
            return (n / below).trunc_().mul_(below)
        magnitude = n.abs()
        return magnitude.sub_(greedy_residual(magnitude, self.weights[:t])).mul_(n.sign())

    def levels(self, limit: int) -> tuple[float, ...] | None:
        """List the values that ``quantise_`` gives; it gives the largest not above its target.

        Args:
            limit: Largest number of values wanted.

        Returns:
            All values ≥ 0 in ascending order, None if there are more than ``limit``.

        Example:
            >>> Radix(k=1.5, T=2).levels(10)
            (0.0, 1.0, 1.5, 2.5)
        """
        return greedy_levels(self.weights, limit)

    def share(self, t: int) -> float:
        """Return Σ_{j ≤ t} w_j / S, what has entered of a constant current after ``t`` steps.

        Args:
            t: Steps, 0 to ``steps``.

        Returns:
            A number in [0, 1].

        Raises:
            ConfigError: If ``t`` is outside its range.

        Example:
            >>> Radix(T=2).share(1)
            0.6666666666666666
        """
        self.check_step(t)
        return sum(self.weights[:t]) / self.max_value
