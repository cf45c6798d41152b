# SPDX-License-Identifier: Apache-2.0
"""Moving elements, and sums of them, under the names of few operators.

``tile``, ``hstack`` and its sisters, ``rot90``, ``squeeze()``, ``gather``; ``cumsum`` and ``diff``
are sums with a constant matrix of ones.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.build import Rewrite, Rule, batch_position, shape_of
from spikewright.graph.constants import numbers_samples
from spikewright.graph.ir import Node, Ref

__all__ = ["RULES"]


def _tile(w: Rewrite) -> bool:
    x = w.value(w.node.args[0])
    times = tuple(w.node.args[1])
    if x is None:
        return False
    ones = max(0, len(shape_of(x)) - len(times))
    repeats = (1,) * ones + times
    return w.finish(w.call("aten.repeat.default", x, repeats, shape=w.shape))


def _stacked(axis: int, least: int) -> Callable[[Rewrite], bool]:
    """Return the rule of hstack, vstack, dstack or column_stack."""

    def rule(w: Rewrite) -> bool:
        parts = [w.value(p) for p in w.node.args[0]]
        found: list[Node] = []
        for part in parts:
            if part is None or len(shape_of(part)) < 2:
                return False
            made = part
            while len(shape_of(made)) < least:
                made = w.insert_axis(made, len(shape_of(made)))
            found.append(made)
        whole = w.call("aten.cat.default", tuple(found), axis, shape=w.shape)
        return w.finish(whole)

    return rule


def _rot90(w: Rewrite) -> bool:
    x = w.value(w.node.args[0])
    turns, axes = int(w.arg(1, "k", 1)) % 4, w.arg(2, "dims", (0, 1))
    if x is None:
        return False
    ndim = len(shape_of(x))
    first, second = (int(a) % ndim for a in axes)
    swapped = list(range(ndim))
    swapped[first], swapped[second] = second, first
    if turns == 0:
        return w.finish(x)
    if turns == 2:
        return w.finish(w.flip(x, (first, second)))
    turned = w.flip(x, (second,) if turns == 1 else (first,))
    return w.finish(w.permute(turned, swapped))


def _flipped(axis: int) -> Rule:
    """Return the rule of fliplr or flipud."""

    def rule(w: Rewrite) -> bool:
        x = w.value(w.node.args[0])
        return x is not None and w.finish(w.flip(x, (axis,)))

    return rule


def _squeeze(w: Rewrite) -> bool:
    """squeeze() takes away the axes that have size 1 for every batch, never the batch."""
    x = w.value(w.node.args[0])
    if x is None:
        return False
    return w.finish(w.drop_axes(x, [a for a, s in enumerate(shape_of(x)) if s == 1]))


def _gather(w: Rewrite) -> bool:
    """Elements along an axis, chosen by a constant index of its own for every position."""
    x, index = w.value(w.node.args[0]), w.constant(w.node.args[2])
    if x is None or index is None:
        return False
    shape, out = shape_of(x), w.shape
    batch = batch_position(shape)
    axis = int(w.node.args[1]) % len(shape)
    if batch is None or axis == batch or index.shape[batch] != 1:
        return False
    rest = [a for a in range(len(shape)) if a != batch]
    sizes, wanted = [shape[a] for a in rest], [out[a] for a in rest]
    numbers = torch.arange(math.prod(sizes)).reshape(sizes)
    numbers = numbers.gather(rest.index(axis), index.select(batch, 0))
    flat = w.reshape(w.permute(x, [batch, *rest]), (shape[batch], math.prod(sizes)))
    chosen = w.choose(flat, 1, numbers.reshape(-1))
    y = w.reshape(chosen, (shape[batch], *wanted))
    order = [batch, *rest]
    return w.finish(w.permute(y, [order.index(a) for a in range(len(shape))]))


def _index(w: Rewrite) -> bool:
    """``x[samples, places]``: every sample's own elements at constant places.

    The masks of Hugging Face are made so, with axes of size 1 between samples and places.
    """
    x, indices = w.value(w.node.args[0]), w.node.args[1]
    shape, out = w.shape, list(w.shape)
    if x is None or batch_position(shape_of(x)) != 0 or None in indices:
        return False
    own, fixed = indices[0], [w.constant(i) for i in indices[1:]]
    at = batch_position(shape)
    if at is None or not isinstance(own, Ref) or not numbers_samples(w.graph, own.name):
        return False
    places = [c for c in fixed if c is not None and c.dtype == torch.int64]
    if len(places) != len(fixed):
        return False
    lengths = shape_of(x)[1 : len(indices)]
    numbers = torch.zeros((), dtype=torch.int64)
    for place, length in zip(places, lengths, strict=True):
        numbers = numbers * length + place % length
    rest = shape_of(x)[len(indices) :]
    del out[at]
    chosen = out[: len(out) - len(rest)]  # the sizes of the places; the samples' axis goes in front
    if math.prod(chosen) != numbers.numel():
        return False
    y = w.reshape(x, (shape_of(x)[0], math.prod(lengths), *rest))
    numbers = numbers.reshape(-1)
    if not torch.equal(numbers, torch.arange(math.prod(lengths))):
        y = w.choose(y, 1, numbers)
    y = w.reshape(y, (shape_of(x)[0], *chosen, *rest))
    return w.finish(w.move(y, 0, at))


def _cumsum(w: Rewrite) -> bool:
    x = w.value(w.node.args[0])
    shape = w.shape
    axis = int(w.arg(1, "dim")) % len(shape)
    if x is None or not isinstance(shape[axis], int):
        return False
    return w.finish(_summed(w, x, axis, torch.ones(shape[axis], shape[axis]).tril()))


def _diff(w: Rewrite) -> bool:
    """Differences of neighbours, n times over."""
    parts = [w.arg(3, "prepend"), w.node.args[0], w.arg(4, "append")]
    values = [w.value(p) for p in parts if p is not None]
    shape = w.shape
    axis = int(w.arg(2, "dim", -1)) % len(shape)
    if any(v is None or not isinstance(shape_of(v)[axis], int) for v in values):
        return False
    y = w.cat([v for v in values if v is not None], axis)
    for _ in range(int(w.arg(1, "n", 1))):
        size = shape_of(y)[axis]
        matrix = torch.eye(size)[1:] - torch.eye(size)[:-1]
        y = _summed(w, y, axis, matrix)
    return w.finish(y)


def _summed(w: Rewrite, x: Node, axis: int, matrix: Tensor) -> Node:
    """Sum whole multiples of the elements along an axis, ``"output input"``."""
    shape = shape_of(x)
    y = w.move(x, axis, len(shape) - 1)
    flat = len(shape) == 2
    y = w.insert_axis(y, 1) if flat else y
    sums = (*shape_of(y)[:-1], matrix.shape[0])
    y = w.call(ops.WINDOW_SUM, y, w.param("windows", matrix), shape=sums)
    y = w.drop_axes(y, [1]) if flat else y
    return w.move(y, len(shape) - 1, axis)


def _fold(w: Rewrite) -> bool:
    """nn.Fold of patches that do not overlap: each goes to a place of its own."""
    x = w.value(w.node.args[0])
    if x is None or len(shape_of(x)) != 3:
        return False
    size, kernel, dilation, padding, stride = (_pair(a) for a in w.node.args[1:6])
    fits = all(n % k == 0 for n, k in zip(size, kernel, strict=True))
    if stride != kernel or padding != (0, 0) or dilation != (1, 1) or not fits:
        return False
    (rows, columns), (high, wide) = kernel, (n // k for n, k in zip(size, kernel, strict=True))
    batch, channels = shape_of(x)[0], shape_of(x)[1] // (rows * columns)
    y = w.reshape(x, (batch, channels, rows, columns, high, wide))
    y = w.permute(y, [0, 1, 4, 2, 5, 3])
    return w.finish(w.reshape(y, (batch, channels, *size)))


def _pair(value: Sequence[int]) -> tuple[int, int]:
    one, *rest = (int(v) for v in value)
    return one, rest[0] if rest else one


RULES: Mapping[str, Rule] = {
    "aten.tile.default": _tile,
    "aten.hstack.default": _stacked(1, 2),
    "aten.column_stack.default": _stacked(1, 2),
    "aten.vstack.default": _stacked(0, 2),
    "aten.dstack.default": _stacked(2, 3),
    "aten.rot90.default": _rot90,
    "aten.fliplr.default": _flipped(1),
    "aten.flipud.default": _flipped(0),
    "aten.squeeze.default": _squeeze,
    "aten.gather.default": _gather,
    "aten.index.Tensor": _index,
    "aten.cumsum.default": _cumsum,
    "aten.diff.default": _diff,
    "aten.col2im.default": _fold,
}
