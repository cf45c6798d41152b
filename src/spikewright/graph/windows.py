# SPDX-License-Identifier: Apache-2.0
"""Averages as whole-number sums: which inputs each output averages, axis by axis.

Average pooling of every form is separable: along each axis an output covers a window of inputs and
divides by a whole number. Sums over such windows are exact in integers, and count ways of spikes.
"""

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.graph.batch import sizes
from spikewright.graph.ir import Graph, Node
from spikewright.graph.program import resolve_operator

__all__ = [
    "Windows",
    "covered",
    "is_average",
    "pool_members",
    "pool_operator",
    "to_sum",
    "windows_of",
]

_UPSAMPLE = {
    "aten.upsample_linear1d.vec": "linear",
    "aten.upsample_bilinear2d.vec": "bilinear",
    "aten.upsample_trilinear3d.vec": "trilinear",
}
_WHOLE = ("aten.mean.dim", "aten.sum.dim_IntList")


@dataclasses.dataclass(frozen=True)
class Windows:
    """Windows along one axis.

    Attributes:
        covers: Whether output i covers input j, ``"output input"``, boolean.
        divisor: What output i divides by, ``"output"``, whole numbers.
    """

    covers: Tensor
    divisor: Tensor


def is_average(node: Node) -> bool:
    """Tell whether the node is average pooling, adaptive or not."""
    return "avg_pool" in node.op


def windows_of(graph: Graph, node: Node) -> tuple[Windows, ...]:
    """Return the windows of an average pooling, one entry for each spatial axis."""
    before = sizes(graph[node.inputs[0]].shape or ())[2:]
    after = sizes(node.shape or ())[2:]
    along = list(zip(before, after, strict=True))
    if "adaptive" in node.op:
        return tuple(_adaptive(i, o) for i, o in along)
    d = len(along)
    kernel = _per_axis(_get(node, 1, 1), d)
    stride = _per_axis(_get(node, 2, ()) or _get(node, 1, 1), d)
    padding = _per_axis(_get(node, 3, 0), d)
    include = bool(_get(node, 5, True))
    found = tuple(
        _window(i, o, k, s, p, include=include)
        for (i, o), k, s, p in zip(along, kernel, stride, padding, strict=True)
    )
    override = node.args[6] if len(node.args) > 6 else node.kwargs.get("divisor_override")
    if override:
        ones = [torch.ones_like(w.divisor) for w in found]
        ones[0] = ones[0] * int(override)
        found = tuple(dataclasses.replace(w, divisor=o) for w, o in zip(found, ones, strict=True))
    return found


