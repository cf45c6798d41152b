# SPDX-License-Identifier: Apache-2.0
"""A histogram that doubles its range as larger values arrive and never depends on their order.

Every range is a power of two and every bin a power-of-two part of it, so a coarser histogram is
the finer one with bins added in pairs. What is stored is therefore a pure function of the values
seen: batches may come in any order, in any cut, in any number of processes.
"""

import math

import torch
from torch import Tensor

from spikewright.calibration.binning import (
    LOWEST_EXPONENT,
    coarsen,
    exponents_of,
    flat,
    is_sound,
    log2,
    order_statistic,
    power_of_two,
)
from spikewright.calibration.counting import count_values
from spikewright.errors import CalibrationError, ConfigError, ShapeError

__all__ = ["RangeHistogram"]


class RangeHistogram:
    """Counts of the non-negative values of each channel, with exact merge.

    Channel c covers [0, 2^e_c), where 2^e_c is the smallest power of two strictly above the
    largest value seen, and at least 2^-64. Zeros, and whatever is below zero, are counted
    apart; bins hold values above zero only.

    Args:
        channels: Number of channels.
        bins: Bins per channel, a power of two, at least 2.

    Attributes:
        counts: Values above zero in each bin, "channels bins", int64.
        zeros: Values that were zero or below, "channels", int64.
        exponents: Exponent e of each range [0, 2^e), "channels", int64.
        max: Largest value seen, exactly; 0 if none was above zero. "channels", float64.

    Raises:
        ConfigError: If a number is not as said.

    Example:
        >>> histogram = RangeHistogram(1, bins=4)
        >>> histogram.update(torch.tensor([[0.0, 0.5, 1.5, 1.75]]))
        >>> histogram.counts.tolist(), histogram.zeros.tolist(), histogram.range.tolist()
        ([[0, 1, 0, 2]], [1], [2.0])
        >>> histogram.update(torch.tensor([[3.0]]))
        >>> histogram.counts.tolist(), histogram.range.tolist()
        ([[1, 2, 0, 1]], [4.0])
    """

    def __init__(self, channels: int, bins: int = 1024) -> None:
        if channels < 1:
            raise ConfigError(
                f"range histogram: expected at least one channel, got {channels}. "
                "Give the size of the channel axis."
            )
        if bins < 2 or bins & (bins - 1):
            raise ConfigError(
                f"range histogram: expected a power of two of at least 2 bins, got {bins}. "
                "Only such bins merge exactly when the range doubles."
            )
        self.counts = torch.zeros((channels, bins), dtype=torch.int64)
        self.zeros = torch.zeros(channels, dtype=torch.int64)
        self.exponents = torch.full((channels,), LOWEST_EXPONENT, dtype=torch.int64)
        self.max = torch.zeros(channels, dtype=torch.float64)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.counts.shape[0]

    @property
    def bins(self) -> int:
        """Bins per channel."""
        return self.counts.shape[1]

    @property
    def count(self) -> Tensor:
        """All values seen, zeros included, "channels", int64."""
        return self.counts.sum(1) + self.zeros

    @property
    def range(self) -> Tensor:
        """Upper end 2^e of each range, not included, "channels", float64."""
        return power_of_two(self.exponents)

    @property
    def bin_width(self) -> Tensor:
        """Width of each channel's bins, "channels", float64."""
        return power_of_two(self.exponents - log2(self.bins))

    def update(self, values: Tensor) -> None:
        """Count a batch of values.

        Args:
            values: "channels *samples", floating, any memory order and device. Not changed.

        Raises:
            ShapeError: If the first axis is not the channels.
            CalibrationError: If a value is NaN or infinite; nothing has been counted then.
        """
        if values.ndim < 1 or values.shape[0] != self.channels:
            raise ShapeError(
                f"range histogram: expected {self.channels} channels first, got shape "
                f"{tuple(values.shape)}. Use one histogram for each number of channels."
            )
        if not values.is_floating_point():
            raise CalibrationError(
                f"range histogram: expected floating-point values, got {values.dtype}. "
                "Observe the values of the network, not its inputs' codes."
            )
        if values.numel() == 0:
            return
        values = _as_counted(values)
        lowest, highest = flat(values).amin().item(), values.amax((1, 2)).double()
        if not (math.isfinite(lowest) and bool(highest.isfinite().all())):
            raise CalibrationError(
                "range histogram: expected finite values, got NaN or infinity. "
                "Check the calibration data and the weights."
            )
        self._include(highest.clamp_(min=0.0))
        # Scaling by a power of two is exact, so truncation finds the bin exactly.
        scale = (1.0 / self.bin_width).to(values.dtype)
        zeros = count_values(values, scale, self.counts, clamp=lowest < 0.0)
        self.counts[:, 0] -= zeros
        self.zeros += zeros

    def merge(self, other: "RangeHistogram") -> "RangeHistogram":
        """Add the counts of another histogram, as if this one had seen its values too.

        Args:
            other: Histogram of as many channels and bins. Not changed.

        Returns:
            This histogram.

        Raises:
            ShapeError: If channels or bins differ.
        """
        if self.counts.shape != other.counts.shape:
            raise ShapeError(
                f"range histogram: expected {tuple(self.counts.shape)} channels and bins to "
                f"merge, got {tuple(other.counts.shape)}. Merge histograms of the same site."
            )
        self._include(other.max)
        self.counts += coarsen(other.counts, self.exponents - other.exponents)
        self.zeros += other.zeros
        return self

    def pooled(self) -> "RangeHistogram":
        """Return the histogram of all channels together, as one channel."""
        exponent = self.exponents.max()
        together = RangeHistogram(1, self.bins)
        together.exponents[0] = exponent
        together.counts[0] = coarsen(self.counts, exponent - self.exponents).sum(0)
        together.zeros[0] = self.zeros.sum()
        together.max[0] = self.max.max()
        return together

    def select(self, index: Tensor) -> "RangeHistogram":
        """Return a histogram of some channels only.

        Args:
            index: Channels to take, "selected", int64, at least one.

        Returns:
            A new histogram.
        """
        return self.from_tensors(
            {name: tensor[index] for name, tensor in self.to_tensors().items()}
        )

    def copy(self) -> "RangeHistogram":
        """Return a histogram of the same content with memory of its own."""
        return self.select(torch.arange(self.channels))

    def percentile(self, p: float, *, nonzero: bool = False, per_channel: bool = True) -> Tensor:
        """Return the value below which ``p`` per cent of the values lie.

        Ranks are those of NumPy's default ``percentile``; inside a bin values count as evenly
        spread, so the result is within one bin's width and never above the exact maximum.

        Args:
            p: In (0, 100]; 100 gives the exact maximum.
            nonzero: Whether only values above zero count; a channel without any gives 0.
            per_channel: One percentile per channel, or one over all channels.

        Returns:
            "channels" or "", float64.

        Raises:
            ConfigError: If ``p`` is outside (0, 100].
            CalibrationError: If a channel has seen no value at all.
        """
        if not 0.0 < p <= 100.0:
            raise ConfigError(
                f"percentile: expected a percentage in (0, 100], got {p}. 100 is the maximum."
            )
        if not per_channel:
            return self.pooled().percentile(p, nonzero=nonzero)[0]
        self.require_values()
        zeros = torch.zeros_like(self.zeros) if nonzero else self.zeros
        total = self.counts.sum(1) + zeros
        rank = (total - 1).clamp_(min=0).double() * (p / 100.0)
        below, above = (
            order_statistic(self.counts, self.bin_width, self.max, zeros, j.long())
            for j in (rank.floor(), rank.ceil())
        )
        return below + (above - below) * (rank - rank.floor())

    def require_values(self) -> None:
        """Refuse to go on if a channel has seen no value.

        Raises:
            CalibrationError: If so.
        """
        if not bool((self.count > 0).all()):
            raise CalibrationError(
                "range histogram: expected observed values in every channel, got none. "
                "Calibrate with at least one sample first."
            )

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the whole content by name; no memory is copied."""
        return {
            "counts": self.counts,
            "zeros": self.zeros,
            "exponents": self.exponents,
            "max": self.max,
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "RangeHistogram":
        """Build a histogram from what ``to_tensors`` wrote.

        Args:
            tensors: Counts, zeros, exponents and max.

        Returns:
            A new histogram with memory of its own.

        Raises:
            ShapeError: If the tensors' shapes do not belong together.
            CalibrationError: If their content is none that a histogram can have.
        """
        counts = tensors["counts"]
        channels = counts.shape[0] if counts.ndim == 2 else -1
        per_channel = [tensors[name] for name in ("zeros", "exponents", "max")]
        if channels < 1 or any(tensor.shape != (channels,) for tensor in per_channel):
            raise ShapeError(
                "range histogram: expected counts (channels, bins) and one value per channel in "
                f"the rest, got { ({n: tuple(t.shape) for n, t in tensors.items()}) }. "
                "Write the file again."
            )
        histogram = cls(channels, counts.shape[1])
        for name, tensor in histogram.to_tensors().items():
            tensor.copy_(tensors[name])
        if not is_sound(histogram.counts, histogram.zeros, histogram.exponents, histogram.max):
            raise CalibrationError(
                "range histogram: expected counts, ranges and maxima that belong together, got "
                "others. Calibrate again."
            )
        return histogram

    def _include(self, highest: Tensor) -> None:
        """Widen the ranges so that they hold ``highest``, "channels", float64."""
        empty = self.max == 0.0  # no bin to widen
        self.max = torch.maximum(self.max, highest)
        exponents = exponents_of(self.max)
        doublings = (exponents - self.exponents).masked_fill_(empty, 0)
        wider = doublings.nonzero().squeeze(1)
        if len(wider):
            self.counts[wider] = coarsen(self.counts[wider], doublings[wider])
        self.exponents = exponents


def _as_counted(values: Tensor) -> Tensor:
    """Bring "channels *samples" to the CPU, to 32 or 64 bits and three axes; copy as needed."""
    values = values.detach().cpu()
    if values.dtype not in (torch.float32, torch.float64):
        values = values.float()
    return values.flatten(2) if values.ndim > 2 else values.view(len(values), 1, -1)
