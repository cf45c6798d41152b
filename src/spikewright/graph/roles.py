# SPDX-License-Identifier: Apache-2.0
"""Whether a graph from a file is that of a spiking network: what reads spikes, what follows what.

It is what :func:`spikewright.graph.place_sites` makes: every weighted layer reads spikes or the
input, populations take in what has passed weights, outputs lie behind read-outs.
"""

from spikewright.errors import FileFormatError
from spikewright.graph import ops
from spikewright.graph.arguments import misfit
from spikewright.graph.ir import Graph, Node, Param, Ref
from spikewright.graph.sites import flow, refusals

__all__ = ["check_roles"]


def check_roles(graph: Graph) -> None:
    """Refuse a graph that is no spiking network: every weighted layer reads spikes, and so on."""
    values, users = flow(graph), graph.users()
    for refusal in refusals(graph):
        raise misfit(refusal.node, f"{ops.describe(refusal.node)} is {refusal.reason}")
    for node in graph:
        kind, value = ops.kind(node), values[node.name]
        before = [values[i] for i in node.inputs if ops.kind(graph[i]) != "shape"]
        if kind == "weighted" and not value.tail:
            _check_weighted(node)
            if before[0].weighted:
                raise misfit(
                    node, "expected spikes to read, got values that passed weights already"
                )
        if kind == "site" and any(b.tail for b in before):
            raise misfit(node, "expected a population in front of the read-outs, got one behind")
        if node.op == ops.INPUT_SITE and not before[0].prefix:
            raise misfit(node, "expected neurons at the input, got them behind weights")
        if kind == "pool" and not value.tail and not before[0].prefix and not before[0].train:
            raise misfit(node, "expected spikes to take the maximum of, got values mixed already")
        if kind == "analog" and value.tail and any(not b.tail and not b.prefix for b in before):
            raise misfit(node, "expected a read-out in front of analog work, got spikes")
    if not any(n.op in ops.SPIKING_OPS and n.op != ops.INPUT_SITE for n in graph):
        raise FileFormatError(
            "graph: expected a population that spikes, got none. Convert the model again."
        )
    for name in graph.outputs:
        if not values[name].tail:
            raise misfit(graph[name], "expected outputs behind a read-out, got another value")
        if graph[name].shape is None:
            raise misfit(graph[name], "expected tensors as outputs, got something else")
    for node in graph:
        if node.op == ops.READOUT and any(not values[u.name].tail for u in users[node.name]):
            raise misfit(node, "expected nothing but analog work behind a read-out")


def _check_weighted(node: Node) -> None:
    """Refuse a layer whose tensors are not the graph's own, or not in their places."""
    weight, bias = [*node.args[1:3], None][:2]
    own = isinstance(node.args[0], Ref) and isinstance(weight, Param)
    if not own or not isinstance(bias, Param | None) or node.kwargs:
        raise misfit(node, "expected a value, a weight and a bias in their places, got others")