def to_sum(graph: Graph, node: Node, *, ways: bool = False) -> int:
    """Turn an average of the graph into a sum of whole multiples of its inputs, in place.

    Args:
        graph: The graph, changed.
        node: An average (pooling, mean) or linear upsampling.
        ways: Count ways instead of adding values: every covered input counts once.

    Returns:
        The divisor by which the sum has to be divided to be the average; 1 if ``ways``.

    Raises:
        ConfigError: If the operator has no form in whole numbers.
    """
    if node.op in _WHOLE:
        before = sizes(graph[node.inputs[0]].shape or ())
        dims = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
        graph.update(dataclasses.replace(node, op="aten.sum.dim_IntList"))
        mean = node.op == "aten.mean.dim" and not ways
        return math.prod(before[d] for d in dims) if mean else 1
    if node.op == ops.WINDOW_SUM:  # done before, of an integer network
        matrices = [graph.params[p] for p in node.params]
        matrices = [(m != 0).double() for m in matrices] if ways else matrices
        divisors = [1]
    elif node.op in _UPSAMPLE and ways:
        matrices = _upsample_covers(graph, node)
        divisors = [1]
    elif is_average(node):
        windows = windows_of(graph, node)
        divisors = [1 if ways else math.lcm(*map(int, w.divisor)) for w in windows]
        matrices = [
            w.covers.double() * (1 if ways else (d // w.divisor).double().unsqueeze(1))
            for w, d in zip(windows, divisors, strict=True)
        ]
    else:
        raise ConfigError(
            f"{node.where()}: {ops.describe(node)} has no form in whole numbers. "
            "Use average pooling, or nearest-neighbour upsampling."
        )
    params = tuple(graph.fresh_param(f"{node.name}/windows", m) for m in matrices)
    graph.update(
        dataclasses.replace(
            node, op=ops.WINDOW_SUM, args=(node.args[0], *params), kwargs={}, pick=None
        )
    )
    return math.prod(divisors)


def covered(graph: Graph, node: Node) -> int:
    """Return how many elements all windows of an average have together, for one input."""
    before = sizes(graph[node.inputs[0]].shape or ())
    if node.op in _WHOLE:
        return math.prod(before)  # sums over whole axes share nothing
    own = graph.copy()
    to_sum(own, node, ways=True)
    summed = own[node.name]
    per_axis = [int(own.params[p].sum()) for p in summed.params]
    return math.prod(before[: len(before) - len(per_axis)]) * math.prod(per_axis)


def pool_operator(graph: Graph, node: Node) -> Callable[[Tensor], Tensor]:
    """Return a max pool of the graph as a function of its input alone."""
    fn = resolve_operator(node.op)
    rest, kwargs, pick = node.args[1:], dict(node.kwargs), node.pick

    def pool(x: Tensor) -> Tensor:
        result: Tensor = fn(x, *(list(a) if isinstance(a, tuple) else a for a in rest), **kwargs)
        return result if pick is None else result[pick]

    return pool


def pool_members(graph: Graph, node: Node) -> int:
    """Return how many inputs all windows of a max pool have together; padding is none.

    Windows are products of intervals, so those along each axis are counted and multiplied.
    """
    before = sizes(graph[node.inputs[0]].shape or ())
    if node.op == "aten.amax.default":
        return math.prod(before)  # its windows share nothing
    pool = pool_operator(graph, node)
    axes = next(d for d in (1, 2, 3) if f"{d}d" in node.op)
    total = math.prod(before[:-axes])
    spatial = before[-axes:]
    for axis, size in enumerate(spatial, start=2):
        view = [size, 1, *(size if a == axis else 1 for a in range(2, axes + 2))]
        probe = torch.eye(size).view(view).expand(size, 1, *spatial)
        reached: Tensor = pool(probe.contiguous()) > 0
        total *= int(reached.transpose(1, axis).flatten(2).any(2).sum())
    return total


def _get(node: Node, index: int, default: object) -> object:
    value = node.args[index] if len(node.args) > index else None
    return default if value is None else value


def _per_axis(value: object, axes: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, tuple) else (value,)
    return tuple(int(v) for v in (values * axes if len(values) == 1 else values))


def _adaptive(size: int, out: int) -> Windows:
    i, j = torch.arange(out), torch.arange(size)
    start, stop = i * size // out, -(-(i + 1) * size // out)
    covers = (j >= start.unsqueeze(1)) & (j < stop.unsqueeze(1))
    return Windows(covers, stop - start)


def _window(
    size: int, out: int, kernel: int, stride: int, padding: int, *, include: bool
) -> Windows:
    i, j = torch.arange(out), torch.arange(size)
    start = i * stride - padding
    stop = torch.clamp(start + kernel, max=size + padding)
    covers = (j >= start.unsqueeze(1)) & (j < stop.unsqueeze(1))
    return Windows(covers, stop - start if include else covers.sum(1))


def _upsample_covers(graph: Graph, node: Node) -> list[Tensor]:
    """Find which inputs a linear upsampling reads along each axis, by trying them one by one."""
    before, after = sizes(graph[node.inputs[0]].shape or ())[2:], sizes(node.shape or ())[2:]
    align = bool(node.args[2]) if len(node.args) > 2 else False
    scales = node.args[3] if len(node.args) > 3 else None
    found = []
    for axis, (size, out) in enumerate(zip(before, after, strict=True)):
        probe = torch.eye(size, dtype=torch.float64).unsqueeze(0)
        scale = None if scales is None else [float(scales[axis])]
        answer = torch.ops.aten.upsample_linear1d.vec(probe, None if scale else [out], align, scale)
        found.append((answer[0].T > 0).double())
    return found
