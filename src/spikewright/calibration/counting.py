# SPDX-License-Identifier: Apache-2.0
"""Counting values into bins, tile by tile, so that the work stays in the processor's cache.

A site of an image network has millions of values an input, and counting them is what calibration
costs besides the network itself. A tile is read once and all passes over it happen in the cache;
PyTorch divides its channels among the threads. Every channel belongs to one thread and counts are
whole numbers, so that neither tiles nor threads can change a result.
"""

import torch
from torch import Tensor

__all__ = ["count_values"]

_TILE = 1 << 19  # elements: enough to pay for the threads that meet after every operator
_CHANNELS = 32  # of a tile, at least, where there are as many: a thread's rows of bins


def count_values(values: Tensor, scale: Tensor, counts: Tensor, *, clamp: bool) -> Tensor:
    """Add one to bin ⌊value·scale⌋ for every value; whatever is not above zero counts in bin 0.

    Args:
        values: "channels outer inner", floating, on the CPU, in any memory order. Not changed.
        scale: Bins per unit, powers of two, so that the product is exact; "channels", of the
            values' type.
        counts: "channels bins", int64; added to in place. No value lies above the last bin.
        clamp: Whether there are values below zero.

    Returns:
        How many values are not above zero, "channels", int64.
    """
    channels, outer, inner = values.shape
    positive = torch.zeros(channels, dtype=torch.float64)  # exact up to 2^53
    group, outer, inner = _tile_shape(channels, outer, inner)
    tile = _Tile(group * outer * inner, values.dtype)
    for first in range(0, channels, group):
        rows = slice(first, first + group)
        for piece in _pieces(values[rows], outer, inner):
            tile.count(piece, scale[rows], counts[rows], positive[rows], clamp)
    return values.shape[1] * values.shape[2] - positive.long()


class _Tile:
    """The memory that all tiles share: allocating costs more than counting."""

    def __init__(self, size: int, dtype: torch.dtype) -> None:
        self._values = torch.empty(size, dtype=dtype)
        self._places = torch.empty(size, dtype=torch.int64)
        self._one = torch.ones((), dtype=torch.int64)

    def count(self, piece: Tensor, scale: Tensor, bins: Tensor, above: Tensor, clamp: bool) -> None:
        """Add the values of a piece to ``bins`` and the number above zero to ``above``."""
        values = self._values[: piece.numel()].view(piece.shape)
        places = self._places[: piece.numel()].view(len(piece), -1)
        # Asked of the values themselves: what is scaled may underflow to zero.
        above += torch.gt(piece, 0.0, out=values).sum((1, 2))
        torch.mul(piece, scale[:, None, None], out=values)
        places.copy_((values.clamp_(min=0.0) if clamp else values).flatten(1))
        bins.scatter_add_(1, places, self._one.expand_as(places))


def _pieces(rows: Tensor, outer: int, inner: int) -> list[Tensor]:
    """Cut some channels, "channels outer inner", into tiles."""
    parts = torch.split(rows, outer, 1)
    return [piece for part in parts for piece in torch.split(part, inner, 2)]


def _tile_shape(channels: int, outer: int, inner: int) -> tuple[int, int, int]:
    """Choose how many channels, outer and inner samples of a tensor are counted at once."""
    group = min(channels, max(_CHANNELS, _TILE // (outer * inner)))
    inner = min(inner, max(1, _TILE // group))
    return group, min(outer, max(1, _TILE // (group * inner))), inner
