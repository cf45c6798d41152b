# SPDX-License-Identifier: Apache-2.0
"""Additions counted by brute force: every spike of a reference run, every way it can take.

Nothing here uses the package's own fan-out: ways are found by sending one token from each neuron
through loops written from the definition of each operator, one output and one tap at a time.
"""

import itertools
import math
from collections.abc import Iterable

import torch
from torch import Tensor

from spikewright.graph import Node, Ref, ops
from spikewright.graph.program import resolve_operator
from spikewright.network import SpikingNetwork
from spikewright.simulators import LayeredReference, SynchronousReference


def spikes_of(network: SpikingNetwork, x: Tensor) -> dict[str, Tensor]:
    """Count every neuron's spikes in a tick-by-tick run, summed over the batch."""
    counts: dict[str, Tensor] = {}

    def watch(name: str, t: int, spikes: Tensor) -> None:
        counts[name] = counts.get(name, 0) + spikes.abs().sum(0)

    if network.schedule.name == "layered":
        LayeredReference(network)(network.check_input(x), watch)
    else:
        run = SynchronousReference(network).over_time(
            network.check_input(x), lambda name, t, sent: watch(name, t, sent[0])
        )
        assert len(list(run)) == network.T
    return counts


def additions(network: SpikingNetwork, x: Tensor) -> int:
    """Sum spikes times ways over every neuron of every population and gate."""
    total = 0.0
    for name, count in spikes_of(network, x).items():
        total += float((count.double().reshape(-1) * ways(network, name)).sum())
    return round(total)


def receivers(network: SpikingNetwork, source: str) -> set[str]:
    """Return the weighted layers that read the spikes of a source."""
    graph, found, reached = network.graph, set[str](), {source}
    for node in graph:
        if node.name != source and any(i in reached for i in node.inputs):
            if ops.kind(node) == "weighted":
                found.add(node.name)
            elif ops.kind(node) not in ("site", "pool"):
                reached.add(node.name)
    return found


def ways(network: SpikingNetwork, source: str) -> Tensor:
    """Send one token from each neuron of a source; count the tokens that reach membranes."""
    graph = network.graph
    shape = [s or 1 for s in (graph[source].shape or ())][1:]
    size = math.prod(shape)
    values = {source: torch.eye(size, dtype=torch.float64).reshape(size, *shape)}
    arrived = torch.zeros(size, dtype=torch.float64)
    for node in graph:
        if node.name == source or not node.inputs or node.inputs[0] not in graph.nodes:
            continue
        if not any(i in values for i in node.inputs):
            continue
        if ops.kind(node) == "site":
            if node.inputs[0] in values:
                arrived += values[node.inputs[0]].reshape(size, -1).sum(1)
        elif ops.kind(node) == "hold":  # a spike is one addition to a register, and goes no further
            arrived += values[node.inputs[0]].reshape(size, -1).sum(1)
        elif ops.kind(node) == "product":
            values[node.name] = _multiplied(network, node, values)
        elif ops.kind(node) != "pool":
            values[node.name] = _pass(network, node, values, size)
    return arrived


def _pass(network: SpikingNetwork, node: Node, values: dict[str, Tensor], size: int) -> Tensor:
    graph, kind = network.graph, ops.kind(node)
    x = values.get(node.inputs[0])
    if kind == "weighted":
        if node.op == ops.AFFINE:
            return x
        weight = graph.params[node.args[1].name]
        if node.op == "aten.linear.default":
            return x.sum(-1, keepdim=True).expand(*x.shape[:-1], weight.shape[0])
        if "transpose" in node.op:
            return _conv_transposed(x, weight, node)
        return _conv(x, weight, node)
    if kind == "add":
        return sum(values[i] for i in node.inputs if i in values)
    if node.op == ops.SCALE:
        return x
    if node.op in ("aten.mean.dim", "aten.sum.dim_IntList"):
        keep = bool(node.args[2]) if len(node.args) > 2 else False
        return x.sum(node.args[1], keepdim=keep)
    if "avg_pool" in node.op:
        return _windows(x, node)
    if node.op == ops.WINDOW_SUM:
        return _covered(x, [graph.params[p] != 0 for p in node.params])
    if kind == "mixing":
        raise NotImplementedError(node.op)
    return _move(network, node, values, size)


def _multiplied(network: SpikingNetwork, node: Node, values: dict[str, Tensor]) -> Tensor:
    """Send a token to every sum of a product in which it meets a held value, term by term."""
    left, right = ([s or 1 for s in network.graph[i].shape or ()] for i in node.inputs)
    x = next(values[i] for i in node.inputs if i in values)
    out = x.new_zeros((len(x), *(s or 1 for s in (node.shape or ())[1:])))
    if node.kwargs["by"] == "mul":
        return out + x
    for i, j, k in _grid((left[-2], right[-1], left[-1])):
        out[..., i, j] += x[..., i, k] if node.inputs[0] in values else x[..., k, j]
    return out


