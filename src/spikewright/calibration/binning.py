# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of bins whose ranges and widths are powers of two; all of it exact."""

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "LOWEST_EXPONENT",
    "coarsen",
    "exponents_of",
    "flat",
    "is_sound",
    "log2",
    "order_statistic",
    "power_of_two",
]

LOWEST_EXPONENT = -64
"""Ranges below 2^-64 are not told apart; such values share the first bin."""


def log2(bins: int) -> int:
    """Return the logarithm of a power of two."""
    return bins.bit_length() - 1


def exponents_of(highest: Tensor) -> Tensor:
    """Return e of the smallest range [0, 2^e) that holds each value, int64."""
    _, exponents = torch.frexp(highest)  # value = m·2^e with m in [0.5, 1)
    exponents = exponents.long().clamp_(min=LOWEST_EXPONENT)
    exponents[highest <= 0.0] = LOWEST_EXPONENT
    return exponents


def power_of_two(exponents: Tensor) -> Tensor:
    """Return 2^e exactly, float64."""
    return torch.from_numpy(np.ldexp(1.0, exponents.numpy()))


def coarsen(counts: Tensor, doublings: Tensor) -> Tensor:
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


def flat(values: Tensor) -> Tensor:
    """Flatten in memory order, without a copy where the tensor has no gaps."""
    order = sorted(range(values.ndim), key=values.stride, reverse=True)
    return values.permute(order).reshape(-1)


def order_statistic(
    counts: Tensor, width: Tensor, highest: Tensor, zeros: Tensor, j: Tensor
) -> Tensor:
    """Return the j-th smallest value of each channel, to within a bin.

    Values count as evenly spread in their bin; the largest is exact.

    Args:
        counts: Values above zero in each bin, "channels bins", int64.
        width: Bin width, "channels".
        highest: Largest value, "channels", 0 if none is above zero.
        zeros: Values at zero, "channels".
        j: Which value, from 0, "channels", int64.

    Returns:
        "channels", float64; 0 where there are no values.
    """
    cumulative = counts.cumsum(1)
    total = cumulative[:, -1] + zeros
    inside = (j - zeros).clamp_(min=0)[:, None]
    at = torch.searchsorted(cumulative, inside, right=True).clamp_(max=counts.shape[1] - 1)
    held = counts.gather(1, at).clamp_(min=1)
    before = cumulative.gather(1, at) - held
    value = (at + (inside - before + 0.5) / held).squeeze(1) * width
    value = torch.where(j >= total - 1, highest, torch.minimum(value, highest))
    return torch.where((j < zeros) | (total == 0), 0.0, value)


def is_sound(counts: Tensor, zeros: Tensor, exponents: Tensor, highest: Tensor) -> bool:
    """Whether a histogram's content is one that values lead to; see ``RangeHistogram``."""
    if not bool(torch.isfinite(highest).all() and (counts >= 0).all() and (zeros >= 0).all()):
        return False
    if not torch.equal(exponents, exponents_of(highest)):
        return False
    at = (highest / power_of_two(exponents - log2(counts.shape[1]))).long()[:, None]
    held = counts.gather(1, at).squeeze(1) > 0
    up_to = counts.cumsum(1).gather(1, at).squeeze(1)
    return torch.equal(held, highest > 0.0) and torch.equal(up_to, counts.sum(1))
