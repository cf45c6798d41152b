# SPDX-License-Identifier: Apache-2.0
"""Counting values into bins, tile by tile, so that the work stays in the processor's cache.

A site of an image network has millions of values an input, and counting them is what calibration
costs besides the network itself. A tile is read once, in channel order, and all passes over it
happen in the cache. PyTorch splits an operator among threads from a certain size on, and the
threads wait for each other after every one; tiles stay below that size, and the channels of a
large tensor are divided among threads that wait for each other once. Every channel belongs to one
thread and counts are whole numbers, so that neither tiles nor threads can change a result.
"""

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

__all__ = ["count_values"]

_TILE = (1 << 15) - 1  # elements: PyTorch uses several threads from 2^15 on
_CHANNELS = 32  # of a tile, where there are enough samples: their bins stay in the cache
_WORTH_THREADS = 1 << 18  # elements: below half a millisecond threads do not pay


def count_values(values: Tensor, scale: Tensor, counts: Tensor, *, clamp: bool) -> Tensor:
    """Add one to bin ⌊value·scale⌋ for every value; whatever is not above zero counts in bin 0.

    Args:
        values: "channels outer inner", floating, on the CPU, in any memory order. Not changed.
        scale: Bins per unit, powers of two, so that the product is exact; "channels", of the
            values' type.
        counts: "channels bins", int64, contiguous; added to in place. No value lies above the
            last bin.
        clamp: Whether there are values below zero.

    Returns:
        How many values are not above zero, "channels", int64.
    """
    channels = len(values)
    positive = torch.zeros(channels, dtype=torch.float64)  # exact up to 2^53
    threads = torch.get_num_threads() if values.numel() >= _WORTH_THREADS else 1
    group, outer, inner = _tile_shape(values, threads)
    inference = torch.is_inference_mode_enabled()  # a mode of the thread, not of the process

    def count_groups(firsts: range) -> None:
        with torch.inference_mode(inference):
            tile = _Tile(group, counts.shape[1], scale.dtype)
            for first in firsts:
                rows = slice(first, first + group)
                tile.count(
                    _pieces(values[rows], outer, inner),
                    scale[rows, None],
                    counts[rows].view(-1),
                    positive[rows],
                    clamp,
                )

    shares = [range(thread * group, channels, threads * group) for thread in range(threads)]
    if threads == 1:
        count_groups(shares[0])
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(count_groups, shares))
    return values.shape[1] * values.shape[2] - positive.long()


class _Tile:
    """The memory in which one thread works."""

    def __init__(self, channels: int, bins: int, dtype: torch.dtype) -> None:
        self._values = torch.empty(_TILE, dtype=dtype)
        self._positive = torch.empty(_TILE, dtype=dtype)
        narrow = torch.int32 if channels * bins < 1 << 31 else torch.int64
        self._places = torch.empty(_TILE, dtype=narrow)
        self._first = torch.arange(channels, dtype=narrow)[:, None] * bins
        self._zero = torch.zeros((), dtype=dtype)
        self._ones = torch.ones((), dtype=torch.int64).expand(_TILE)
        self._views: dict[torch.Size, tuple[Tensor, ...]] = {}  # few shapes, many tiles

    def count(
        self, pieces: list[Tensor], scale: Tensor, bins: Tensor, positive: Tensor, clamp: bool
    ) -> None:
        """Add the values of a few channels to ``bins`` and the number above zero to ``positive``.

        A call takes about as long as its work on a tile, so everything else is done once.
        """
        for piece in pieces:
            views = self._views.get(piece.shape)
            if views is None:
                views = self._views[piece.shape] = self._viewed(piece.shape)
            loaded, values, is_positive, places, flat_places, first, ones = views
            loaded.copy_(piece)
            # Asked of the values themselves: what is scaled may underflow to zero.
            positive.add_(torch.gt(values, self._zero, out=is_positive).sum(1))
            values.mul_(scale)
            places.copy_(values.clamp_(min=0.0) if clamp else values).add_(first)
            bins.index_add_(0, flat_places, ones)

    def _viewed(self, shape: torch.Size) -> tuple[Tensor, ...]:
        """Return the memory as a tile of this shape needs it: "channels outer inner" and rows."""
        n, rows = shape.numel(), (shape[0], shape[1] * shape[2])
        return (
            self._values[:n].view(shape),
            self._values[:n].view(rows),
            self._positive[:n].view(rows),
            self._places[:n].view(rows),
            self._places[:n],
            self._first[: shape[0]],
            self._ones[:n],
        )


def _pieces(rows: Tensor, outer: int, inner: int) -> list[Tensor]:
    """Cut some channels, "channels outer inner", into tiles."""
    parts = torch.split(rows, outer, 1)
    if inner >= rows.shape[2]:
        return list(parts)
    return [piece for part in parts for piece in torch.split(part, inner, 2)]


def _tile_shape(values: Tensor, threads: int) -> tuple[int, int, int]:
    """Choose how many channels, outer and inner samples of a tensor are counted at once."""
    channels, outer, inner = values.shape
    group = _CHANNELS
    if values.stride(2) < values.stride(0):  # samples are neighbours in memory: long runs of them
        group = min(group, max(1, _TILE // inner))
    group = max(group, _TILE // (outer * inner))
    rounds = -(-channels // (group * threads))  # as many groups for every thread
    group = -(-channels // (rounds * threads))
    pieces = -(-inner * group // _TILE)
    inner = -(-inner // pieces)
    return group, max(1, _TILE // (group * inner)), inner
