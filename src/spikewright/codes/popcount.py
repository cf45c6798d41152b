# SPDX-License-Identifier: Apache-2.0
"""Counts the set bits of integers held in floating point, the closed form of a binary spike count.

The count touches every activation of a network, so it is written for speed: on the CPU, bytes go
through NumPy's vectorised instruction; on other devices the classic parallel sum within 32-bit
words does the same with additions and masks. Both give equal results (tested).
"""

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
    integers = n.to(torch.int16 if bits <= 15 else torch.int32)
    if bits <= 8:
        integers = (integers.abs_() if signed else integers).to(torch.uint8)
    # For wider signed integers NumPy counts the bits of the absolute value.
    return torch.from_numpy(np.asarray(np.bitwise_count(integers.numpy())))


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
