# SPDX-License-Identifier: Apache-2.0
"""What both simulators of the synchronous schedule share: a run's state, and who is told of it."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.program import SiteFunction
from spikewright.network import SpikingNetwork
from spikewright.neurons import State
from spikewright.simulators.base import Count, Probe
from spikewright.simulators.stages import pool_operator
from spikewright.simulators.tick_plan import TickPlan

__all__ = ["RunState", "Watched", "add_"]


@dataclass
class RunState:
    """The state of one run; fresh for every run.

    Attributes:
        neurons: State of each population.
        gates: State of each max-pool gate.
        entered: What has entered each of them so far, if anybody asks.
        sent: What each has sent so far, likewise.
        t: Step at hand, from 1.
        ticks: Steps that are run together, this one the first.
        at_rest: Whether no neuron fired in the last of them, asleep, so that none will again.
    """

    neurons: dict[str, State] = field(default_factory=dict)
    gates: dict[str, Any] = field(default_factory=dict)
    entered: dict[str, Tensor] = field(default_factory=dict)
    sent: dict[str, Tensor] = field(default_factory=dict)
    t: int = 0
    ticks: int = 1
    at_rest: bool = False


class Watched:
    """A compiled network whose runs may be counted and probed.

    Args:
        network: A network with the synchronous schedule.
        site: What the simulator does at populations, gates, relays and read-outs.
    """

    def __init__(self, network: SpikingNetwork, site: SiteFunction) -> None:
        self.network = network
        self.plan = TickPlan(network, site)
        self._pool = {
            n.name: pool_operator(network.graph, n) for n in network.graph if ops.kind(n) == "pool"
        }
        self._watch(RunState())

    def _watch(self, run: RunState, count: Count | None = None, probe: Probe | None = None) -> None:
        """Make a run the one that sites step, and say who is told of it."""
        self._run, self._count, self._probe = run, count, probe

    def _tell(self, run: RunState, probe: Probe | None) -> None:
        """Tell of a whole run what entered every population and gate, and what it sent."""
        if probe is None:
            return
        for name, entered in run.entered.items():
            pool = self._pool.get(name)
            probe(name, entered if pool is None else pool(entered), run.sent[name])


def add_(totals: dict[str, Tensor], name: str, value: Tensor) -> None:
    """Add to a total, which a first value begins; its memory is not taken."""
    if name in totals:
        totals[name].add_(value)
    else:
        totals[name] = value.clone()
