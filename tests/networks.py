# SPDX-License-Identifier: Apache-2.0
"""What tests of several rooms need of networks."""

from torch import Tensor

from spikewright.network import SpikingNetwork
from spikewright.simulators import simulator

__all__ = ["totals"]


def totals(snn: SpikingNetwork, x: Tensor, name: str | None = None) -> dict[str, Tensor]:
    """Return the total of every neuron's spikes in a run, by population."""
    found: dict[str, Tensor] = {}

    def add(source: str, first: int, sent: Tensor) -> None:
        found[source] = found.get(source, 0) + sent.sum(0)

    for _ in simulator(snn, name).over_time(snn.check_input(x), add):
        pass
    return {n.name: found[n.name] for n in snn.spiking_nodes()}
