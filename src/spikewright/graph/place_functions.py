# SPDX-License-Identifier: Apache-2.0
"""Put read-outs in front of regions of functions, neurons behind them, registers at products."""

import dataclasses

from spikewright.graph import ops
from spikewright.graph.ir import Graph, Node, Ref
from spikewright.graph.regions import Part, is_product, never_negative, regions

__all__ = ["place_functions"]


def place_functions(graph: Graph) -> dict[str, Part]:
    """Place in a graph, in place, what functions of values and products of values need.

    A wire's complete value, read by functions, gets a read-out; a function's value that spikes
    must carry gets neurons, loaded with it. A product's right factor gets registers (which factor
    is held can be changed later). A value that is read out in the middle of the network and goes
    on as well goes on as spikes of its own, so that it is accumulated once.

    Args:
        graph: A graph after :func:`find_activations`, with input neurons if it has any.

    Returns:
        What computes each of the nodes that were there before.
    """
    parts = regions(graph)
    for stale in graph:
        part = parts[stale.name]
        if part.state == "wire" and is_product(stale) and ops.kind(stale) == "analog":
            _write_product(graph, graph[stale.name])
    readouts = {
        name: _read_out(graph, parts, name)
        for name in tuple(graph.nodes)
        if name in parts and parts[name].state == "wire" and graph[name].shape is not None
    }
    for name in tuple(graph.nodes):
        if name in parts and parts[name].state == "function":
            _encode(graph, parts, name)
    inside = graph.ancestors(i for n in graph if ops.kind(n) == "site" for i in n.inputs)
    for name, readout in readouts.items():
        if readout is not None and readout in inside and parts[name].weighted:
            _carry(graph, name, readout)
    return parts


def _write_product(graph: Graph, node: Node) -> None:
    left, right = (arg.name for arg in node.args[:2])
    hold = graph.insert_behind(right, ops.HOLD, "held", place=node.name)
    by = "mul" if node.op == "aten.mul.Tensor" else "matmul"
    graph.update(
        dataclasses.replace(node, op=ops.PRODUCT, args=(Ref(left), Ref(hold)), kwargs={"by": by})
    )


def _read_out(graph: Graph, parts: dict[str, Part], name: str) -> str | None:
    """Put a read-out between a wire and the functions that read it; return its name."""
    readers = [
        u.name for u in graph.users()[name] if u.name in parts and parts[u.name].state == "function"
    ]
    if not readers:
        return None
    readout = graph.insert_behind(name, ops.READOUT, "readout")
    graph.redirect(name, readout, only=readers)
    graph.outputs = tuple(readout if o == name else o for o in graph.outputs)
    return readout


def _encode(graph: Graph, parts: dict[str, Part], name: str) -> None:
    """Put neurons between a function's value and the wires that read it."""
    users = graph.users()[name]
    readers = [u.name for u in users if _reads_spikes(parts, u)]
    if not readers:
        return
    while graph.has_one_reader(name) and _moves(graph[name]):
        before = [i for i in graph[name].inputs if ops.kind(graph[i]) != "shape"]
        if len(before) != 1 or before[0] not in parts or parts[before[0]].state != "function":
            break
        parts[name] = dataclasses.replace(parts[name], state="wire")
        readers, name = [name], before[0]
    made = next((u.name for u in graph.users()[name] if u.name.endswith("/neurons")), None)
    if made is not None and made not in parts:  # another reader has them already
        graph.redirect(name, made, only=readers)
    else:
        _relay(graph, name, readers, positive=_is_positive(graph, name))


def _carry(graph: Graph, name: str, readout: str) -> None:
    """Send a value that is read out on as spikes, to whoever reads it besides."""
    rest = [u for u in graph.users()[name] if u.name != readout and ops.kind(u) != "shape"]
    graph.redirect(name, readout, only=[u.name for u in rest if ops.kind(u) == "site"])
    wires = [u.name for u in rest if ops.kind(u) != "site"]
    if wires:
        graph.redirect(name, readout, only=wires)
        _relay(graph, readout, wires, positive=False)


def _relay(graph: Graph, name: str, readers: list[str], *, positive: bool) -> None:
    op = ops.RECTIFY if positive else ops.RELAY
    graph.redirect(name, graph.insert_behind(name, op, "neurons", {"cap": None}), only=readers)


def _reads_spikes(parts: dict[str, Part], user: Node) -> bool:
    if ops.kind(user) in ("site", "shape"):
        return False
    return user.name not in parts or parts[user.name].state == "wire"


def _moves(node: Node) -> bool:
    kind = ops.kind(node)
    return kind == "layout" or (kind == "mixing" and node.op not in (ops.SCALE, ops.WINDOW_SUM))


def _is_positive(graph: Graph, name: str) -> bool:
    """Tell whether a function's values are 0 or more, whatever it is given."""
    node = graph[name]
    while _moves(node):
        before = [i for i in node.inputs if ops.kind(graph[i]) != "shape"]
        if len(before) != 1:
            return False
        node = graph[before[0]]
    return never_negative(node)
