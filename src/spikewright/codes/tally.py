# SPDX-License-Identifier: Apache-2.0
"""Spikes of each neuron, summed over inputs; those of a binary code are the ones of an integer.

The count touches every activation of a network, so it is written for speed: on the CPU, a piece
of all inputs at a time becomes integers, and one machine instruction counts the ones of as many
neighbours as lie in 64 bits, where they need not be told apart. On other devices the classic
parallel sum within 32-bit words does the same with additions and masks. Both give equal results
(tested).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

__all__ = ["OnesTally", "SumTally", "Tally", "popcount"]


@runtime_checkable
class Tally(Protocol):
    """Spikes of each neuron of one population over all inputs that were shown."""

    def add(self, n: Tensor) -> None:
        """Add the spikes of decoded trains, "batch *neuron"; later batches have equal neurons."""
        ...

    def total(self) -> Tensor:
        """Return the spikes so far, int64, "*neuron"; at least one batch must have been added.

        Neighbours that need not be told apart may be told together: their sum then stands at one
        of them, and zeros at the others.
        """
        ...


class SumTally:
    """Adds whatever a function says that each train holds.

    Args:
        count: Decoded trains to whole numbers of the same shape.
        worth: Spikes that one of these stands for.

    Example:
        >>> tally = SumTally(torch.abs)
        >>> tally.add(torch.tensor([[1.0, -2.0], [3.0, 4.0]]))
        >>> tally.total()
        tensor([4, 6])
    """

    def __init__(self, count: Callable[[Tensor], Tensor], worth: int = 1) -> None:
        self._count, self._worth = count, worth
        self._total = torch.zeros((), dtype=torch.int64)
        self.empty = True

    def add(self, n: Tensor) -> None:
        """Add the spikes of decoded trains; see `Tally`."""
        counts, axes = self._count(n), _order(n)
        lying = counts.permute(0, *(a + 1 for a in axes))
        if lying.dtype == torch.uint8 and lying.device.type == "cpu":  # NumPy sums bytes quickest
            parts = [p.numpy().sum(0, dtype="uint16") for p in torch.split(lying, 65535 // 255)]
            found = torch.from_numpy(np.asarray(np.sum(parts, 0, dtype="int64")))
        else:
            found = lying.sum(0, dtype=torch.int64)
        self._total = _back(found, axes).add_(self._total.to(n.device))
        self.empty = False

    def total(self) -> Tensor:
        """Return the spikes so far; see `Tally`."""
        return self._total * self._worth


class OnesTally:
    """Adds the ones in the binary form of ``|n|``, integers held in floating point.

    Args:
        bits: Number of binary digits, 1 to 24: ``|n| < 2**bits``.
        signed: Whether negative values may occur; False saves a pass.
        alike: Numbers of each neuron, "*neuron"; neighbours in memory that have equal ones in all
            of these need not be told apart. None: all neurons are.

    Example:
        >>> tally = OnesTally(bits=8)
        >>> tally.add(torch.tensor([[0.0, 5.0], [-7.0, 255.0]]))
        >>> tally.total()
        tensor([ 3, 10])
    """

    def __init__(
        self, bits: int, signed: bool = True, alike: Sequence[Tensor] | None = None
    ) -> None:
        kinds = next(kinds for most, kinds in _KINDS if bits <= most)
        self._kinds = kinds if signed or bits != 16 else kinds[1:]
        self._size = self._kinds[-1].itemsize
        self._signed = signed
        self._alike = alike
        self._rest = SumTally(popcount)
        self._axes: tuple[int, ...] = ()  # of the neurons, in the order of memory
        self._shape: tuple[int, ...] = ()  # likewise
        self._strides: tuple[int, ...] | None = None  # of a batch that lies so
        self._values = 0
        self._unit: Any = np.dtype("uint8")  # what is counted at once: a byte or a word
        self._sums: Any = None  # of each unit; those of the latest inputs are not yet in it
        self._latest: Any = None
        self._inputs = 0

    def add(self, n: Tensor) -> None:
        """Add the spikes of decoded trains; see `Tally`."""
        if self._strides is None and n.device.type == "cpu" and n.numel():
            self._open(n)
        if n.stride() != self._strides or not n.numel():
            self._rest.add(n)
            return
        rows = n.detach().as_strided((len(n), self._values), (n.stride(0), 1))
        for some in (rows,) if len(n) <= _MOST else torch.split(rows, _MOST):
            self._add(some)

    def _open(self, n: Tensor) -> None:
        axes, one = _order(n), n[0]
        lying = one.permute(axes)
        if not lying.is_contiguous():
            return
        self._axes, self._shape, self._strides = axes, tuple(lying.shape), n.stride()
        self._values = one.numel()
        octets, word = self._values * self._size, 8 // self._size
        if self._alike is not None and octets % 8 == 0:
            together = (w.permute(axes).reshape(-1, word) for w in self._alike)
            if all(bool((w == w[:, :1]).all()) for w in together):
                self._unit = np.dtype("uint64")
        units = octets // self._unit.itemsize
        self._sums, self._latest = np.zeros(units, "int64"), np.zeros(units, "uint16")

    def _add(self, rows: Tensor) -> None:
        if self._inputs + len(rows) > _MOST:
            self._spill()
        self._inputs += len(rows)
        width = max(8, _PIECE // len(rows) // 8 * 8)
        at = 0
        for part in (rows,) if width >= rows.shape[1] else torch.split(rows, width, 1):
            numbers = part.to(self._kinds[0]).abs_() if self._signed else part
            for kind in self._kinds:
                numbers = numbers.to(kind)
            ones = np.bitwise_count(numbers.numpy().view(self._unit)).sum(0, dtype="uint16")
            self._latest[at : at + len(ones)] += ones
            at += len(ones)

    def _spill(self) -> None:
        self._sums += self._latest
        self._latest.fill(0)
        self._inputs = 0

    def total(self) -> Tensor:
        """Return the spikes so far; see `Tally`."""
        if self._strides is None:
            return self._rest.total()
        self._spill()
        sums = torch.from_numpy(self._sums)
        if self._unit.itemsize > self._size:
            found = sums.new_zeros(self._shape)
            found.view(-1)[:: self._unit.itemsize // self._size] = sums
        else:
            found = sums.view(*self._shape, -1).sum(-1)
        found = _back(found, self._axes)
        return found if self._rest.empty else found.add_(self._rest.total().cpu())


_MOST = 65535 // 64
"""Inputs whose ones in a word 16 bits hold."""

_PIECE = 1 << 20
"""Numbers that are turned into integers at once, so that these stay in the processor's cache."""

_KINDS: tuple[tuple[int, tuple[torch.dtype, ...]], ...] = (
    (7, (torch.int8,)),
    (8, (torch.int16, torch.uint8)),
    (15, (torch.int16,)),
    (16, (torch.int32, torch.uint16)),
    (31, (torch.int32,)),
)
"""Integers that hold so many bits, by the way on which PyTorch turns floats into them fastest; the
first one has a sign."""


def _order(n: Tensor) -> tuple[int, ...]:
    """Return the axes of "*neuron" in the order in which they lie in memory."""
    strides = n.stride()[1:]
    return tuple(sorted(range(len(strides)), key=strides.__getitem__, reverse=True))


def _back(found: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return the axes of "*neuron" from the order of memory to their own."""
    return found.permute(sorted(range(len(axes)), key=axes.__getitem__))


def popcount(n: Tensor) -> Tensor:
    """Count the ones in the binary form of ``|n|`` with tensor operations only.

    Args:
        n: Integers in a floating tensor, any shape and device, ``|n| < 2**24``.

    Returns:
        Counts, uint8, same shape.

    Example:
        >>> popcount(torch.tensor([0.0, 5.0, -7.0, 255.0]))
        tensor([0, 2, 3, 8], dtype=torch.uint8)

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
