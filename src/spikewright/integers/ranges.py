# SPDX-License-Identifier: Apache-2.0
"""Worst cases: between which whole numbers every sum lies, whatever the input."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

__all__ = ["Range", "added", "covered", "hull", "multiplied", "weighted"]

Range = tuple[int, int]
"""Least and largest; 0 is always between them, so that partial sums lie there, too."""


def hull(values: Tensor) -> Range:
    """Return the range of some numbers and of 0."""
    low, high = (int(values.min()), int(values.max())) if values.numel() else (0, 0)
    return min(low, 0), max(high, 0)


def added(ranges: Iterable[Range]) -> Range:
    """Return the range of a sum."""
    found = tuple(ranges)
    return sum(low for low, _ in found), sum(high for _, high in found)


def multiplied(values: Tensor, x: Range) -> Range:
    """Return the range of one of some factors, int64, times a number of range ``x``."""
    low, high = hull(values)
    ends = [a * b for a in (low, high) for b in x]
    return min(ends), max(ends)


def weighted(weight: Tensor, x: Range, bias: Tensor | None = None) -> Range:
    """Return the range of a weighted sum, in any order of summation.

    Args:
        weight: int64, "output *input".
        x: Range of an input.
        bias: What is added over a train, "output".

    Example:
        >>> weighted(torch.tensor([[2, -3], [1, 1]]), (0, 7))
        (-21, 14)
    """
    flat = weight.flatten(1)
    positive, negative = flat.clamp(min=0).sum(1), flat.clamp(max=0).sum(1)
    high = positive * x[1] + negative * x[0]
    low = positive * x[0] + negative * x[1]
    if bias is not None:
        high, low = high + bias.clamp(min=0), low + bias.clamp(max=0)
    return hull(torch.cat((low, high)))


def covered(matrices: Sequence[Tensor], x: Range) -> Range:
    """Return the range of sums over windows, one matrix "output input" of multiples an axis."""
    most = 1
    for matrix in matrices:
        most *= int(matrix.abs().sum(1).max())
    return x[0] * most, x[1] * most
