# SPDX-License-Identifier: Apache-2.0
"""Watches the values of one site and gives them back as they came."""

from torch import Tensor

from spikewright.calibration.histogram import RangeHistogram
from spikewright.errors import CalibrationError, ShapeError

__all__ = ["SiteObserver"]


class SiteObserver:
    """The values seen at one site: a histogram per channel or one in all.

    A rectified site counts values below zero as zeros, a signed site counts magnitudes.

    Args:
        channel_axis: Axis of the observed tensors that runs over channels; None for one
            histogram of everything.
        signed: Whether the site carries signed values.
        bins: Bins of each histogram, a power of two.

    Example:
        >>> import torch
        >>> observer = SiteObserver(channel_axis=1, signed=False)
        >>> x = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
        >>> observer.observe(x) is x
        True
        >>> observer.histogram.max.tolist()
        [3.0, 0.5]
    """

    def __init__(self, channel_axis: int | None, signed: bool, bins: int = 1024) -> None:
        self.channel_axis = channel_axis
        self.signed = signed
        self.bins = bins
        self._histogram: RangeHistogram | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been observed."""
        return self._histogram is None

    @property
    def histogram(self) -> RangeHistogram:
        """What has been seen.

        Raises:
            CalibrationError: If that is nothing.
        """
        if self._histogram is None:
            raise CalibrationError(
                "observer: expected observed values, got none. Run calibration data first."
            )
        return self._histogram

    def observe(self, x: Tensor) -> Tensor:
        """Count the values of a tensor.

        Args:
            x: Values of the site, floating, any shape with the channel axis.

        Returns:
            ``x`` itself, unchanged.

        Raises:
            ShapeError: If the channel axis is missing or has another size than before.
            CalibrationError: If a value is NaN or infinite, or the type is not floating.
        """
        values = x.detach()
        if self.channel_axis is None:
            values = values.reshape(1, -1)
        elif not -x.ndim <= self.channel_axis < x.ndim:
            raise ShapeError(
                f"observer: expected a channel axis {self.channel_axis}, got shape "
                f"{tuple(x.shape)}. Observe whole batches."
            )
        else:
            values = values.movedim(self.channel_axis, 0)
        histogram = self._histogram
        if histogram is None:
            histogram = RangeHistogram(values.shape[0], self.bins)
        histogram.update(values.abs() if self.signed else values)
        self._histogram = histogram
        return x

    def merge(self, other: "SiteObserver") -> "SiteObserver":
        """Add what another observer of the same site has seen, and return this one.

        Raises:
            CalibrationError: If the settings differ.
            ShapeError: If the numbers of channels differ.
        """
        mine = (self.channel_axis, self.signed, self.bins)
        theirs = (other.channel_axis, other.signed, other.bins)
        if mine != theirs:
            raise CalibrationError(
                f"observer: expected (channel axis, signed, bins) = {mine} to merge, got {theirs}. "
                "Merge statistics of the same prepared model."
            )
        if other._histogram is not None:
            if self._histogram is None:
                self._histogram = other._histogram.copy()
            else:
                self._histogram.merge(other._histogram)
        return self

    @classmethod
    def of(
        cls, histogram: RangeHistogram, channel_axis: int | None, signed: bool
    ) -> "SiteObserver":
        """Return an observer that has seen what a histogram holds.

        Args:
            histogram: Taken over, not copied.
            channel_axis: As in the class.
            signed: As in the class.
        """
        observer = cls(channel_axis, signed, histogram.bins)
        observer._histogram = histogram
        return observer
