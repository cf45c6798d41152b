# SPDX-License-Identifier: Apache-2.0
"""Counts the set bits of integers held in floating point, the closed form of a binary spike count.

The count touches every activation of a network, so it is written for speed: on the CPU, bytes go
through NumPy's vectorised instruction; on other devices the classic parallel sum within 32-bit
words does the same with additions and masks. Both give equal results (tested).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["popcount", "popcount_parallel"]


def popcount(n: Tensor, bits: int, signed: bool = True) -> Tensor:
    """Count the ones in the binary form of ``|n|``.

    Args:
        n: Integers in a floating tensor, any shape, ``|n| < 2**bits``.
        bits: Number of binary digits, 1 to 24.
        signed: Whether negative values may occur; False saves a pass.

    Returns:
        Counts, uint8, same shape.

    Example:
        >>> popcount(torch.tensor([0.0, 5.0, -7.0, 255.0]), 8)
        tensor([0, 2, 3, 8], dtype=torch.uint8)
    """
    if n.device.type != "cpu":
        return popcount_parallel(n)
    counts = torch.empty_like(n, dtype=torch.uint8)  # lies in memory as n does, if that is dense
    whole, out = _in_order(n), _in_order(counts)
    if whole is None or out is None:
        return popcount(n.contiguous(), bits, signed)
    kind = next(k for k, most in _KINDS if bits <= most)
    _count(whole, out, kind, signed)
    return counts


_PIECE = 1 << 18
"""Numbers that are turned into integers at once, so that these stay in the processor's cache."""

_KINDS = (("uint8", 8), ("uint16", 16), ("int32", 31))
"""The smallest integer that holds so many bits."""


def _in_order(x: Tensor) -> Any:  # noqa: ANN401 - an array
    """Return a dense tensor's numbers as one row, in the order of memory, without copying."""
    if x.is_contiguous():
        return x.detach().view(-1).numpy()
    if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return x.detach().permute(0, 2, 3, 1).reshape(-1).numpy()
    return None


def _count(numbers: Any, out: Any, kind: str, signed: bool) -> None:  # noqa: ANN401 - arrays
    size = min(_PIECE, numbers.size)
    integers, magnitudes = np.empty(size, kind), np.empty(size if signed else 0, numbers.dtype)
    for start in range(0, numbers.size, _PIECE):
        part = numbers[start : start + _PIECE]
        if signed:
            part = np.abs(part, out=magnitudes[: part.size])
        whole = integers[: part.size]
        np.copyto(whole, part, casting="unsafe")
        if kind == "uint16":  # NumPy counts bytes several times as fast as wider integers
            octets = whole.view("uint8")
            np.bitwise_count(octets, out=octets)
            np.add(whole, whole >> 8, out=whole)
            np.copyto(out[start : start + _PIECE], whole, casting="unsafe")  # the lower byte
        else:
            np.bitwise_count(whole, out=out[start : start + _PIECE])


def popcount_parallel(n: Tensor) -> Tensor:
    """Count the ones of ``|n|`` with tensor operations only; see ``popcount``.

    Args:
        n: Integers in a floating tensor, any shape and device, ``|n| < 2**24``.

    Returns:
        Counts, uint8, same shape.

    References:
        H. S. Warren, Hacker's Delight, 2nd edition, 2012, section 5-1.
    """
    x = n.to(torch.int32).abs_()
    x -= (x >> 1) & 0x55555555
    x = (x & 0x33333333) + ((x >> 2) & 0x33333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F
    x += x >> 8
    x += x >> 16
    return (x & 0x3F).to(torch.uint8)
