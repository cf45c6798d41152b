# SPDX-License-Identifier: Apache-2.0
"""A histogram that doubles its range as larger values arrive and never depends on their order.

Every range is a power of two and every bin a power-of-two part of it, so a coarser histogram is
the finer one with bins added in pairs. What is stored is therefore a pure function of the values
seen: batches may come in any order, in any cut, in any number of processes.
"""

import numpy as np
import torch
from torch import Tensor

from spikewright.errors import CalibrationError, ConfigError, ShapeError

__all__ = ["RangeHistogram"]

LOWEST_EXPONENT = -64  # ranges below 2^-64 are not told apart; such values share the first bin
_CHUNK = 1 << 17  # elements counted at once: temporaries stay small and in the cache


class RangeHistogram:
    """Counts of the non-negative values of each channel, with exact merge.

    Channel c covers [0, 2^e_c), where 2^e_c is the smallest power of two strictly above the
    largest value seen, and at least 2^-64. Zeros, and whatever is below zero, are counted
    apart; bins hold values above zero only.

    Args:
        channels: Number of channels.
        bins: Bins per channel, a power of two, at least 2.

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
        self._counts = torch.zeros((channels, bins), dtype=torch.int64)
        self._zeros = torch.zeros(channels, dtype=torch.int64)
        self._exponents = torch.full((channels,), LOWEST_EXPONENT, dtype=torch.int64)
        self._max = torch.zeros(channels, dtype=torch.float64)
        self._one = torch.ones((), dtype=torch.int64)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self._counts.shape[0]

    @property
    def bins(self) -> int:
        """Bins per channel."""
        return self._counts.shape[1]

    @property
    def counts(self) -> Tensor:
        """Values above zero in each bin, "channels bins", int64."""
        return self._counts

    @property
    def zeros(self) -> Tensor:
        """Values that were zero or below, "channels", int64."""
        return self._zeros

    @property
    def count(self) -> Tensor:
        """All values seen, zeros included, "channels", int64."""
        return self._counts.sum(1) + self._zeros

    @property
    def max(self) -> Tensor:
        """Largest value seen, exactly; 0 if none was above zero. "channels", float64."""
        return self._max

    @property
    def exponents(self) -> Tensor:
        """Exponent e of each range [0, 2^e), "channels", int64."""
        return self._exponents

    @property
    def range(self) -> Tensor:
        """Upper end 2^e of each range, not included, "channels", float64."""
        return _power_of_two(self._exponents)

    @property
    def bin_width(self) -> Tensor:
        """Width of each channel's bins, "channels", float64."""
        return _power_of_two(self._exponents - _log2(self.bins))

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
        values = values.detach()
        if values.dtype not in (torch.float32, torch.float64):
            values = values.float()
        if values.ndim == 1:
            values = values.unsqueeze(1)
        axes = tuple(range(1, values.ndim))
        highest = values.amax(axes)
        if not bool((torch.isfinite(highest) & torch.isfinite(values.amin(axes))).all()):
            raise CalibrationError(
                "range histogram: expected finite values, got NaN or infinity. "
                "Check the calibration data and the weights."
            )
        self._include(highest.clamp_(min=0.0).cpu().double())
        for part in values.chunk(-(-values.numel() // _CHUNK), dim=1):
            self._count(part)

    def merge(self, other: "RangeHistogram") -> "RangeHistogram":
        """Add the counts of another histogram, as if this one had seen its values too.

        Args:
            other: Histogram of as many channels and bins. Not changed.

        Returns:
            This histogram.

        Raises:
            ShapeError: If channels or bins differ.
        """
        if self._counts.shape != other._counts.shape:
            raise ShapeError(
                f"range histogram: expected {tuple(self._counts.shape)} channels and bins to "
                f"merge, got {tuple(other._counts.shape)}. Merge histograms of the same site."
            )
        self._include(other._max)
        self._counts += _coarsen(other._counts, self._exponents - other._exponents)
        self._zeros += other._zeros
        return self

    def pooled(self) -> "RangeHistogram":
        """Return the histogram of all channels together, as one channel."""
        exponent = self._exponents.max()
        together = RangeHistogram(1, self.bins)
        together._exponents[0] = exponent
        together._counts[0] = _coarsen(self._counts, exponent - self._exponents).sum(0)
        together._zeros[0] = self._zeros.sum()
        together._max[0] = self._max.max()
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
        zeros = torch.zeros_like(self._zeros) if nonzero else self._zeros
        total = self._counts.sum(1) + zeros
        rank = (total - 1).clamp_(min=0).double() * (p / 100.0)
        below = self._order_statistic(rank.floor().long(), zeros, total)
        above = self._order_statistic(rank.ceil().long(), zeros, total)
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
            "counts": self._counts,
            "zeros": self._zeros,
            "exponents": self._exponents,
            "max": self._max,
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "RangeHistogram":
        """Build a histogram from what ``to_tensors`` wrote.

        Args:
            tensors: Counts, zeros, exponents and max.

        Returns:
            A new histogram with memory of its own.

        Raises:
            ShapeError: If the tensors do not belong together.
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
        return histogram

    def _include(self, highest: Tensor) -> None:
        """Widen the ranges so that they hold ``highest``, "channels", float64."""
        self._max = torch.maximum(self._max, highest)
        _, exponents = torch.frexp(self._max)  # max = m·2^e with m in [0.5, 1)
        exponents = exponents.long().clamp_(min=LOWEST_EXPONENT)
        exponents[self._max == 0.0] = LOWEST_EXPONENT
        self._counts = _coarsen(self._counts, exponents - self._exponents)
        self._exponents = exponents

    def _count(self, values: Tensor) -> None:
        """Count values that the ranges hold, "channels *samples"."""
        shape = (-1, *[1] * (values.ndim - 1))
        # Scaling by a power of two is exact, so truncation finds the bin exactly.
        scale = (1.0 / self.bin_width).to(values.device, values.dtype).view(shape)
        offset = torch.arange(0, self._counts.numel(), self.bins, device=values.device)
        index = (values * scale).clamp_(min=0.0)
        # Asked of the values themselves: what is scaled may underflow to zero.
        positive = torch.gt(values, 0.0, out=torch.empty_like(values))
        zeros = values[0].numel() - _count_ones(positive).cpu()
        bins = index.to(torch.int32 if self._counts.numel() < 2**31 else torch.int64)
        bins += offset.to(bins.dtype).view(shape)
        places = _flat(bins).cpu()
        self._counts.view(-1).index_add_(0, places, self._one.expand(places.shape))
        self._counts[:, 0] -= zeros
        self._zeros += zeros

    def _order_statistic(self, j: Tensor, zeros: Tensor, total: Tensor) -> Tensor:
        """Return about the j-th smallest value (from 0) of each channel, float64."""
        cumulative = self._counts.cumsum(1)
        inside = (j - zeros).clamp_(min=0)[:, None]
        at = torch.searchsorted(cumulative, inside, right=True).clamp_(max=self.bins - 1)
        held = self._counts.gather(1, at).clamp_(min=1)
        before = cumulative.gather(1, at) - held
        value = (at + (inside - before + 0.5) / held).squeeze(1) * self.bin_width
        value = torch.where(j >= total - 1, self._max, torch.minimum(value, self._max))
        return torch.where((j < zeros) | (total == 0), 0.0, value)


def _log2(bins: int) -> int:
    """Return the logarithm of a power of two."""
    return bins.bit_length() - 1


def _power_of_two(exponents: Tensor) -> Tensor:
    """Return 2^e exactly, float64."""
    return torch.from_numpy(np.ldexp(1.0, exponents.numpy()))


def _coarsen(counts: Tensor, doublings: Tensor) -> Tensor:
    """Add bins in groups of 2^doublings, "channels"; rows without doublings are as before."""
    if not bool(doublings.any()):
        return counts
    bins = counts.shape[1]
    coarse = counts.clone()
    for doubling in torch.unique(doublings[doublings > 0]).tolist():
        rows = doublings == doubling
        group = min(1 << min(doubling, 62), bins)
        added = counts[rows].view(-1, bins // group, group).sum(2)
        coarse[rows] = 0
        coarse[rows, : bins // group] = added
    return coarse


def _count_ones(ones: Tensor) -> Tensor:
    """Sum each channel of zeros and ones, "channels *samples", to int64 without rounding."""
    rows = ones.sum(-1) if ones.shape[-1] < 1 << 24 else ones.sum(-1, dtype=torch.float64)
    return rows.double().flatten(1).sum(1).long() if rows.ndim > 1 else rows.long()


def _flat(values: Tensor) -> Tensor:
    """Flatten in memory order, without a copy where the tensor has no gaps."""
    order = sorted(range(values.ndim), key=values.stride, reverse=True)
    return values.permute(order).reshape(-1)
