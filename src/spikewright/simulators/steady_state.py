# SPDX-License-Identifier: Apache-2.0
"""Where a wake-sleep network comes to rest, in closed form: one pass, no ticks.

It is the quantised network that the spiking one stands for, in units of spikes, and so the
reference for "converted without loss".
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.graph import Node, Program, analog_inputs, ops
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.network import SpikingNetwork
from spikewright.simulators.stages import bias_params

__all__ = ["Settled", "Settlement", "settle"]


@dataclass(frozen=True)
class Settlement:
    """A network at rest.

    Attributes:
        outputs: The network's outputs.
        counts: Population to the total of its neurons' spikes, "batch *neuron".
    """

    outputs: tuple[Tensor, ...]
    counts: dict[str, Tensor]


class Settled:
    """A compiled wake-sleep network that is evaluated at rest.

        N = clamp(floor((v_0 + T·I)/θ), 0, T)     (signed: from -T)

    Here T·I is the current of T awake ticks: inputs and biases T times, the spikes of populations
    in front by their totals.

    Args:
        network: A network with the wake-sleep schedule and an analog input.

    Raises:
        ConfigError: If the schedule is another, or its input enters as spikes.
    """

    def __init__(self, network: SpikingNetwork) -> None:
        graph = network.graph
        if network.schedule.counting != "rest":
            raise ConfigError(
                "settle: expected a network with the wake-sleep schedule, got one with the "
                f"{network.schedule.name} schedule, which does not come to rest."
            )
        if any(n.op == ops.INPUT_SITE for n in graph):
            raise ConfigError(
                "settle: expected an analog input, got one that enters as spikes. Convert with "
                "input='analog'."
            )
        self.network, self._awake = network, network.awake
        self._inputs = analog_inputs(graph)
        self._prefix = Program(graph, outputs=self._inputs)
        self._readouts = tuple(n.name for n in graph if n.op == ops.READOUT)
        self._given = tuple(dict.fromkeys((*self._inputs, *graph.inputs)))
        self._body = Program(
            graph,
            outputs=self._readouts,
            given=self._given,
            site=self._site,
            params={b: graph.params[b] * network.awake for b in bias_params(graph)},
        )
        self._tail = Program(graph, given=(*self._readouts, *graph.inputs))
        self._firing = {n: network.firing(n) for n in network.sites}
        self._counts: dict[str, Tensor] = {}

    def __call__(self, x: Inputs) -> Settlement:
        """Return where a batch comes to rest.

        Args:
            x: Inputs in the network's type and on its device, "batch *feature".
        """
        T = self._awake
        values = dict(zip(self.network.graph.inputs, as_inputs(x), strict=True))
        constants = dict(zip(self._inputs, self._prefix(*as_inputs(x)), strict=True))
        given = [constants[n] * T if n in constants else values[n] for n in self._given]
        counts: dict[str, Tensor] = {}
        self._counts = counts
        currents = self._body(*given)
        self._counts = {}
        outputs = self._tail(*(c / T for c in currents), *as_inputs(x))
        return Settlement(outputs, counts)

    def _site(self, node: Node, x: Tensor, overwrite: bool) -> Tensor:
        if node.op not in ops.SPIKING_OPS:
            return x
        firing = self._firing[node.name]
        level = torch.floor((x + firing.v_init) / firing.threshold)
        T = self._awake
        n = level.clamp_(-T if firing.signed else 0, T)
        self._counts[node.name] = n
        return n


def settle(network: SpikingNetwork, x: Inputs) -> Settlement:
    """Return where a wake-sleep network comes to rest on a batch.

    Args:
        network: A network with the wake-sleep schedule and an analog input.
        x: Inputs, "batch *feature".

    Raises:
        ConfigError: If the schedule is another, or the input enters as spikes.
        ShapeError: If an input has another shape than the network takes.
    """
    run = Settled(network)
    with torch.no_grad():
        return run(network.check_input(x))
