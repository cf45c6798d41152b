# SPDX-License-Identifier: Apache-2.0
"""One row for each layer, product, population, gate and function of a network, as it is counted."""

import dataclasses
from collections.abc import Iterator, Sequence

from spikewright.evaluation.fan_out import Receiver
from spikewright.evaluation.fixed_work import fixed_work_of
from spikewright.evaluation.layer_count import LayerCount
from spikewright.evaluation.spike_counts import SpikeCounts
from spikewright.graph import Graph, Node, ops
from spikewright.graph.function_units import Operation
from spikewright.graph.function_work import FunctionWork, function_work
from spikewright.network import SpikingNetwork, depths

__all__ = ["layers_of"]

_NAMED = 3
"""Operators of a function that its row names."""


def layers_of(network: SpikingNetwork, counted: SpikeCounts) -> tuple[LayerCount, ...]:
    """Return the work of a network, row by row in execution order.

    Args:
        network: A converted network.
        counted: What its spikes did.
    """
    graph, neurons = network.graph, network.neurons()
    counts, fan_out = counted.totals(), counted.fan_out
    additions = fan_out.additions(counts)
    found: dict[str, list[LayerCount]] = {name: [] for name in graph.nodes}
    for r in fan_out.receivers:
        found[r.name].append(_receiver(graph[r.name], r, additions.get(r.name, 0)))
    for name, work in fixed_work_of(network).items():
        if ops.kind(graph[name]) == "hold":
            (row,) = found[name]
            found[name] = [dataclasses.replace(row, **dataclasses.asdict(work))]
            continue
        layer = LayerCount(
            name=name,
            kind=_kind(graph[name]),
            spikes=int(counts[name].sum()) if name in counts else 0,
            neurons=neurons.get(name, 0),
            **dataclasses.asdict(work),
        )
        found[name].append(layer)
    for name, row in _functions(graph):
        found[name].append(row)
    return _told_apart([layer for layers in found.values() for layer in layers])


def _receiver(node: Node, r: Receiver, additions: int) -> LayerCount:
    own = {"product": "product", "hold": "register", "weighted": "layer"}
    kind = own.get(ops.kind(node), "shortcut")
    name = r.module or r.name if kind == "layer" else r.name
    return LayerCount(
        name=f"{name} (shortcut)" if kind == "shortcut" else name,
        kind=kind,
        additions=additions,
        macs=r.macs,
        analog_macs=r.analog_macs,
        inputs=r.inputs,
        held=r.held,
        values=r.values,
        weights=r.weights,
        biases=r.biases,
    )


def _functions(graph: Graph) -> Iterator[tuple[str, LayerCount]]:
    """Yield one row for the operators of a module that follow each other, and its first one."""
    depth = depths(graph)
    groups: dict[tuple[str, str, int], list[FunctionWork]] = {}
    for name, work in function_work(graph).items():
        groups.setdefault((work.kind, work.node.module, depth[name]), []).append(work)
    for (kind, module, _), works in groups.items():
        names = list(dict.fromkeys(ops.describe(w.node) for w in works))
        said = ", ".join(names[:_NAMED]) + (", \N{HORIZONTAL ELLIPSIS}" if names[_NAMED:] else "")
        yield (
            works[0].node.name,
            LayerCount(
                name=f"{module} ({said})" if module else said,
                kind=kind,
                evaluations=_total(works, "evaluation"),
                multiplications=_total(works, "multiplication"),
                sums=_total(works, "addition"),
                divisions=_total(works, "division"),
                comparisons=_total(works, "comparison"),
                inputs=sum(w.reads for w in works),
                values=sum(w.writes for w in works),
            ),
        )


def _total(works: Sequence[FunctionWork], operation: Operation) -> int:
    return sum(w.operations.get(operation, 0) for w in works)


def _told_apart(layers: Sequence[LayerCount]) -> tuple[LayerCount, ...]:
    """Number the places of a module that is used several times: "conv", "conv (2)"."""
    used: set[tuple[str, str]] = set()
    found = []
    for layer in layers:
        name, count = layer.name, 1
        while (name, layer.kind) in used:
            count += 1
            name = f"{layer.name} ({count})"
        used.add((name, layer.kind))
        found.append(dataclasses.replace(layer, name=name))
    return tuple(found)


def _kind(node: Node) -> str:
    if ops.kind(node) == "pool":
        return "gate"
    if node.op == ops.READOUT:
        return "read-out"
    return "relay left analog" if node.op == ops.ANALOG_RELAY else "neurons"
