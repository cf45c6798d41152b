# SPDX-License-Identifier: Apache-2.0
"""The numbers of a converted network's wires."""

from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.units import move_map
from spikewright.network import SpikingNetwork

__all__ = ["full_scale"]


def full_scale(network: SpikingNetwork, name: str) -> Tensor:
    """Return what a full train on a wire stands for in the original network's numbers.

    At a population it is λ; operators that move elements move it along, and a factor on the wire
    divides it.

    Args:
        network: A network on the CPU.
        name: A population, or a max-pool gate behind one.

    Returns:
        Broadcastable with the wire's value.
    """
    graph, node = network.graph, network.graph[name]
    if ops.kind(node) == "site":
        site = network.sites[name]
        return site.broadcast(site.scale, len(node.shape or ()))
    if node.op == ops.SCALE:
        gain: Tensor = graph.params[node.args[1].name]
        return full_scale(network, node.inputs[0]) / gain
    mover = graph[node.args[0].name] if node.op == "operator.getitem" else node
    known = {i: full_scale(network, i) for i in mover.inputs if graph[i].shape is not None}
    moved = move_map(graph, node, known)
    if moved is None:
        raise RuntimeError(f"{name}: windows hold values of different scales")
    return moved
