# SPDX-License-Identifier: Apache-2.0
"""Decoded trains as bytes, "batch side channel …": an ON/OFF pair has its OFF side behind ON."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "from_numbers",
    "gathered",
    "joined",
    "moved",
    "moves",
    "numbers",
    "pooled",
    "reshaped",
    "sides",
]


def sides(x: Tensor, count: int, shape: Sequence[int]) -> Tensor:
    """Return bytes "batch (side channel) …" as "batch side *shape"."""
    return x.reshape(len(x), count, *shape)


def _together(x: Tensor) -> Tensor:
    """Undo :func:`sides`: sides of channels one behind the other, maps channels last."""
    x = x.flatten(1, 2) if x.ndim > 2 else x
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x.contiguous()


def numbers(x: Tensor, signed: bool, shape: Sequence[int]) -> Tensor:
    """Return the whole numbers that bytes stand for, float64, "batch *shape"."""
    if not signed:
        return x.to(torch.float64).reshape(len(x), *shape)
    on, off = sides(x, 2, shape).unbind(1)
    return on.to(torch.float64).sub_(off)


def from_numbers(n: Tensor, signed: bool) -> Tensor:
    """Return whole numbers up to 255, "batch *shape", as bytes."""
    if not signed:
        return _together(n.to(torch.uint8).unsqueeze(1))
    return _together(torch.stack((n.clamp(min=0), (-n).clamp(min=0)), 1).to(torch.uint8))


def reshaped(x: Tensor, count: int, shape: Sequence[int]) -> Tensor:
    """Return the same elements in another shape, on every side."""
    return _together(sides(x, count, shape))


def gathered(x: Tensor, count: int, index: Tensor) -> Tensor:
    """Return elements of flattened bytes, on every side; -1 is 0."""
    flat = x.reshape(len(x), count, -1)
    moved = flat[:, :, index.flatten().clamp(min=0)]
    if bool((index < 0).any()):
        moved = moved * (index.flatten() >= 0)
    return _together(moved.reshape(len(x), count, *index.shape))


Move = tuple[slice, int, int]
"""What is taken along an axis, and how many zeros come before and behind it."""


def moves(index: Tensor, shape: Sequence[int]) -> tuple[Move, ...] | None:
    """Write elements of a map that are taken as slices with zeros around them.

    Args:
        index: Where each element comes from in the flattened map; -1 is 0.
        shape: "channel row column" of the map.

    Returns:
        One move for each axis; None if it is no such thing.
    """
    if index.ndim != 3 or len(shape) != 3 or not bool((index >= 0).any()):
        return None
    taken = index >= 0
    rest, places = index, []
    for size in reversed(shape):
        places.append(torch.where(taken, rest % size, -1))
        rest = torch.div(rest, size, rounding_mode="floor")
    found: list[Move] = []
    rebuilt, known = torch.zeros_like(index), torch.ones_like(taken)
    for axis, place in enumerate(reversed(places)):
        others = [a for a in range(3) if a != axis]
        own = place.amax(others)
        inside = torch.nonzero(own >= 0).flatten()
        first, last = int(inside[0]), int(inside[-1])
        step = int(own[first + 1] - own[first]) if last > first else 1
        start = int(own[first])
        count = last - first + 1
        if step < 1 or own[first : last + 1].tolist() != [start + i * step for i in range(count)]:
            return None
        cut = slice(start, start + (count - 1) * step + 1, step)
        found.append((cut, first, len(own) - 1 - last))
        form = [-1 if a == axis else 1 for a in range(3)]
        rebuilt = rebuilt * shape[axis] + own.reshape(form).clamp(min=0)
        known = known & (own.reshape(form) >= 0)
    return tuple(found) if torch.equal(torch.where(known, rebuilt, -1), index) else None


def moved(x: Tensor, axes: Sequence[Move]) -> Tensor:
    """Return slices of maps, "batch channel row column", with zeros around them."""
    x = x[:, axes[0][0], axes[1][0], axes[2][0]]
    sides = [n for _, before, behind in reversed(axes) for n in (before, behind)]
    return F.pad(x, sides) if any(sides) else x


def joined(
    parts: Sequence[tuple[Tensor, int, Sequence[int]]], count: int, shape: Sequence[int]
) -> Tensor:
    """Put bytes one behind the other, each (bytes, sides, shape); a missing side is silent."""
    if count == 1 and all(len(own) == 3 and own[1:] == shape[1:] for _, _, own in parts):
        return torch.cat([x for x, _, _ in parts], 1)
    flat = []
    for x, own, _ in parts:
        value = x.reshape(len(x), own, -1)
        flat.append(value if own == count else F.pad(value, (0, 0, 0, count - own)))
    return _together(torch.cat(flat, 2).reshape(len(flat[0]), count, *shape))


def pooled(x: Tensor, count: int, how: Mapping[str, Any]) -> Tensor:
    """Return the largest of each window: bytes order like their trains.

    Args:
        x: "batch (side channel) …".
        count: Sides; where all of a window are negative, the least OFF side passes.
        how: Settings of a ``max``.

    Returns:
        "batch (side channel) row column".
    """
    channels, rows, columns = how["input"]
    maps = x.reshape(len(x), count * channels, rows, columns)
    maps = maps.contiguous(memory_format=torch.channels_last)
    if count == 1:
        return _largest(maps, how)
    on, off = maps[:, :channels], maps[:, channels:]
    return torch.cat((_largest(on, how), 255 - _largest(255 - off, how)), 1)


def _largest(x: Tensor, how: Mapping[str, Any]) -> Tensor:
    """Return maxima over windows, along rows and then along columns, by shifted copies."""
    for axis in (0, 1):
        kernel, stride, dilation = (how[w][axis] for w in ("kernel", "stride", "dilation"))
        before, after = how["padding"][axis]
        if before or after:
            x = F.pad(x, (0, 0, before, after) if axis == 0 else (before, after))
        count = how["output"][1 + axis]
        views = []
        for k in range(kernel):
            start = k * dilation
            cut = slice(start, start + (count - 1) * stride + 1, stride)
            views.append(x[:, :, cut] if axis == 0 else x[:, :, :, cut])
        best = views[0]
        for view in views[1:]:
            best = torch.maximum(best, view)
        x = best
    return x
