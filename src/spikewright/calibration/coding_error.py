# SPDX-License-Identifier: Apache-2.0
"""The error of writing values in a code: what the scale rules and the search for k minimise.

Values count as evenly spread inside each bin of their histogram, those of the highest bin as the
largest value. For codes of whole numbers and for codes of few values the integral over the bins
is known in closed form, so that it is exact however bins and the code's steps lie; other codes
are evaluated at fixed points of each bin.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from spikewright.calibration.histogram import RangeHistogram
from spikewright.codes import Code
from spikewright.errors import ShapeError

__all__ = ["SquaredError", "conversion_error", "mean_square"]

# Channels evaluated at once, for one λ or several: temporaries of 256 KiB. From about 1 MiB on it
# takes four times as long.
_ROWS = 32
_POINTS = 2  # evaluations in each bin of codes without a closed form
_LEVELS = 1024  # values of a code up to which its cells are summed one by one

_Rows = Callable[[Tensor], Tensor]


class SquaredError:
    """Sum over a channel's values a of (a - λ·n/S)², n = quantise(a·S/λ + 1/2 if rounding).

    What does not depend on λ is worked out once, because rules try many.

    Args:
        histogram: What was seen; S is the code's largest value.
        code: The code.
        rounding: Whether half a unit is added before the code floors.

    Raises:
        CalibrationError: If a channel has seen no value.
    """

    def __init__(self, histogram: RangeHistogram, code: Code, rounding: bool) -> None:
        histogram.require_values()
        self._code, self._half = code, 0.5 if rounding else 0.0
        self._max = histogram.max
        counts, self._highest = _split(histogram)
        self._rows = [
            self._evaluator(block, width)
            for block, width in zip(
                torch.split(counts, _ROWS), torch.split(histogram.bin_width, _ROWS), strict=True
            )
        ]

    def __call__(self, scale: Tensor) -> Tensor:
        """Return the sum of squared errors at the given λ.

        Args:
            scale: λ > 0, one for all channels or "channels"; or several such, "tries channels" or
                "tries 1".

        Returns:
            "channels" or "tries channels", float64, in squared units of the values.

        Raises:
            ShapeError: If ``scale`` has another shape.
        """
        channels = len(self._max)
        if scale.ndim > 2 or (
            scale.ndim > 0 and scale.shape[-1] not in (channels, 1)[: scale.ndim]
        ):
            raise ShapeError(
                f"conversion error: expected one scale or {channels}, got shape "
                f"{tuple(scale.shape)}. Give one λ for each channel."
            )
        step = (scale.double() / self._code.max_value).expand(*scale.shape[:-1], channels)
        tries = torch.split(step.view(-1, channels), max(1, _ROWS // channels))
        rows = torch.cat([self._below(part) for part in tries]).view(step.shape)
        u = self._max / step
        d = u - self._code.quantise_(u + self._half)
        return rows + self._highest * (d * step) ** 2

    def _below(self, step: Tensor) -> Tensor:
        """Return the errors of what lies below the highest bin, "tries channels"."""
        parts = zip(self._rows, torch.split(step, _ROWS, dim=1), strict=True)
        return torch.cat([rows(part) for rows, part in parts], dim=1)

    def _evaluator(self, counts: Tensor, width: Tensor) -> _Rows:
        """Choose how the error of one block of channels is summed."""
        if _is_uniform(self._code):
            return _integrated(counts, width, self._code.max_value, self._half)
        levels = self._code.levels(_LEVELS)
        if levels is not None:
            values = torch.tensor(levels, dtype=torch.float64)
            return _by_cells(counts, width, values, self._half)
        return _sampled(counts, width, self._code, self._half)


def conversion_error(
    histogram: RangeHistogram, code: Code, scale: Tensor, rounding: bool
) -> Tensor:
    """Return the mean squared error of each channel's values after encoding and decoding.

    Args:
        histogram: What was seen.
        code: The code; S is its largest value.
        scale: λ > 0, one for all channels or "channels".
        rounding: Whether half a unit is added before the code floors.

    Returns:
        "channels", float64, in squared units of the values.

    Raises:
        CalibrationError: If a channel has seen no value.
        ShapeError: If ``scale`` is neither one number nor one per channel.

    Example:
        >>> from spikewright.codes import Radix
        >>> histogram = RangeHistogram(1)
        >>> histogram.update(torch.linspace(0.0, 1.0, 100_001).view(1, -1))
        >>> error = conversion_error(histogram, Radix(T=1), torch.tensor(1.0), rounding=True)
        >>> round(error.item(), 4)  # 1/12, that of rounding to 0 and 1
        0.0833
    """
    return SquaredError(histogram, code, rounding)(scale) / histogram.count


def mean_square(histogram: RangeHistogram) -> Tensor:
    """Return the mean square of each channel's values, spread in their bins as said above.

    Args:
        histogram: What was seen.

    Returns:
        "channels", float64.

    Raises:
        CalibrationError: If a channel has seen no value.
    """
    histogram.require_values()
    counts, highest = _split(histogram)
    b = torch.arange(histogram.bins, dtype=torch.float64)
    moments = (counts * (b * b + b + 1.0 / 3.0)).sum(1)
    total = moments * histogram.bin_width**2 + highest * histogram.max**2
    return total / histogram.count


def _split(histogram: RangeHistogram) -> tuple[Tensor, Tensor]:
    """Return the counts below the highest bin, "channels bins", and those in it, float64."""
    counts = histogram.counts.double()
    at = (histogram.max / histogram.bin_width).long()[:, None]
    highest = counts.gather(1, at).squeeze(1)
    return counts.scatter_(1, at, 0.0), highest


def _is_uniform(code: Code) -> bool:
    """Whether the code floors to the integers 0..S: whole weights without gaps between sums."""
    reach = 0.0
    for weight in sorted(code.weights):
        if weight != int(weight) or weight > reach + 1.0:
            return False
        reach += weight
    return True


def _integrated(counts: Tensor, width: Tensor, top: float, half: float) -> _Rows:
    """Integrate the error of a uniform quantiser with clipping over each bin.

    With u = a/Δ, n(u) = clip(floor(u + r), 0, S) and d = u - n, an antiderivative of (u - n(u))²
    that is continuous and zero at 0 is G(u) = d³/3 + n·(1/3 for r = 0, 1/12 for r = 1/2). The
    sum over bins of counts·(G(right) - G(left)) is taken by parts: one G for each bin edge.

    Args:
        counts: "rows bins".
        width: Bin width, "rows".
        top: S.
        half: r, 0 or 1/2.

    Returns:
        Function of Δ = λ/S, "tries rows", that gives the sums of squared errors, "tries rows".
    """
    falls = torch.zeros((counts.shape[0], counts.shape[1] + 1), dtype=torch.float64)
    falls[:, 1:] += counts
    falls[:, :-1] -= counts
    edges = torch.arange(falls.shape[1], dtype=torch.float64)

    def total(step: Tensor) -> Tensor:
        u = edges * (width / step)[..., None]
        n = (u + half).floor_().clamp_(max=top)
        d = u.sub_(n)
        g = n.mul_(1.0 / 12.0 if half else 1.0 / 3.0).addcmul_(d * d, d, value=1.0 / 3.0)
        return (g.mul_(falls).sum(-1) * step**3 / width).clamp_(min=0.0)

    return total


def _by_cells(counts: Tensor, width: Tensor, levels: Tensor, half: float) -> _Rows:
    """Sum the error cell by cell, where a cell is what the code writes as one value.

    Σ (a - l)² = Σ a² - Σ over cells of (2l·Σ a - l²·Σ 1): two cumulative moments at each start.

    Args:
        counts: "rows bins".
        width: Bin width, "rows".
        levels: The code's values in ascending order, float64.
        half: What is added before the code floors.

    Returns:
        As ``_integrated``.
    """
    last = counts.shape[1] - 1
    b = torch.arange(counts.shape[1], dtype=torch.float64)
    zeroth, first = (
        torch.nn.functional.pad(moment.cumsum(1), (1, 0)) for moment in (counts, counts * (b + 0.5))
    )
    squares = (counts * (b * b + b + 1.0 / 3.0)).sum(1)

    def total(step: Tensor) -> Tensor:
        unit = (step / width)[..., None]
        starts = ((levels - half) * unit).clamp_(0.0, last + 1.0)
        at = starts.long().clamp_(max=last)
        here, zeroth_, first_ = (m.expand(len(step), -1, -1) for m in (counts, zeroth, first))
        part = (starts - at) * here.gather(-1, at)
        below = zeroth_.gather(-1, at) + part
        sums = first_.gather(-1, at) + part * (at + starts) / 2.0
        held = torch.diff(below, append=zeroth_[..., -1:])
        sums = torch.diff(sums, append=first_[..., -1:])
        level = levels * unit
        written = (level * (2.0 * sums - level * held)).sum(-1)
        return ((squares - written) * width**2).clamp_(min=0.0)

    return total


def _sampled(counts: Tensor, width: Tensor, code: Code, half: float) -> _Rows:
    """Sum the error at evenly spread points of each bin; arguments and result as above."""
    points = (torch.arange(counts.shape[1] * _POINTS, dtype=torch.float64) + 0.5) / _POINTS

    def total(step: Tensor) -> Tensor:
        u = points * (width / step)[..., None]
        d = u - code.quantise_(u + half)
        errors = d.mul_(d).view(*step.shape, -1, _POINTS).sum(-1) / _POINTS
        return (errors * counts).sum(-1) * step**2

    return total
