# SPDX-License-Identifier: Apache-2.0
"""Fold scales into weights, so that wires carry unit spikes and thresholds are one.

A site with scale λ and full count S sends n, worth u·n with the unit u = λ/S. Units are carried
forward through operators that only move or average elements, and folded into the first weights
that they meet; the unit of a receiving site is pushed back into the weights in front of it. Where
neither is possible an explicit factor stays on the wire (`sw.scale`): slower, but never wrong.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.batch import Shape, batch_axis, is_plain, sizes
from spikewright.graph.ir import Arg, Graph, Node, Param, Ref
from spikewright.graph.program import resolve_operator
from spikewright.graph.simplify import input_gain, output_gain

__all__ = ["fold_units", "move_map", "scale_weighted", "shape_value"]


def fold_units(graph: Graph, units: Mapping[str, Tensor]) -> Graph:
    """Return a graph that computes in units of its sites.

    Args:
        graph: A graph with sites, in the numbers of the original network.
        units: Site name to unit u > 0, broadcastable with the site's value and the same for all
            samples, e.g. ``"channel 1 1"``. Sites that are not named have unit 1. Another operator
            can be named too: its readers then take what it sends for (unit · value).

    Returns:
        A graph in which the input of site l is (original input)/u_l when every named site sends
        (original output)/u. Its ``stands_for`` says what a unit of every node's value is.
    """
    graph = graph.copy()
    units = {name: unit.to(graph.dtype) for name, unit in units.items()}
    pending: dict[str, Tensor] = {}
    for stale in graph:
        node = graph[stale.name]
        if ops.kind(node) in ("site", "hold"):
            _settle(graph, node, 0, pending)
            if node.name in units:
                pending[node.name] = units[node.name]
        else:
            if any(i in pending for i in node.inputs):
                _forward(graph, node, pending)
            if node.name in units:
                before = pending.get(node.name)
                pending[node.name] = units[node.name] * (1.0 if before is None else before)
    stands_for = graph.stands_for = dict(pending)
    for stale in graph:
        node = graph[stale.name]
        if ops.kind(node) == "site" and node.name in units:
            _push_back(graph, node.inputs[0], 1.0 / units[node.name], node.name, stands_for)
    for output in graph.outputs:
        if output in pending:
            raise RuntimeError(f"{output}: a unit is left at the output")
    graph.prune()
    return graph


def _forward(graph: Graph, node: Node, pending: dict[str, Tensor]) -> None:
    """Carry units over one node, or settle them in front of it."""
    kind = ops.kind(node)
    if kind == "weighted":
        before = graph[node.inputs[0]].shape or ()
        unit = _per_channel(node, pending[node.inputs[0]], before)
        if unit is None:
            _settle(graph, node, 0, pending)
        else:
            weight = graph.params[node.args[1].name]
            gain = unit if node.op == ops.AFFINE else input_gain(node, unit, weight)
            _replace(graph, node, 1, weight * gain)
    elif kind in ("layout", "pool"):
        moved = move_map(graph, node, pending)
        if moved is None:
            _settle(graph, node, 0, pending)
        else:
            pending[node.name] = moved
    elif kind == "mixing" and (unit := _mixed(graph, node, pending[node.inputs[0]])) is not None:
        pending[node.name] = unit
    elif kind == "add" and _equal_units(node, pending):
        pending[node.name] = pending[node.inputs[0]]
    elif kind == "product":
        _onto_held(graph, node, pending)
    elif kind != "shape":
        for index, arg in enumerate(node.args):
            if isinstance(arg, Ref):
                _settle(graph, graph[node.name], index, pending)


def _onto_held(graph: Graph, node: Node, pending: Mapping[str, Tensor]) -> None:
    """Carry the unit of a product's streaming factor over to the registers of the held one.

    They are written once, where a factor on the wire would be multiplied at every spike. Where the
    unit changes along an axis that the held factor does not have, it stays on the wire.
    """
    held = [ops.kind(graph[i]) == "hold" for i in node.inputs].index(True)
    stream, hold = node.inputs[1 - held], graph[node.inputs[held]]
    gain, ndim = pending[stream], len(hold.shape or ())
    if node.kwargs["by"] == "matmul":
        free = 1 if held == 0 else 2  # the axis of the streaming factor that is not summed over
        wide = gain.reshape(*[1] * (2 - gain.ndim), *gain.shape)
        fits = wide.shape[-free] == 1 and min(ndim, len(graph[stream].shape or ())) > 1
        gain = wide.transpose(-1, -2)
    else:
        fits = True
    own = sizes(hold.shape or (), 1)[max(0, ndim - gain.ndim) :]
    fits = (
        fits
        and gain.ndim <= ndim
        and all(g in (1, size) for g, size in zip(gain.shape, own, strict=True))
    )
    if not fits:
        _settle(graph, node, 1 - held, pending)
        return
    before = graph[hold.inputs[0]]
    if before.op == ops.SCALE and graph.has_one_reader(before.name):
        _replace(graph, before, 1, graph.params[before.args[1].name] * gain)
    else:
        scale = _scale_node(graph, before, gain)
        graph.redirect(before.name, scale, only=[hold.name])


def _equal_units(node: Node, pending: dict[str, Tensor]) -> bool:
    if ops.is_constant_add(node):
        return False
    left, right = (pending.get(i) for i in node.inputs[:2])
    return (
        left is not None
        and right is not None
        and left.shape == right.shape
        and torch.equal(left, right)
    )


def _settle(graph: Graph, node: Node, index: int, pending: Mapping[str, Tensor]) -> None:
    """Put an explicit factor on the wire that enters ``node`` at argument ``index``."""
    source = node.args[index].name
    if source in pending:
        scale = _insert_scale(graph, source, pending[source])
        args = tuple(Ref(scale) if i == index else a for i, a in enumerate(node.args))
        graph.update(dataclasses.replace(graph[node.name], args=args))


def _insert_scale(graph: Graph, source: str, gain: Tensor) -> str:
    """Put a factor behind a node and return the name of what then has it.

    Where the factor changes along an axis that holds the batch between other elements, these get
    axes of their own for it.
    """
    node = graph[source]
    shape = node.shape or ()
    at = batch_axis(shape)
    wide = gain.reshape(*[1] * (len(shape) - gain.ndim), *gain.shape)
    if at is None or wide.shape[at.axis] == 1:
        return _scale_node(graph, node, gain)
    batch = wide.shape[at.axis] // (at.outer * at.inner)
    before, behind = wide.shape[: at.axis], wide.shape[at.axis + 1 :]
    split = wide.reshape(*before, at.outer, batch, at.inner, *behind)
    one = split.narrow(at.axis + 1, 0, 1)
    if not torch.equal(split, one.expand_as(split)):
        raise RuntimeError(f"{source}: a unit differs between samples")
    apart = (*shape[: at.axis], at.outer, None, at.inner, *shape[at.axis + 1 :])
    first = _reshaped(graph, source, apart)
    scale = _scale_node(graph, graph[first], one)
    return _reshaped(graph, scale, shape)


def _scale_node(graph: Graph, node: Node, gain: Tensor) -> str:
    scale = Node(
        name=graph.fresh_name(f"{node.name}/scale"),
        op=ops.SCALE,
        args=(Ref(node.name), graph.fresh_param(f"{node.name}/gain", gain.clone())),
        module=node.module,
        source=node.source,
        shape=node.shape,
    )
    graph.insert([scale], after=node.name)
    return scale.name


def _reshaped(graph: Graph, source: str, shape: Shape) -> str:
    node = graph[source]
    made = Node(
        name=graph.fresh_name(f"{source}/reshape"),
        op="aten.reshape.default",
        args=(Ref(source), tuple(s if isinstance(s, int) else -1 for s in shape)),
        module=node.module,
        source=node.source,
        shape=shape,
    )
    graph.insert([made], after=source)
    return made.name


def _replace(graph: Graph, node: Node, index: int, value: Tensor) -> None:
    args = list(node.args)
    args[index] = graph.fresh_param(f"{node.args[index].name}'", value)
    graph.update(dataclasses.replace(node, args=tuple(args)))


def _per_channel(node: Node, unit: Tensor, shape: Shape) -> Tensor | None:
    """Return a unit of a value as a vector over a layer's channels, if it is one.

    A batch norm takes a unit of any form, as long as it is the same along the batch's axis.

    Args:
        node: The layer.
        unit: Of what it reads or writes.
        shape: Of that value.
    """
    ndim = len(shape)
    if node.op == ops.AFFINE:
        at = batch_axis(shape)
        own = -1 if at is None else at.axis - (ndim - unit.ndim)
        return unit if own < 0 or unit.shape[own] == 1 else None
    axis = 1 if ops.weighted(node).channel_axis == 1 else ndim - 1  # type: ignore[union-attr]
    own = axis - (ndim - unit.ndim)
    if any(size != 1 for i, size in enumerate(unit.shape) if i != own):
        return None
    return unit.reshape(-1) if unit.numel() > 1 else unit.reshape(())


def move_map(graph: Graph, node: Node, maps: Mapping[str, Tensor]) -> Tensor | None:
    """Send per-element factors through an operator that moves elements or takes maxima.

    The operator itself is run on the factors, of one sample, or of two where the batch is not the
    first axis, so that they go wherever the elements go.

    Args:
        graph: The graph.
        node: A layout or pool operator.
        maps: Factors > 0 of its inputs, broadcastable; 1 where absent.

    Returns:
        The factors of its output, or None for a pool whose windows hold different factors.
    """
    mover = graph[node.args[0].name] if node.op == "operator.getitem" else node
    if mover is not node and ops.kind(mover) != "layout":
        return torch.tensor(1.0)  # one result of several of an analog operator
    tensors = [i for i in mover.inputs if graph[i].shape is not None]
    if not tensors:
        return torch.tensor(1.0)  # a constant
    found = [maps[i] for i in tensors if i in maps]
    if len(found) == len(tensors) and all(m.ndim == 0 and m == found[0] for m in found):
        return found[0]
    plain = all(is_plain(graph[i].shape) for i in tensors)
    plain = plain and (node.shape is None or is_plain(node.shape))
    batch = 1 if plain else 2

    def value(arg: Arg) -> Arg:
        if isinstance(arg, Ref):
            source = graph[arg.name]
            if source.shape is None:
                return shape_value(graph, source, batch)
            full = torch.ones(sizes(source.shape, batch))
            return full * maps[arg.name] if arg.name in maps else full
        if isinstance(arg, Param):
            return graph.params[arg.name]
        if isinstance(arg, tuple):
            return [value(a) for a in arg]
        return arg

    if node.op == "operator.getitem":
        return _compress(_call(mover, value)[node.args[1]], node.shape)
    if node.shape is None:  # a split: its parts are read by getitem
        return torch.tensor(torch.nan)
    high = _call(node, value)
    if ops.kind(node) == "pool":
        low = -_call(node, lambda a: -value(a) if isinstance(a, Ref) else value(a))
        if not torch.equal(high, low):
            return None
    return _compress(high, node.shape)


def _call(node: Node, value: Callable[[Arg], Arg]) -> Any:  # noqa: ANN401 - tensor, or the parts of one
    result = resolve_operator(node.op)(
        *(value(a) for a in node.args), **{k: value(v) for k, v in node.kwargs.items()}
    )
    return result if node.pick is None else result[node.pick]


def shape_value(graph: Graph, node: Node, batch: int = 1) -> int:
    """Evaluate arithmetic on shapes for a batch of the given size."""
    if node.op == "aten.sym_size.int":
        shape = graph[node.args[0].name].shape or ()
        return sizes(shape, batch)[node.args[1]]
    args = [
        shape_value(graph, graph[a.name], batch) if isinstance(a, Ref) else a for a in node.args
    ]
    return int(resolve_operator(node.op)(*args))


def _compress(full: Tensor, shape: Shape | None) -> Tensor:
    """Reduce axes along which the factors do not change; padding (0) takes any factor.

    A first axis that is nothing but the batch is left out.
    """
    known = full != 0
    for axis in range(full.ndim):
        high = full.masked_fill(~known, -torch.inf).amax(axis, keepdim=True)
        low = full.masked_fill(~known, torch.inf).amin(axis, keepdim=True)
        some = known.any(axis, keepdim=True)
        if bool(((high == low) | ~some).all()):
            full, known = torch.where(some, high, 0), some
    full = torch.where(known, full, 1)
    if full.numel() == 1:
        return full.reshape(())
    return full[0] if is_plain(shape) and full.shape[0] == 1 else full


def _mixed(graph: Graph, node: Node, unit: Tensor) -> Tensor | None:
    """Return the unit behind an average, or None if it changes within what is averaged."""
    if unit.ndim == 0 or node.op == ops.SCALE:
        return unit
    ndim = len(graph[node.inputs[0]].shape or ())
    wide = unit.reshape(*[1] * (ndim - unit.ndim), *unit.shape)
    if node.op in ("aten.mean.dim", "aten.sum.dim_IntList"):
        axes = {d % ndim for d in _reduced(node, ndim)}
        if any(wide.shape[a] != 1 for a in axes):
            return None
        keep = (len(node.args) > 2 and node.args[2]) or node.kwargs.get("keepdim", False)
        if keep:
            return unit
        left = wide.reshape([s for a, s in enumerate(wide.shape) if a not in axes])
        return left[0] if left.ndim == len(node.shape or ()) and left.shape[:1] == (1,) else left
    return unit if all(s == 1 for s in wide.shape[-averaged_axes(node, ndim) :]) else None


def _reduced(node: Node, ndim: int) -> tuple[int, ...]:
    dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    if dims is None or dims == ():
        return tuple(range(ndim))
    return dims if isinstance(dims, tuple) else (dims,)


def averaged_axes(node: Node, ndim: int) -> int:
    """Return how many of a value's last axes an average pooling or upsampling works on."""
    if node.op == ops.WINDOW_SUM:
        return len(node.args) - 1
    return next((d for d in (1, 2, 3) if f"{d}d" in node.op), ndim - 2)


