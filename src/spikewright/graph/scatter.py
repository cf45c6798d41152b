# SPDX-License-Identifier: Apache-2.0
"""Assignment to a part of a value, as concatenation and choice of elements.

``y[:, :2] = x``, ``y[:, [0, 3]] = x``, ``y[:, 1] = x``, ``index_copy``, ``index_add``,
``slice_scatter``: torch.export writes an assignment as a new value in which some places along one
axis are taken from elsewhere.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from spikewright.graph.build import Rewrite, Rule, batch_position
from spikewright.graph.ir import Arg, Node

__all__ = ["RULES"]


def _copy(w: Rewrite) -> bool:
    """``y.copy_(x)``: x in the shape of y."""
    x = w.value(w.node.args[1])
    return x is not None and w.finish(w.expand(x, w.shape))


def _slice_scatter(w: Rewrite) -> bool:
    size = w.shape[int(w.arg(2, "dim", 0))]
    start, stop, step = w.arg(3, "start"), w.arg(4, "end"), w.arg(5, "step", 1)
    if not isinstance(size, int):
        whole = start in (None, 0) and (stop is None or stop >= 2**62) and step == 1
        x = w.value(w.node.args[1])
        return whole and x is not None and w.finish(x)
    places = torch.arange(size)[slice(start, stop, step)]
    return _assign(w, w.node.args[0], w.node.args[1], int(w.arg(2, "dim", 0)), places)


def _select_scatter(w: Rewrite) -> bool:
    axis, place = int(w.node.args[2]), int(w.node.args[3])
    shape = w.shape
    axis %= len(shape)
    if not isinstance(shape[axis], int):
        return False
    source = w.node.args[1]
    x, c = w.value(source), w.constant(source)
    part = None if x is None else w.insert_axis(x, axis)
    fixed = None if c is None or c.ndim == 0 else c.unsqueeze(axis)
    places = torch.tensor([place % shape[axis]])
    return _place(w, w.node.args[0], part, c if fixed is None else fixed, axis, places)


def _index_copy(w: Rewrite) -> bool:
    index = w.constant(w.node.args[2])
    if index is None:
        return False
    return _assign(w, w.node.args[0], w.node.args[3], int(w.node.args[1]), index.reshape(-1))


def _index_add(w: Rewrite) -> bool:
    """Add alpha · source at some places."""
    base, index, source = w.value(w.node.args[0]), w.constant(w.node.args[2]), w.node.args[3]
    x, shape = w.value(source), w.shape
    axis = int(w.node.args[1]) % len(shape)
    if base is None or index is None or x is None or not isinstance(shape[axis], int):
        return False
    if _repeats(index):
        return False
    spread = _spread(w, x, axis, index.reshape(-1), shape[axis])
    return w.finish(w.add(base, w.scale(spread, float(w.arg(4, "alpha", 1)))))


def _index_put(w: Rewrite) -> bool:
    """``y[:, [0, 3]] = x`` and, with a mask that depends on values, ``y[y < 0] = 0``."""
    base, indices, values = w.node.args[:3]
    shape = w.shape
    given = [i for i, index in enumerate(indices) if index is not None]
    if w.arg(3, "accumulate", False) or not given:
        return False
    fixed = [None if i is None else w.constant(i) for i in indices]
    if len(given) == 1 and fixed[given[0]] is None:
        return _masked(w, base, indices[given[0]], values)
    if any(fixed[i] is None for i in given):
        return False
    index = fixed[given[0]]
    if len(given) == 1 and index is not None and index.ndim == 1:
        axis = given[0]
        if not isinstance(shape[axis], int):
            return False
        places = index.nonzero().reshape(-1) if index.dtype == torch.bool else index % shape[axis]
        return _assign(w, base, values, axis, places)
    return _numbers_put(w, base, fixed, values)


def _masked(w: Rewrite, base: Arg, mask: Arg, values: Arg) -> bool:
    """A mask computed from values, over the whole of the value."""
    choice = w.value(mask)
    number = w.constant(values)
    if choice is None or number is None or number.numel() != 1:
        return False
    if choice.shape != w.node.shape:
        return False
    fill = number.reshape(()).to(w.graph.dtype)
    given = w.param("value", fill)
    return w.finish(w.call("aten.where.self", choice, given, base, shape=w.shape))


def _numbers_put(w: Rewrite, base: Arg, indices: list[Tensor | None], values: Arg) -> bool:
    """Constants at places along several axes: those places times 0, plus the constants."""
    x, number = w.value(base), w.constant(values)
    shape = w.shape
    batch = batch_position(shape)
    if (
        x is None
        or number is None
        or (batch is not None and len(indices) > batch and indices[batch] is not None)
    ):
        return False
    sizes = [s if isinstance(s, int) else 1 for s in shape]
    ones, zeros = torch.ones(sizes), torch.zeros(sizes, dtype=w.graph.dtype)
    keep = torch.ops.aten.index_put(ones, indices, torch.zeros(()))
    bias = torch.ops.aten.index_put(zeros, indices, number.to(w.graph.dtype))
    return w.finish(w.shift(w.scale(x, keep), bias))


def _assign(w: Rewrite, base: Arg, source: Arg, axis: int, places: Tensor) -> bool:
    """Take the elements at some places along an axis from a source, which may be broadcast."""
    shape = list(w.shape)
    axis %= len(shape)
    shape[axis] = places.numel()
    x, c = w.value(source), w.constant(source)
    if _repeats(places):
        return False
    part = None if x is None else w.expand(x, shape)
    return _place(w, base, part, c, axis, places)


def _place(
    w: Rewrite, base: Arg, part: Node | None, number: Tensor | None, axis: int, places: Tensor
) -> bool:
    shape = w.shape
    size = shape[axis]
    x, fixed = w.value(base), w.constant(base)
    if not isinstance(size, int):
        return False
    keep = torch.ones(size)
    keep[places] = 0
    keep = keep.reshape(-1, *[1] * (len(shape) - 1 - axis))
    if part is not None and places.numel() == size:
        return w.finish(w.choose(part, axis, places.argsort()) if _moved(places) else part)
    if part is not None and x is not None:
        return w.finish(_merged(w, x, part, axis, places, size))
    if part is not None and fixed is not None:
        spread = _spread(w, part, axis, places, size)
        return w.finish(w.shift(spread, fixed.to(w.graph.dtype) * keep))
    if x is None or number is None:
        return False
    sizes = [s if isinstance(s, int) else 1 for s in shape]
    sizes[axis] = places.numel()
    if number.ndim > len(sizes):
        return False
    bias = torch.zeros([s if isinstance(s, int) else 1 for s in shape], dtype=w.graph.dtype)
    bias.index_copy_(axis, places, number.to(w.graph.dtype).expand(sizes))
    return w.finish(w.shift(w.scale(x, keep), bias))


def _repeats(places: Tensor) -> bool:
    return len(set(places.reshape(-1).tolist())) != places.numel()


def _moved(places: Tensor) -> bool:
    return not torch.equal(places, torch.arange(places.numel()))


def _merged(w: Rewrite, x: Node, part: Node, axis: int, places: Tensor, size: int) -> Node:
    """Return a value in which some places along an axis are another one's."""
    first, count = int(places[0]), places.numel()
    if torch.equal(places, torch.arange(first, first + count)):
        pieces = [(x, 0, first), (part, 0, count), (x, first + count, size)]
        return w.cat([w.slice(p, axis, a, b) for p, a, b in pieces if b > a], axis)
    index = torch.arange(size)
    index[places] = size + torch.arange(count)
    return w.choose(w.cat([x, part], axis), axis, index)


def _spread(w: Rewrite, part: Node, axis: int, places: Tensor, size: int) -> Node:
    """Return a value with zeros everywhere but at some places along an axis."""
    first, count = int(places[0]), places.numel()
    if torch.equal(places, torch.arange(first, first + count)):
        return w.pad(part, axis, first, size - first - count)
    index = torch.full((size,), count)
    index[places] = torch.arange(count)
    return w.choose(w.pad(part, axis, 0, 1), axis, index)


RULES: Mapping[str, Rule] = {
    "aten.copy.default": _copy,
    "aten.slice_scatter.default": _slice_scatter,
    "aten.select_scatter.default": _select_scatter,
    "aten.index_copy.default": _index_copy,
    "aten.index_add.default": _index_add,
    "aten.index_put.default": _index_put,
}
