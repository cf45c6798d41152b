# SPDX-License-Identifier: Apache-2.0
"""The synchronous schedule: every population takes in and may fire in every tick.

With ticks asleep at the end, in which input and biases are off, it is the wake-sleep schedule.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from spikewright.errors import ConfigError
from spikewright.graph.ir import Graph
from spikewright.network.schedules.base import Schedule
from spikewright.network.schedules.layered import depths
from spikewright.network.site import Site
from spikewright.neurons import Neuron, Stepping

__all__ = ["Synchronous", "SynchronousTiming"]


@dataclass(frozen=True, kw_only=True)
class Synchronous(Schedule):
    """Biases and analog values enter anew in every tick; the graph does not depend on T."""

    name: ClassVar[str | None] = "synchronous"
    simulators: ClassVar[tuple[str, ...]] = (
        "spikewright.simulators.timefold:Timefold",
        "spikewright.simulators.synchronous:SynchronousReference",
    )
    check: ClassVar[str] = "spikewright.simulators.check_synchronous:check_synchronous"

    def timing(self, graph: Graph, sites: Mapping[str, Site]) -> "SynchronousTiming":
        """Return how long a run takes."""
        steps, awake = self.steps(graph, sites), self.awake(sites)
        depth = max(depths(graph).values())
        return SynchronousTiming(steps, depth, 0 if awake is None else steps - awake)

    def steps(self, graph: Graph, sites: Mapping[str, Site]) -> int:
        """Return the steps of a train, which all populations have in common."""
        found = {site.code.steps for site in sites.values()}
        if len(found) > 1:
            raise ConfigError(
                f"{self.name} schedule: expected trains of one length, got {sorted(found)} steps. "
                "Every population works in every tick; use the layered schedule for others."
            )
        return found.pop()

    def full(self, site: Site) -> float:
        """Return 1: λ is worth one spike a tick."""
        return 1.0

    def spans(self, graph: Graph, sites: Mapping[str, Site]) -> dict[str, float]:
        """Return 1 for each population: biases are those of one tick."""
        return dict.fromkeys(sites, 1.0)

    def sums(self, graph: Graph, sites: Mapping[str, Site]) -> int:
        """Return the steps: one span in each."""
        return self.steps(graph, sites)

    def misfit(self, site: Site, neuron: type[Neuron]) -> str:
        """Say what of a population the schedule cannot run; nothing if it can."""
        if not issubclass(neuron, Stepping):
            return f"the neuron {site.neuron!r}, which waits for its whole input"
        if site.code.k != 1.0 or site.code.holds:
            return f"the {site.code.name} code, whose steps do not all weigh the same"
        return ""


@dataclass(frozen=True)
class SynchronousTiming:
    """All layers at work in every tick, from the first on.

    A tick is one step of the whole network: spikes of a layer reach the next one within it, as in
    the papers' simulations. Hardware that takes a tick per layer adds ``depth - 1`` ticks once.

    Attributes:
        steps: Ticks that an input is shown.
        depth: Populations one behind the other, the read-out included.
        sleep: How many of the steps, the last ones, pass asleep.
    """

    steps: int
    depth: int
    sleep: int = 0

    @property
    def latency_ticks(self) -> int:
        """Sequential ticks from the first input tick to the decision."""
        return self.steps

    def decision_tick(self, t: int) -> int:
        """Return the tick at which the read-out has seen ``t`` of its steps."""
        return t

    def ticks_per_input(self, membranes: int = 2) -> int:
        """Return the ticks between inputs in steady state.

        Every neuron works for one input from its first tick to its last, so a second membrane
        brings nothing.

        Raises:
            ConfigError: If ``membranes`` is neither 1 nor 2.
        """
        if membranes not in (1, 2):
            raise ConfigError(f"membranes: expected 1 or 2 per neuron, got {membranes!r}.")
        return self.steps

    def to_dict(self) -> dict[str, Any]:
        """Return the schedule as JSON-able data."""
        return {
            "kind": "wake-sleep" if self.sleep else "synchronous",
            "steps": self.steps,
            **({"sleep": self.sleep} if self.sleep else {}),
            "depth": self.depth,
            "latency_ticks": self.latency_ticks,
            "ticks_per_input": self.ticks_per_input(),
        }

    def table(self, inputs: int = 3, membranes: int = 2, width: int = 72) -> str:
        """Draw as text which input the network works on: one column a train."""
        columns = max(1, min(inputs, (width - 8) // 6))
        ticks = "".join(f"{i * self.ticks_per_input(membranes):<6d}" for i in range(columns))
        row = "".join(f"w{i:<5d}" for i in range(columns))
        return f"depth   {ticks}ticks\n1..{self.depth:<5d}{row}\nw0: all layers work on input 0"
