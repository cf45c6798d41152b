# SPDX-License-Identifier: Apache-2.0
"""What the two halves of verification share: checks of a site, free runs, the size of sums."""

import dataclasses
from dataclasses import dataclass

from torch import Tensor

from spikewright.network import SpikingNetwork

__all__ = ["ROUNDING", "FreeRun", "SiteCheck", "absolute"]

ROUNDING = 8.0
"""A near-tie may be away from its boundary by this many rounding errors of the sum of the absolute
values of everything that was added up to the potential, times the square root of the steps."""


@dataclass(frozen=True)
class SiteCheck:
    """What was found at one population or max-pool gate.

    Attributes:
        site: Its name.
        values: How many trains were compared.
        near_ties: How many differ although within tolerance of a boundary.
        mismatches: How many differ beyond it; must be 0.
        distance: Largest distance of a near-tie from its boundary, in units.
        tolerance: What was allowed, in units.
    """

    site: str
    values: int
    near_ties: int
    mismatches: int
    distance: float
    tolerance: float


@dataclass(frozen=True)
class FreeRun:
    """Two simulators that ran by themselves.

    Attributes:
        outputs: Outputs of the fast one.
        ticked: Outputs of the reference.
        spikes_differ: Trains that differ.
    """

    outputs: tuple[Tensor, ...]
    ticked: tuple[Tensor, ...]
    spikes_differ: int


def absolute(network: SpikingNetwork) -> SpikingNetwork:
    """Return the network with all weights and biases positive: what it adds up, without signs."""
    graph = network.graph.copy()
    graph.params = {n: t.abs() if t.is_floating_point() else t for n, t in graph.params.items()}
    for node in graph:
        if node.op == "aten.sub.Tensor":
            graph.update(dataclasses.replace(node, op="aten.add.Tensor"))
    return dataclasses.replace(network, graph=graph)
