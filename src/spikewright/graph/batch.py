# SPDX-License-Identifier: Apache-2.0
"""Where the batch is: the one place that everything asks which axis of a value holds the samples.

A size in a shape is a whole number, None (the batch alone), or :class:`Merged` (the batch between
other elements, as ``reshape(b * c // 2, 2, h * w)`` or ``permute(1, 0, 2)`` leave it). A value has
the batch on one axis or on none, where it is a constant.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import FileFormatError

__all__ = [
    "BatchAxis",
    "Merged",
    "Shape",
    "Size",
    "batch_axis",
    "batch_of",
    "decode_shape",
    "element_count",
    "encode_shape",
    "is_plain",
    "neuron_shape",
    "sizes",
]


@dataclass(frozen=True)
class Merged:
    """Size of an axis that holds the batch between other elements: ``outer · batch · inner``.

    Element ``(o · batch + n) · inner + i`` belongs to sample n.

    Attributes:
        outer: Elements in front of the batch.
        inner: Elements behind it.
    """

    outer: int = 1
    inner: int = 1


Size = int | None | Merged
Shape = tuple[Size, ...]


def sizes(shape: Sequence[Size], batch: int = 1) -> tuple[int, ...]:
    """Return a shape in numbers for a batch of the given size.

    Example:
        >>> sizes((None, 3)), sizes((Merged(2, 4), 3), batch=5)
        ((1, 3), (40, 3))
    """
    return tuple(
        batch if s is None else s.outer * batch * s.inner if isinstance(s, Merged) else s
        for s in shape
    )


def element_count(shape: Sequence[Size] | None) -> int:
    """Return the number of elements of one sample."""
    return math.prod(sizes(shape)) if shape else 0


@dataclass(frozen=True)
class BatchAxis:
    """The axis of a value that holds the batch, and what else is on it.

    Attributes:
        axis: Which one, from 0.
        outer: Elements in front of the batch on it.
        inner: Elements behind it.
    """

    axis: int = 0
    outer: int = 1
    inner: int = 1

    @property
    def is_plain(self) -> bool:
        """Whether it is axis 0 and holds the batch alone."""
        return self == BatchAxis()

    def size(self, x: Tensor) -> int:
        """Return how many samples a value holds."""
        return x.shape[self.axis] // (self.outer * self.inner)

    def split(self, x: Tensor, parts: int) -> Tensor:
        """Cut a value whose batch is "(part batch)" into parts that stand on a new first axis.

        Args:
            x: A value for ``parts`` times as many samples, part by part.
            parts: How many.

        Returns:
            "part *value".
        """
        if self.axis == 0 and self.outer == 1:
            return x.view(parts, x.shape[0] // parts, *x.shape[1:])
        samples = x.shape[self.axis] // (self.outer * self.inner * parts)
        before, behind = x.shape[: self.axis], x.shape[self.axis + 1 :]
        wide = x.reshape(*before, self.outer, parts, samples, self.inner, *behind)
        return wide.movedim(len(before) + 1, 0).flatten(len(before) + 1, len(before) + 3)

    def unsplit(self, x: Tensor) -> Tensor:
        """Undo :meth:`split`: put the parts on the first axis, one behind the other, in the batch.

        Args:
            x: "part *value".
        """
        if self.axis == 0 and self.outer == 1:
            return x.flatten(0, 1)
        axis = self.axis + 1
        wide = x.reshape(*x.shape[:axis], self.outer, -1, *x.shape[axis + 1 :])
        moved = wide.movedim(0, axis)  # outer behind part on axis: … outer part (batch inner)
        return moved.flatten(axis - 1, axis + 1)

    def first(self, x: Tensor) -> Tensor:
        """Return a value as "batch *neuron", samples first; see :func:`neuron_shape`."""
        if self.is_plain:
            return x
        before, behind = x.shape[: self.axis], x.shape[self.axis + 1 :]
        wide = x.reshape(*before, self.outer, -1, self.inner, *behind).movedim(len(before) + 1, 0)
        alone = self.outer * self.inner == 1
        rest = (*before, *behind) if alone else (*before, self.outer * self.inner, *behind)
        return wide.reshape(wide.shape[0], *rest)

    def each_first(self, train: Tensor) -> Tensor:
        """Return "time *value" as "time batch *neuron"."""
        return train if self.is_plain else torch.stack([self.first(x) for x in train])

    def each_back(self, train: Tensor) -> Tensor:
        """Undo :meth:`each_first`."""
        return train if self.is_plain else torch.stack([self.back(x) for x in train])

    def back(self, x: Tensor) -> Tensor:
        """Undo :meth:`first`.

        Args:
            x: "batch *neuron".
        """
        if self.is_plain:
            return x
        alone = self.outer * self.inner == 1
        if alone:
            return x.movedim(0, self.axis)
        at = self.axis + 1
        wide = x.reshape(*x.shape[:at], self.outer, self.inner, *x.shape[at + 1 :])
        return wide.movedim(0, at).flatten(self.axis, self.axis + 2)


def batch_axis(shape: Sequence[Size] | None) -> BatchAxis | None:
    """Return where a value of this shape holds the batch, None if nowhere (a constant)."""
    for axis, size in enumerate(shape or ()):
        if size is None:
            return BatchAxis(axis)
        if isinstance(size, Merged):
            return BatchAxis(axis, size.outer, size.inner)
    return None


def batch_of(shape: Sequence[Size] | None) -> BatchAxis:
    """Return where a value holds the batch; the first axis where it holds none."""
    return batch_axis(shape) or BatchAxis()


def is_plain(shape: Sequence[Size] | None) -> bool:
    """Tell whether the batch is axis 0 and alone there."""
    found = batch_axis(shape)
    return found is not None and found.is_plain


def neuron_shape(shape: Sequence[Size]) -> tuple[int, ...]:
    """Return the shape of one sample's elements: without the batch.

    Where the batch is merged with other elements, those stay as an axis.

    Example:
        >>> neuron_shape((None, 3, 4)), neuron_shape((2, Merged(1, 4), 3)), neuron_shape((2, None))
        ((3, 4), (2, 4, 3), (2,))
    """
    found, numbers = batch_axis(shape), sizes(shape)
    if found is None or found.outer * found.inner != 1:
        return numbers
    return numbers[: found.axis] + numbers[found.axis + 1 :]


def join(parts: Sequence[Tensor], shape: Sequence[Size]) -> Tensor:
    """Put the parts of a batch together again.

    Args:
        parts: One value for each part.
        shape: The value's shape.
    """
    found = batch_axis(shape)
    if found is None:
        return parts[0]
    if found.outer == 1:
        return torch.cat(list(parts), found.axis)
    return found.back(torch.cat([found.first(p) for p in parts]))


def encode_shape(shape: Shape) -> list[Any]:
    """Return a shape as JSON-able data."""
    return [[s.outer, s.inner] if isinstance(s, Merged) else s for s in shape]


def decode_shape(data: Any) -> Shape:  # noqa: ANN401 - JSON value
    """Read what :func:`encode_shape` wrote.

    Raises:
        FileFormatError: If it is something else.
    """
    found: list[Size] = []
    for size in data if isinstance(data, list) else [data]:
        merged = isinstance(size, list) and len(size) == 2
        numbers = size if merged else [] if size is None else [size]
        if not isinstance(data, list) or any(type(n) is not int or n < 0 for n in numbers):
            raise FileFormatError(f"graph: expected a shape, got {data!r}. Save the file again.")
        found.append(Merged(*size) if merged else size)
    return tuple(found)
