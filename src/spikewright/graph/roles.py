# SPDX-License-Identifier: Apache-2.0
"""Whether a graph from a file is that of a spiking network: what reads spikes, what follows what.

It is what :func:`spikewright.graph.place_sites` makes: every weighted layer reads spikes or the
input, populations take in what has passed weights or are loaded by function units behind read-outs,
products have one held and one streaming factor, outputs lie behind read-outs.
"""

from collections.abc import Mapping

from spikewright.errors import FileFormatError
from spikewright.graph import ops
from spikewright.graph.activation import behind_moves
from spikewright.graph.arguments import misfit
from spikewright.graph.constants import constants
from spikewright.graph.ir import Graph, Node, Param, Ref
from spikewright.graph.sites import Value, flow, refusals

__all__ = ["check_roles"]


def check_roles(graph: Graph) -> None:
    """Refuse a graph that is no spiking network: every weighted layer reads spikes, and so on."""
    values, users, fixed = flow(graph), graph.users(), constants(graph)
    loading = _loading(graph)
    for refusal in refusals(graph):
        raise misfit(refusal.node, f"{ops.describe(refusal.node)} is {refusal.reason}")
    for node in graph:
        kind, value = ops.kind(node), values[node.name]
        before = [
            values[i] for i in node.inputs if i not in fixed and ops.kind(graph[i]) != "shape"
        ]
        if kind == "weighted" and not value.tail:
            _check_weighted(node)
            if before[0].weighted:
                raise misfit(
                    node, "expected spikes to read, got values that passed weights already"
                )
        loads = node.op in (ops.RELAY, ops.RECTIFY)
        if kind == "site" and not loads and any(b.tail for b in before):
            raise misfit(node, "expected neurons behind read-outs, got another population")
        if kind == "weighted" and node.op != ops.AFFINE and value.tail and node.name in loading:
            raise misfit(node, "expected spikes to read, got what function units compute")
        if kind == "product":
            _check_product(graph, node, values)
        if kind == "hold" and any(ops.kind(u) != "product" for u in users[node.name]):
            raise misfit(node, "expected nothing but products to read a held factor, got others")
        if node.op == ops.INPUT_SITE and not before[0].prefix:
            raise misfit(node, "expected neurons at the input, got them behind weights")
        compared = [u for u in behind_moves(users, node.name) if ops.kind(u) == "pool"]
        if node.op == ops.CURVE and compared:
            raise misfit(node, "expected trains in order for a maximum, got few-spikes ones")
        if kind == "pool" and not value.tail and not before[0].prefix and not before[0].train:
            raise misfit(node, "expected spikes to take the maximum of, got values mixed already")
        if value.tail and kind != "site" and any(not b.tail and not b.prefix for b in before):
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


def _loading(graph: Graph) -> set[str]:
    """Return the values that populations are loaded from or that enter them."""
    return graph.ancestors(i for n in graph if ops.kind(n) == "site" for i in n.inputs)


def _check_product(graph: Graph, node: Node, values: Mapping[str, Value]) -> None:
    """Refuse a product whose factors are not spikes, one of them held."""
    factors = [graph[i] for i in node.inputs]
    if sum(f.op == ops.HOLD for f in factors) != 1:
        raise misfit(node, "expected one factor that is held and one that streams, got others")
    for factor in factors:
        while not values[factor.name].train:
            before = [i for i in factor.inputs if ops.kind(graph[i]) != "shape"]
            moves = ops.kind(factor) == "layout" or factor.op in (ops.SCALE, ops.HOLD)
            if not moves or len(before) != 1:
                raise misfit(node, "expected spikes as factors, got values mixed already")
            factor = graph[before[0]]


def _check_weighted(node: Node) -> None:
    """Refuse a layer whose tensors are not the graph's own, or not in their places."""
    weight, bias = [*node.args[1:3], None][:2]
    own = isinstance(node.args[0], Ref) and isinstance(weight, Param)
    if not own or not isinstance(bias, Param | None) or node.kwargs:
        raise misfit(node, "expected a value, a weight and a bias in their places, got others")
