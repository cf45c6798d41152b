# SPDX-License-Identifier: Apache-2.0
"""Which axis of every value runs over channels, wherever operators have moved them.

Channels are numbered where they arise, at weighted layers and inputs, and the numbers are sent
through every operator that moves elements. A population may have a scale of its own for each of
them, unless a max pool compares neurons of several channels, whose spikes must be worth the same.
"""

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.batch import batch_axis, sizes
from spikewright.graph.ir import Graph, Node
from spikewright.graph.units import move_map

__all__ = ["channel_axes"]

_MOVES = frozenset({"aten.mean.dim", "aten.sum.dim_IntList", "aten.amax.default"})
"""Operators besides layout that may drop axes."""


def channel_axes(graph: Graph) -> dict[str, int | None]:
    """Return the channel axis of every site's value, None where all neurons share one scale.

    Args:
        graph: A graph with sites.
    """
    axes = _tracked(graph)
    found = {n.name: axes.get(n.name) for n in graph if ops.kind(n) == "site"}
    for name in _compared(graph, found):
        found[name] = None
    return found


def _tracked(graph: Graph) -> dict[str, int | None]:
    """Return the channel axis of every value, None where there is none or it is not known."""
    numbers: dict[str, Tensor] = {}
    axes: dict[str, int | None] = {}
    for node in graph:
        if node.shape is None:  # a size, or several parts at once
            continue
        spec = ops.weighted(node)
        if spec is not None and node.op != ops.AFFINE:
            axes[node.name] = spec.channel_axis % len(node.shape)
        elif ops.kind(node) == "input":
            axes[node.name] = 1 if len(node.shape) > 1 else None
        elif (ops.kind(node) == "layout" or node.op in _MOVES) and node.inputs:
            moved = _moved(graph, node, numbers)
            numbers[node.name] = moved
            axes[node.name] = _axis_of(moved, node)
            continue
        else:
            before = [i for i in node.inputs if graph[i].shape is not None]
            same = [i for i in before if len(graph[i].shape or ()) == len(node.shape)]
            known = [axes[i] for i in same if axes.get(i) is not None]
            axes[node.name] = known[0] if known else None
            whole = [i for i in same if sizes(graph[i].shape or ()) == sizes(node.shape)]
            if axes[node.name] is None and whole and whole[0] in numbers:
                numbers[node.name] = numbers[whole[0]]  # on their way through a merged axis
                continue
        numbers[node.name] = _numbered(node, axes[node.name])
    return axes


def _numbered(node: Node, axis: int | None) -> Tensor:
    """Return the number of its channel, from 1, for every element."""
    shape = node.shape or ()
    if axis is None:
        return torch.tensor(1.0)
    view = [1] * len(shape)
    view[axis] = -1
    return torch.arange(1.0, sizes(shape, 2)[axis] + 1.0).reshape(view)


def _moved(graph: Graph, node: Node, numbers: dict[str, Tensor]) -> Tensor:
    if node.op in _MOVES:  # numbers that differ within a window are no channel's
        ndim = len(graph[node.inputs[0]].shape or ())
        before = numbers.get(node.inputs[0], torch.tensor(1.0))
        wide = before.reshape(*[1] * (ndim - before.ndim), *before.shape)
        dims = node.args[1] if len(node.args) > 1 and node.args[1] != () else tuple(range(ndim))
        reduced = {d % ndim for d in (dims if isinstance(dims, tuple) else (dims,))}
        high = wide.amax(tuple(reduced), keepdim=True)
        keep = len(node.shape or ()) == ndim
        left = [s for a, s in enumerate(high.shape) if keep or a not in reduced]
        return high.reshape(left)
    moved = move_map(graph, node, numbers)
    return torch.tensor(1.0) if moved is None else moved


def _axis_of(numbers: Tensor, node: Node) -> int | None:
    """Return the axis along which channels change, if it is one and does not hold the batch."""
    shape = node.shape or ()
    wide = numbers.reshape(*[1] * (len(shape) - numbers.ndim), *numbers.shape)
    at = batch_axis(shape)
    varying = [a for a, s in enumerate(wide.shape) if s > 1]
    if len(varying) == 1 and (at is None or varying[0] != at.axis):
        return varying[0]
    plain = at is not None and at.is_plain and len(shape) > 1
    return 1 if plain and (not varying or 1 in varying) else None


def _compared(graph: Graph, axes: dict[str, int | None]) -> set[str]:
    """Return the populations whose channels meet in the windows of a max pool."""
    maps: dict[str, Tensor] = {}
    behind: dict[str, set[str]] = {}
    compared: set[str] = set()
    for node in graph:
        kind = ops.kind(node)
        if kind == "site":
            axis = axes.get(node.name)
            if node.op in ops.SPIKING_OPS and axis is not None:
                maps[node.name] = _numbered(node, axis)
                behind[node.name] = {node.name}
        elif kind in ("layout", "pool"):
            before = [i for i in node.inputs if i in behind]
            if not before:
                continue
            behind[node.name] = set().union(*(behind[i] for i in before))
            moved = move_map(graph, node, maps)
            if moved is None:
                compared |= behind[node.name]
            else:
                maps[node.name] = moved
    return compared