def _push_back(
    graph: Graph, name: str, gain: Tensor, reader: str, stands_for: dict[str, Tensor]
) -> None:
    """Multiply the value ``name``, as ``reader`` reads it, by ``gain``."""
    node = graph[name]
    alone = graph.has_one_reader(name) and graph[reader].inputs.count(name) == 1
    kind = ops.kind(node)
    ndim = len(node.shape or ())
    if alone and kind == "weighted" and scale_weighted(graph, node, gain):
        _note(stands_for, name, gain)
        return
    if alone and node.op == ops.SCALE:
        _replace(graph, node, 1, graph.params[node.args[1].name] * gain)
        _note(stands_for, name, gain)
        return
    if alone and kind == "add" and len(set(node.inputs)) == len(node.inputs):
        for index, arg in enumerate(node.args[:2]):
            if isinstance(arg, Ref):
                _push_back(graph, graph[name].args[index].name, gain, name, stands_for)
            else:
                _replace(graph, graph[name], index, graph.params[arg.name] * gain)
        _note(stands_for, name, gain)
        return
    if (
        alone
        and ("avg_pool" in node.op or "upsample" in node.op or node.op == ops.WINDOW_SUM)
        and all(s == 1 for s in gain.shape[max(0, gain.ndim - averaged_axes(node, ndim)) :])
    ):
        _push_back(graph, node.inputs[0], gain, name, stands_for)
        _note(stands_for, name, gain)
        return
    if gain.numel() == 1 and float(gain) == 1.0:
        return
    scale = _insert_scale(graph, name, gain)
    if name in stands_for:
        stands_for[scale] = stands_for[name]
    _note(stands_for, scale, gain)
    graph.redirect(name, scale, only=[reader])


def _note(stands_for: dict[str, Tensor], name: str, gain: Tensor) -> None:
    """Note that a value has been multiplied."""
    stands_for[name] = stands_for.get(name, torch.ones_like(gain)) / gain


def scale_weighted(graph: Graph, node: Node, gain: Tensor) -> bool:
    """Multiply what a layer computes, bias included; tell whether it could be done.

    Args:
        graph: The graph, changed.
        node: A weighted layer.
        gain: Factors, broadcastable with its value.
    """
    weight = graph.params[node.args[1].name]
    vector = _per_channel(node, gain, node.shape or ())
    if vector is None:
        return False
    if node.op == ops.AFFINE:
        _replace(graph, node, 1, weight * gain)
        _replace(graph, graph[node.name], 2, graph.params[node.args[2].name] * gain)
        return True
    _replace(graph, node, 1, weight * output_gain(node, vector, weight))
    if len(node.args) > 2 and node.args[2] is not None:
        _replace(graph, graph[node.name], 2, graph.params[node.args[2].name] * vector)
    return True
