# SPDX-License-Identifier: Apache-2.0
"""Walk through a network site by site while the layers in front already spike.

Threshold balancing and layer-wise correction choose what a population does from the currents that
the finished populations before it cause. In a feed-forward network one pass is enough: a whole
train is known at a site before the next one is reached.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.codes import Rate
from spikewright.graph import Graph, Node, ops
from spikewright.graph.batch import element_count
from spikewright.graph.ir import Inputs
from spikewright.methods.base import Prepared, silent_site
from spikewright.methods.synchronous import SynchronousConfig, input_scale
from spikewright.network import SpikingNetwork, Synchronous
from spikewright.neurons import Firing, stepping
from spikewright.simulators.stages import pool_operator
from spikewright.simulators.tick_plan import BASE, TickPlan
from spikewright.simulators.timefold import scan, scan_gate

__all__ = ["Fire", "Population", "input_population", "inputs_that_fit", "walk"]

FOLDED_ELEMENTS = 128_000_000
"""Elements of the largest population over all ticks and inputs of a walk: 512 MB."""

Fire = Callable[[Node, Tensor], Tensor]
"""Given a population and its currents "time batch *neuron" in the network's own numbers, returns
its spikes times what a spike is worth, of the same shape."""


@dataclass(frozen=True)
class Population:
    """How a population fires in a walk, in the network's own numbers.

    Attributes:
        neuron: Name of its model.
        scale: λ, what a spike is worth and the threshold; broadcastable with a value.
        firing: Its other constants, for a threshold of 1.
    """

    neuron: str
    scale: Tensor
    firing: Firing

    def fire(self, currents: Tensor) -> Tensor:
        """Return spikes times λ for a train of currents, "time batch *neuron"."""
        neuron = stepping(self.neuron)
        scaled = currents / self.scale
        state = neuron.begin(scaled[0], self.firing)
        return scan(neuron, state, scaled, self.firing, scaled).mul_(self.scale)


def input_population(config: SynchronousConfig, prepared: Prepared, node: Node) -> Population:
    """Return the neurons that turn the network's input into spikes, as a method sets them."""
    firing = Firing(signed=node.name in prepared.signed_inputs, seed=config.seed)
    return Population(config.input_neuron(), input_scale(prepared, node), firing)


def inputs_that_fit(graph: Graph, T: int, wanted: int) -> int:
    """Return how many inputs a walk of T steps can take at once, at most ``wanted``, at least 1."""
    largest = max(element_count(n.shape) for n in graph if n.op in ops.SPIKING_OPS)
    return max(1, min(wanted, FOLDED_ELEMENTS // (largest * T)))


def walk(graph: Graph, x: Inputs, T: int, gate: str, fire: Fire) -> None:
    """Run a placed network on whole trains, asking at every population how it fires.

    Args:
        graph: The network with its sites, in its own numbers.
        x: Input (or inputs), "batch *feature".
        T: Time steps.
        gate: Name of the gate that takes maxima.
        fire: Called for every population in order.
    """
    pools = {n.name: pool_operator(graph, n) for n in graph if ops.kind(n) == "pool"}

    def site(node: Node, value: Tensor, overwrite: bool) -> Tensor:
        if node.op in (ops.READOUT, ops.ANALOG_RELAY):
            return value
        constant, at = plan.is_constant(node.name), plan.batch[node.name]
        before = plan.batch[node.inputs[0]]
        train = value.expand(T, *value.shape) if constant else before.split(value, T)
        if ops.kind(node) != "pool":
            return at.unsplit(fire(node, train))
        return at.unsplit(scan_gate(plan.gate, None, train, pools[node.name], BASE)[0])

    code = Rate(T=T)
    sites = {n.name: silent_site(n, code) for n in graph if ops.kind(n) == "site"}
    plan = TickPlan(
        SpikingNetwork(graph=graph, sites=sites, gate=gate, schedule=Synchronous()), site
    )
    with torch.no_grad():
        plan.run(plan.once(x), T)
