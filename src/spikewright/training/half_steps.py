# SPDX-License-Identifier: Apache-2.0
"""Start flooring activations where rounding ones would be: half a level in the bias in front."""

import torch
from torch import Tensor

from spikewright.graph import Graph, Node, ops
from spikewright.graph.ir import Param
from spikewright.training.activations import ClipFloor
from spikewright.training.network import BATCH_NORM, TrainableNetwork

__all__ = ["add_half_steps", "bias_in_front"]


def add_half_steps(graph: Graph, network: TrainableNetwork) -> None:
    """Add θ/(2Q) to what enters every flooring activation, in a bias that nothing else reads.

    Flooring takes half a level off every value on average, layer after layer. A trained network
    that is handed on to fine-tuning starts from rounding instead; the activation itself stays as
    published, since a bias can hold the half step. Ours. Where no bias leads to a site alone,
    nothing is added.

    Args:
        graph: The network's graph.
        network: Changed in place.
    """
    users = graph.users()
    for node in graph:
        site = network.site_of(node.name)
        if not isinstance(site, ClipFloor):
            continue
        bias = bias_in_front(graph, graph[node.inputs[0]], users, network)
        if bias is not None:
            with torch.no_grad():
                bias.add_(site.cap / (2 * site.levels))


def bias_in_front(
    graph: Graph, node: Node, users: dict[str, list[Node]], network: TrainableNetwork
) -> Tensor | None:
    """Return a bias that is added to a value and to nothing else, None if there is none."""
    if len(users[node.name]) != 1 or node.name in graph.outputs:
        return None
    if ops.kind(node) == "add":
        found = (bias_in_front(graph, graph[i], users, network) for i in node.inputs)
        return next((b for b in found if b is not None), None)
    spec = ops.weighted(node)
    index = 2 if node.op == BATCH_NORM else None if spec is None else spec.bias
    if index is None or len(node.args) <= index or not isinstance(node.args[index], Param):
        return None
    name = node.args[index].name
    if sum(name in n.params for n in graph) > 1:
        return None
    return network.tensor(name)