def _move(network: SpikingNetwork, node: Node, values: dict[str, Tensor], size: int) -> Tensor:
    """Run an operator that only moves elements; what carries no token is zero."""
    graph = network.graph

    def value(arg: object) -> object:
        if isinstance(arg, Ref):
            source = graph[arg.name]
            if source.shape is None:
                return (
                    size
                    if source.op == "aten.sym_size.int" and source.args[1] == 0
                    else _number(source)
                )
            zeros = torch.zeros((size, *(s or 1 for s in source.shape[1:])), dtype=torch.float64)
            return values.get(arg.name, zeros)
        if isinstance(arg, tuple):
            return [value(a) for a in arg]
        return arg

    def _number(source: Node) -> object:
        return resolve_operator(source.op)(*(value(a) for a in source.args))

    result = resolve_operator(node.op)(
        *(value(a) for a in node.args), **{k: value(v) for k, v in node.kwargs.items()}
    )
    return result if node.pick is None else result[node.pick]


def _settings(node: Node, first: int, axes: int, default: int) -> tuple[int, ...]:
    value = node.args[first] if len(node.args) > first else None
    value = default if value is None or value == () else value
    several = tuple(value) if isinstance(value, tuple) else (value,)
    return several * axes if len(several) == 1 else several


def _conv(x: Tensor, weight: Tensor, node: Node) -> Tensor:
    d = x.ndim - 2
    stride, dilation = _settings(node, 3, d, 1), _settings(node, 5, d, 1)
    kernel, groups = weight.shape[2:], node.args[6] if len(node.args) > 6 else 1
    if len(node.args) > 4 and isinstance(node.args[4], str):
        before = [
            dil * (k - 1) // 2 if node.args[4] == "same" else 0
            for dil, k in zip(dilation, kernel, strict=True)
        ]
    else:
        before = list(_settings(node, 4, d, 0))
    after = [s or 1 for s in (node.shape or ())[2:]]
    out = x.new_zeros((x.shape[0], weight.shape[0], *after))
    per_in, per_out = x.shape[1] // groups, weight.shape[0] // groups
    for place in _grid(after):
        for tap in _grid(kernel):
            at = [
                o * s - p + t * dil
                for o, s, p, t, dil in zip(place, stride, before, tap, dilation, strict=True)
            ]
            if any(not 0 <= a < n for a, n in zip(at, x.shape[2:], strict=True)):
                continue  # padding holds no neuron
            for g in range(groups):
                tokens = x[(slice(None), slice(g * per_in, (g + 1) * per_in), *at)].sum(1)
                out[(slice(None), slice(g * per_out, (g + 1) * per_out), *place)] += tokens[:, None]
    return out


def _conv_transposed(x: Tensor, weight: Tensor, node: Node) -> Tensor:
    d = x.ndim - 2
    stride, padding = _settings(node, 3, d, 1), _settings(node, 4, d, 0)
    groups, dilation = node.args[6] if len(node.args) > 6 else 1, _settings(node, 7, d, 1)
    after = [s or 1 for s in (node.shape or ())[2:]]
    out = x.new_zeros((x.shape[0], weight.shape[1] * groups, *after))
    per_in, per_out = x.shape[1] // groups, weight.shape[1]
    for place in _grid(x.shape[2:]):
        for tap in _grid(weight.shape[2:]):
            at = [
                i * s - p + t * dil
                for i, s, p, t, dil in zip(place, stride, padding, tap, dilation, strict=True)
            ]
            if any(not 0 <= a < n for a, n in zip(at, after, strict=True)):
                continue
            for g in range(groups):
                tokens = x[(slice(None), slice(g * per_in, (g + 1) * per_in), *place)].sum(1)
                out[(slice(None), slice(g * per_out, (g + 1) * per_out), *at)] += tokens[:, None]
    return out


def _windows(x: Tensor, node: Node) -> Tensor:
    """Send a token to every average that covers its place."""
    before, after = list(x.shape[2:]), [s or 1 for s in (node.shape or ())[2:]]
    d = len(before)
    if "adaptive" in node.op:
        members = [
            [range(o * n // m, -(-(o + 1) * n // m)) for o in range(m)]
            for n, m in zip(before, after, strict=True)
        ]
    else:
        kernel = _settings(node, 1, d, 1)
        stride = _settings(node, 2, d, 0)
        stride = kernel if 0 in stride else stride
        padding = _settings(node, 3, d, 0)
        members = [
            [range(max(0, o * s - p), min(n, o * s - p + k)) for o in range(m)]
            for n, m, k, s, p in zip(before, after, kernel, stride, padding, strict=True)
        ]
    out = x.new_zeros((*x.shape[:2], *after))
    for place in _grid(after):
        for at in itertools.product(*(members[a][o] for a, o in enumerate(place))):
            out[(slice(None), slice(None), *place)] += x[(slice(None), slice(None), *at)]
    return out


def _covered(x: Tensor, covers: list[Tensor]) -> Tensor:
    """Send a token to every sum that covers its place, given as one table for each axis."""
    out = x.new_zeros((*x.shape[:2], *(c.shape[0] for c in covers)))
    for place in _grid(out.shape[2:]):
        members = [c[o].nonzero().flatten().tolist() for c, o in zip(covers, place, strict=True)]
        for at in itertools.product(*members):
            out[(slice(None), slice(None), *place)] += x[(slice(None), slice(None), *at)]
    return out


def _grid(sizes: Iterable[int]) -> Iterable[tuple[int, ...]]:
    return itertools.product(*(range(n) for n in sizes))
