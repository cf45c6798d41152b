# SPDX-License-Identifier: Apache-2.0
"""Everything that flows into a population, in whole multiples of one step."""

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.batch import sizes
from spikewright.graph.held import factor_in_front, takes_gain
from spikewright.graph.ir import Graph, Node, Param
from spikewright.graph.simplify import output_gain
from spikewright.graph.sites import flow
from spikewright.network.factors import round_analog, scaled

__all__ = ["round_inputs"]


def round_inputs(
    graph: Graph, inputs: Collection[str], full: float, spans: Mapping[str, float], bits: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Round everything that flows into each site to multiples of one step per channel.

    Sites that read the same layers share their steps.

    Args:
        graph: The graph, changed.
        inputs: Names of its analog inputs, in whole numbers.
        full: Weight of what the inputs stand for.
        spans: Site to the weight of what the biases in front of it stand for.
        bits: Bits of a weight.

    Returns:
        Of each site, the step, and what its biases lack over a whole train.
    """
    ends: dict[str, list[str]] = {}
    plain: dict[str, bool] = {}
    for node in graph:
        if ops.kind(node) == "site" and node.op != ops.INPUT_SITE:
            ends[node.name], plain[node.name] = _terminals(graph, node, inputs)
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for group in _groups(ends):
        together = list(dict.fromkeys(e for name in group for e in ends[name]))
        alone = all(plain[n] for n in group) and _alike(graph, group, together)
        alone = alone and (len(group) > 1 or graph[group[0]].op != ops.READOUT)
        span = float(math.lcm(*(int(spans[name]) for name in group)))  # whole in each tick of all
        rounded = _rounded(graph, together, alone, (full, span), bits, inputs)
        found.update(dict.fromkeys(group, rounded))
    return found


def _alike(graph: Graph, group: Sequence[str], ends: Sequence[str]) -> bool:
    """Tell whether all layers that flow into some sites have their channels on the same axis.

    What registers of products hold has to have it as well.
    """
    layers = [graph[e] for e in ends if ops.kind(graph[e]) == "weighted"]
    forms = {tuple(_largest(graph, n.name, True).shape) for n in layers}
    products = [p for e in ends if (p := _multiplied(graph, e)) is not None]
    steps = [_largest(graph, e, True).shape for e in ends if products]
    if not all(takes_gain(graph, p, form) for p in products for form in steps):
        return False
    values = {sizes(n.shape or ()) for n in (*layers, *(graph[name] for name in group))}
    return len(forms) <= 1 and (not layers or len(values) == 1)


def _groups(ends: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Put those together that have an end in common, directly or through others."""
    groups: list[tuple[list[str], set[str]]] = []
    for name, own in ends.items():
        near = [g for g in groups if g[1] & set(own)]
        groups = [g for g in groups if g not in near]
        names = [n for g in near for n in g[0]]
        groups.append(([*names, name], set(own).union(*(g[1] for g in near))))
    return [names for names, _ in groups]


def _rounded(
    graph: Graph,
    ends: Sequence[str],
    plain: bool,
    weights: tuple[float, float],
    bits: int,
    inputs: Collection[str],
) -> tuple[Tensor, Tensor]:
    """Round what flows into some sites; ``weights`` are those of inputs and of biases."""
    full, span = weights
    top = 2 ** (bits - 1) - 1
    if not ends:
        return torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    products = [e for e in ends if _multiplied(graph, e) is not None]
    wires = [e for e in ends if e not in products]
    layers = [e for e in wires if ops.kind(graph[e]) == "weighted"]
    spiking = [e for e in layers if graph[e].inputs[0] not in inputs]
    coarse = spiking or layers or [e for e in wires if graph[e].op == ops.SCALE] or products or ends
    largest = _largest_of(graph, coarse, plain)
    fine = [e for e in (*layers, *products) if e not in coarse]
    if fine:  # numbers of the input, and what registers hold, are larger than trains
        other = _largest_of(graph, fine, plain)
        largest = torch.where(other > 0, other.clamp(largest / top, largest), largest)
    fallback = largest.max() if float(largest.max()) > 0 else torch.tensor(1.0, dtype=torch.float64)
    step: Tensor = torch.where(largest > 0, largest, fallback) / top
    rest = torch.zeros((), dtype=torch.float64)
    for end in ends:
        if graph[end].op == ops.SCALE and graph[end].inputs[0] in inputs:
            round_analog(graph, graph[end], step, full)
            continue
        left = _round_terminal(graph, end, step, span)
        rest = rest + left if plain else rest
    return step, rest


def _terminals(graph: Graph, site: Node, inputs: Collection[str] = ()) -> tuple[list[str], bool]:
    """Return what flows into a site, and whether only sums lie between (then steps per channel)."""
    ends: list[str] = []
    plain, todo = True, [(site.name, site.inputs[0])]
    seen: set[tuple[str, str]] = set()
    while todo:
        reader, name = todo.pop()
        node = graph[name]
        kind = ops.kind(node)
        if (reader, name) in seen:
            continue
        seen.add((reader, name))
        if kind == "add":
            todo.extend((name, i) for i in node.inputs)
            plain = plain and node.op == "aten.add.Tensor" and not node.kwargs
            if ops.is_constant_add(node):
                ends.append(name)
        elif kind == "product":
            ends.append(factor_in_front(graph, node).name)
            plain = plain and node.kwargs["by"] == "mul" and node.shape == site.shape
        elif name not in inputs and (kind == "weighted" or node.op == ops.SCALE):
            ends.append(name)
        elif name in inputs or kind in ("site", "pool") or _only_moves_trains(graph, node):
            wire = scaled(graph, name, torch.ones((), dtype=torch.float64))
            graph.redirect(name, wire, only=[reader])
            ends.append(wire)
        else:
            plain = False
            todo.extend((name, i) for i in node.inputs if ops.kind(graph[i]) != "shape")
    return ends, plain


def _multiplied(graph: Graph, name: str) -> Node | None:
    """Return the product whose registers a factor is in front of."""
    if graph[name].op != ops.SCALE:
        return None
    users = graph.users()
    held = [u for u in users[name] if u.op == ops.HOLD]
    return users[held[0].name][0] if held else None


def _only_moves_trains(graph: Graph, node: Node) -> bool:
    value = flow(graph)[node.name]
    return value.train


def _largest_of(graph: Graph, names: Sequence[str], per_channel: bool) -> Tensor:
    """Return the largest absolute weight of several layers."""
    largest = _largest(graph, names[0], per_channel)
    for name in names[1:]:
        largest = torch.maximum(largest, _largest(graph, name, per_channel))
    return largest


def _largest(graph: Graph, name: str, per_channel: bool) -> Tensor:
    """Return the largest absolute weight, per output channel shaped like the site's value."""
    node = graph[name]
    if ops.is_constant_add(node):
        return torch.tensor(0.0, dtype=torch.float64)
    weight: Tensor = graph.params[node.args[1].name].abs()
    spec = ops.weighted(node)
    if not per_channel:
        return weight.max()
    if spec is None or spec.out_axis is None:
        return weight
    if spec.transposed:
        groups = int(node.args[6]) if len(node.args) > 6 else 1
        grouped = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
        flat = grouped.amax((1, 3)).reshape(-1)
    else:
        flat = weight.reshape(weight.shape[0], -1).amax(1)
    trailing = len(node.shape or ()) - 2 if spec.channel_axis == 1 else 0
    return flat.reshape(-1, *(1 for _ in range(trailing)))


def _round_terminal(graph: Graph, name: str, step: Tensor, full: float) -> Tensor:
    """Round one layer; return what its bias of S ticks lacks, shaped like the site's channels."""
    node = graph[name]
    args = list(node.args)
    if ops.is_constant_add(node):
        index = next(i for i, a in enumerate(args[:2]) if isinstance(a, Param))
        args[index], rest = _rounded_bias(graph, args[index], step, full)
        graph.update(dataclasses.replace(node, args=tuple(args)))
        return rest
    weight = graph.params[args[1].name]
    spec = ops.weighted(node)
    gain = 1.0 / step
    if spec is not None and spec.out_axis is not None:
        vector = gain.reshape(-1) if gain.numel() > 1 else gain.reshape(())
        rounded = torch.round(weight * output_gain(node, vector, weight))
        bias_step = step.reshape(-1) if step.numel() > 1 else step.reshape(())
    else:
        rounded, bias_step = torch.round(weight * gain), step
    args[1] = graph.fresh_param(f"{args[1].name}.int", rounded)
    rest = torch.zeros((), dtype=torch.float64)
    if spec is not None and len(args) > 2 and args[2] is not None:
        args[2], rest = _rounded_bias(graph, args[2], bias_step, full)
        rest = rest.reshape(step.shape) if step.numel() == rest.numel() else rest
    graph.update(dataclasses.replace(node, args=tuple(args)))
    return rest


def _rounded_bias(graph: Graph, bias: Param, step: Tensor, full: float) -> tuple[Param, Tensor]:
    """Round the bias of one tick; the stored total is S times it. Return what it lacks, too."""
    total = graph.params[bias.name] / step
    per_tick = torch.round(total / full)
    rest = torch.round(total - per_tick * full)
    return graph.fresh_param(f"{bias.name}.int", per_tick * full), rest
