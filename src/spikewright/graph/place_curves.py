# SPDX-License-Identifier: Apache-2.0
"""Let few-spikes neurons compute functions of one potential, in place of function units."""

import dataclasses
from collections.abc import Mapping

from spikewright.functions.curve import CURVES
from spikewright.graph import ops
from spikewright.graph.activation import behind_moves
from spikewright.graph.ir import Arg, Graph, Node, Ref

__all__ = ["place_curves"]


def place_curves(graph: Graph) -> Graph:
    """Return the graph with few-spikes neurons for read-out, function and loaded neurons.

    A function of a name (see :data:`spikewright.functions.curve.CURVES`) whose potential nobody
    else reads, and whose value goes nowhere but into neurons, is left to one population that takes
    in the potential itself. Functions of a group, products of a value with a function of it, and
    what stands in front of a max pool (a gate needs trains in the order of their values) stay.

    Args:
        graph: A graph after :func:`spikewright.graph.place_sites`; not changed.
    """
    graph = graph.copy()
    for stale in graph:
        node = graph[stale.name]
        if node.op not in (ops.RELAY, ops.RECTIFY) or node.kwargs.get("cap") is not None:
            continue
        activation = graph[node.inputs[0]]
        kwargs = _curve(activation)
        if kwargs is None or not _alone(graph, activation, node):
            continue
        readout = graph[activation.inputs[0]]
        made = dataclasses.replace(
            node, op=ops.CURVE, args=(Ref(readout.inputs[0]),), kwargs=kwargs
        )
        graph.update(made)
    graph.prune()
    return graph


def _curve(node: Node) -> Mapping[str, Arg] | None:
    """Return which function of one number an operator is, None if it is none of a name."""
    name = node.op.split(".")[1] if node.op.startswith("aten.") else ""
    settings = tuple(node.args[1:])
    if name == "gelu" and node.kwargs.get("approximate", "none") == "tanh":
        name = "gelu-tanh"
    elif any(key != "approximate" for key in node.kwargs):
        return None
    if name not in CURVES or not all(type(x) in (int, float) for x in settings):
        return None
    return {"curve": name, "settings": tuple(map(float, settings))}


def _alone(graph: Graph, activation: Node, neurons: Node) -> bool:
    """Tell whether a function reads a potential that is read for it, for these neurons alone."""
    readout = graph[activation.inputs[0]]
    if readout.op != ops.READOUT or not graph.has_one_reader(readout.name):
        return False
    if not graph.has_one_reader(activation.name):
        return False
    return not any(ops.kind(u) == "pool" for u in behind_moves(graph.users(), neurons.name))
