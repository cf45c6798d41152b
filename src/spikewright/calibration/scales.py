# SPDX-License-Identifier: Apache-2.0
"""Rules that choose the scale λ of a site: the value that the code's largest number stands for.

A value a is written as n = quantise(a·S/λ, plus 1/2 if rounding) and read as λ·n/S. A large λ
clips nothing and is coarse, a small one is fine and clips.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from spikewright.calibration.binning import LOWEST_EXPONENT
from spikewright.calibration.coding_error import SquaredError
from spikewright.calibration.histogram import RangeHistogram
from spikewright.calibration.spike_price import price_of, spikes_of
from spikewright.codes import Code, from_plain, to_plain
from spikewright.errors import ConfigError

__all__ = ["Max", "MinError", "Percentile", "ScaleRule"]

_VERSION = 1
_HEADROOM = 8.0  # the largest λ tried is this many times the maximum
_REACH = 32.0  # the smallest λ tried is this many times below the maximum
_FINER = 15  # λ tried between the neighbours of the best one


class _Site(NamedTuple):
    """What a rule looks at; ``pooled`` has one channel where one λ is wanted."""

    histogram: RangeHistogram
    pooled: RangeHistogram
    code: Code
    rounding: bool
    cap: float | None


@dataclass(frozen=True)
class ScaleRule:
    """A frozen choice of how λ follows from what was seen at a site."""

    name: ClassVar[str]

    def scale(
        self,
        histogram: RangeHistogram,
        code: Code,
        *,
        per_channel: bool,
        rounding: bool,
        cap: float | None,
    ) -> Tensor:
        """Choose λ > 0.

        Channels that were never active (no value of 2^-64 or more) take the lower median of the
        other channels' λ; if none was active, λ is the cap or 1.

        Args:
            histogram: What was seen at the site.
            code: The code that the site's neurons emit; S is its largest value.
            per_channel: One λ for each channel, or one for all.
            rounding: Whether half a unit is added before firing.
            cap: Largest value that the site's activation lets through (6 for ReLU6), None if
                there is no such value; λ never exceeds it.

        Returns:
            λ, "channels" or "", float32.

        Raises:
            CalibrationError: If a channel has seen no value.
            ConfigError: If the cap is not above zero.
        """
        pooled = _prepare(histogram, per_channel, cap)
        chosen = self._choose(_Site(histogram, pooled, code, rounding, cap))
        scales = _finish(chosen, pooled, cap)
        return scales if per_channel else scales[0]

    def _choose(self, at: _Site) -> Tensor:
        """Return λ of every channel of ``at.pooled``; inactive ones and the cap come later."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return name, version and settings as plain values."""
        return to_plain(self, _VERSION)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Build the rule from what ``to_dict`` wrote; ConfigError for unknown keys."""
        return from_plain(cls, plain, _VERSION)


@dataclass(frozen=True)
class Max(ScaleRule):
    """λ is the largest value seen: nothing is clipped.

    Example:
        >>> from spikewright.codes import Radix
        >>> seen = RangeHistogram(2)
        >>> seen.update(torch.tensor([[0.0, 3.0], [8.0, 1.0]]))
        >>> Max().scale(seen, Radix(), per_channel=True, rounding=True, cap=6.0)
        tensor([3., 6.])
    """

    name: ClassVar[str] = "max"

    def _choose(self, at: _Site) -> Tensor:
        return at.pooled.max


@dataclass(frozen=True)
class Percentile(ScaleRule):
    """λ is the value below which q per cent of the values lie.

    Where that value is zero although the channel was active (silent for more than q per cent),
    λ is the largest value seen.

    Args:
        q: Percentage in (0, 100]. 99.9 is the choice of Rueckauer et al. 2017.
        nonzero: Count only values above zero, as Rueckauer et al. do.

    Raises:
        ConfigError: If ``q`` is outside (0, 100].

    References:
        B. Rueckauer et al., Conversion of continuous-valued deep networks to efficient
        event-driven networks for image classification, Frontiers in Neuroscience 2017.
    """

    q: float = 99.9
    nonzero: bool = False

    name: ClassVar[str] = "percentile"

    def __post_init__(self) -> None:
        if not 0.0 < self.q <= 100.0:
            raise ConfigError(
                f"percentile rule: expected q in (0, 100], got q={self.q}. 100 is the maximum."
            )

    def _choose(self, at: _Site) -> Tensor:
        values = at.pooled.percentile(self.q, nonzero=self.nonzero)
        return torch.where(values > 0.0, values, at.pooled.max)


@dataclass(frozen=True)
class MinError(ScaleRule):
    """λ is the one with the least mean squared error of the decoded values.

    Values that calibration has not seen count too, or long codes would clip them: to the n values
    seen, one above the largest is added with a weight, as far above as their tail suggests. A row
    of λ from 1/32 of the largest value to 8 times it is tried, then 15 more between the
    neighbours of the best. With one λ for all channels their errors are added.

    Args:
        candidates: λ in the first row, at least 2.
        unseen: How much a value counts that calibration has not seen, against one that it has;
            1 follows from probability alone, less gives short codes finer steps. With 0, λ never
            exceeds the maximum.
        price: What a spike costs in squared errors, as a share of the mean square of all values:
            with a price, values are written that take fewer spikes.

    Raises:
        ConfigError: If ``candidates`` is below 2, or ``unseen`` or ``price`` is negative.

    References:
        F. Liu et al., SpikeConverter, AAAI 2022, choose the threshold by minimising a conversion
        error whose formula is not public; the squared error is this project's choice.
    """

    candidates: int = 56
    unseen: float = 1 / 32
    price: float = 0.0

    name: ClassVar[str] = "min-error"

    def __post_init__(self) -> None:
        if self.candidates < 2:
            raise ConfigError(
                f"min-error rule: expected at least 2 candidates, got {self.candidates}. "
                "The default is 56."
            )
        if not self.unseen >= 0.0:
            raise ConfigError(
                f"min-error rule: expected unseen ≥ 0, got {self.unseen}. 0 leaves it out."
            )
        if not 0.0 <= self.price < math.inf:
            raise ConfigError(
                f"min-error rule: expected a price of spikes ≥ 0, got {self.price}. 0 is none."
            )

    def _choose(self, at: _Site) -> Tensor:
        active = _active(at.histogram)
        scales = at.pooled.max.clone()
        if bool(active.any()):
            seen = at.histogram.select(active.nonzero().squeeze(1))
            every = at.pooled.channels == at.histogram.channels
            top = seen.max if every else seen.max.max().view(1)
            top = top * _HEADROOM if self.unseen else top
            top = top if at.cap is None else top.clamp(max=at.cap)
            scales[_active(at.pooled)] = self._search(seen, at.code, at.rounding, top)
        return scales

    def _search(self, histogram: RangeHistogram, code: Code, rounding: bool, top: Tensor) -> Tensor:
        """Return the best λ up to ``top``, which is per channel or "1" for all, float64."""
        seen = SquaredError(histogram, code, rounding)
        unseen = _unseen(histogram)

        price, half = price_of(histogram, self.price), 0.5 if rounding else 0.0

        def error(scale: Tensor) -> Tensor:
            errors = seen(scale) + self.unseen * unseen(scale) if self.unseen else seen(scale)
            return errors + price * spikes_of(histogram, code, scale, half) if price else errors

        last = self.candidates - 1
        reach = _REACH * (_HEADROOM if self.unseen else 1.0)
        ratio = reach ** (1.0 / last)
        highest = histogram.max if len(top) == histogram.channels else histogram.max.max()
        row = [*(top * reach ** (i / last - 1.0) for i in range(last)), top]
        row.append(torch.minimum(highest.expand_as(top), top))
        best, least = _best(error, row)
        low, high = best / ratio, torch.minimum(best * ratio, top)
        finer = [low + (high - low) * (i / (_FINER + 1)) for i in range(1, _FINER + 1)]
        closer, less = _best(error, finer)
        chosen = torch.where(less < least, closer, best)
        # In single precision, as it is used, λ may fall below a value that it was chosen for.
        return _best(lambda s: error(s.float().double()), [row[-1], chosen])[0]


def _unseen(histogram: RangeHistogram) -> Callable[[Tensor], Tensor]:
    """Return the squared clipping error to expect from one more value above all that were seen.

    n values say that the next one exceeds them all with probability 1/(n + 1), so one such value
    is added to every n. Its excess over the maximum is taken as exponential with the mean β that
    the seen tail has: of n values the largest lies β·ln(n/100) above the 99th percentile.
    """
    highest = histogram.max
    span = torch.log((histogram.count.double() / 100.0).clamp(min=math.e))
    tail = highest - histogram.percentile(99.0).double()
    mean = (tail / span).clamp(min=2.0**LOWEST_EXPONENT)

    def error(scale: Tensor) -> Tensor:
        gap = scale.double() - highest  # above the maximum: headroom
        above = 2.0 * mean**2 * torch.exp(-gap.clamp(min=0.0) / mean)
        below = gap**2 - 2.0 * mean * gap + 2.0 * mean**2
        return torch.where(gap >= 0.0, above, below)

    return error


def _best(error: Callable[[Tensor], Tensor], tried: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the λ of least error among those tried, and that error; the last one on a tie."""
    scales = torch.stack(tried[::-1])
    errors = error(scales)
    if errors.shape != scales.shape:
        errors = errors.sum(1, keepdim=True)
    least, at = errors.min(0)
    return scales.gather(0, at[None])[0], least


def _active(histogram: RangeHistogram) -> Tensor:
    """Return which channels were active, "channels", bool."""
    return histogram.max >= 2.0**LOWEST_EXPONENT


def _prepare(histogram: RangeHistogram, per_channel: bool, cap: float | None) -> RangeHistogram:
    """Check what every rule needs; pool the channels where one λ is wanted."""
    if cap is not None and not cap > 0.0:
        raise ConfigError(
            f"scale: expected a cap above zero, got {cap}. The activation lets nothing through."
        )
    histogram.require_values()
    return histogram if per_channel else histogram.pooled()


def _finish(scales: Tensor, histogram: RangeHistogram, cap: float | None) -> Tensor:
    """Give inactive channels their λ and hold all to the cap."""
    active = _active(histogram)
    if bool(active.any()):
        silent = scales[active].median()
    else:
        silent = torch.tensor(1.0 if cap is None else cap, dtype=scales.dtype)
    filled = torch.where(active, scales, silent).float()
    if cap is not None:
        filled = filled.clamp_(max=cap)
    return filled
