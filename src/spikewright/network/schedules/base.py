# SPDX-License-Identifier: Apache-2.0
"""What every schedule says of the networks that run by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from spikewright.codes.plain import from_plain, to_plain
from spikewright.graph.ir import Graph
from spikewright.network.site import Site
from spikewright.neurons import Neuron

__all__ = ["Counting", "Schedule", "Timing"]

Counting = Literal["trains", "steps", "rest"]
"""In what pieces a schedule's simulators tell of spikes: whole trains, decoded; step by step; or
step by step until nothing fires any more."""


@runtime_checkable
class Timing(Protocol):
    """The clock of one network, in ticks.

    Attributes:
        latency_ticks: Sequential ticks from the first input tick to the decision.
    """

    @property
    def latency_ticks(self) -> int:
        """Sequential ticks from the first input tick to the decision."""
        ...

    def decision_tick(self, t: int) -> int:
        """Return the tick at which the read-out has seen ``t`` of its steps."""
        ...

    def ticks_per_input(self, membranes: int = 2) -> int:
        """Return the ticks between inputs in steady state."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the clock as JSON-able data."""
        ...

    def table(self, inputs: int = 3, membranes: int = 2, width: int = 72) -> str:
        """Draw it as text."""
        ...


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When populations take in and fire.

    Attributes:
        name: Public name.
        simulators: Where its simulators are, the fastest first, the definition last.
        check: Where the function is that compares them.
        counting: In what pieces they tell of spikes.
        whole_trains: Whether populations have all of their input before they fire, so that they
            can fire any function of it, and products of it.
        version: Changes when the meaning of the settings changes.
    """

    name: ClassVar[str | None] = None
    simulators: ClassVar[tuple[str, ...]] = ()
    check: ClassVar[str] = ""
    counting: ClassVar[Counting] = "steps"
    whole_trains: ClassVar[bool] = False
    version: ClassVar[int] = 1

    def timing(self, graph: Graph, sites: Mapping[str, Site]) -> Timing:
        """Return the clock of a network."""
        raise NotImplementedError

    def steps(self, graph: Graph, sites: Mapping[str, Site]) -> int:
        """Return the number of steps after which a network can be read out."""
        raise NotImplementedError

    def awake(self, sites: Mapping[str, Site]) -> int | None:
        """Return for how many ticks of a run the input is on; None: for all of them."""
        return None

    def full(self, site: Site) -> float:
        """Return how many units of a population its scale λ stands for."""
        raise NotImplementedError

    def spans(self, graph: Graph, sites: Mapping[str, Site]) -> dict[str, float]:
        """Return, for each population, the weight of what biases in front of it stand for."""
        raise NotImplementedError

    def sums(self, graph: Graph, sites: Mapping[str, Site]) -> int:
        """Return how many spans a population may add up."""
        raise NotImplementedError

    def misfit(self, site: Site, neuron: type[Neuron]) -> str:
        """Say what of a population the schedule cannot run; nothing if it can.

        Args:
            site: The population.
            neuron: Its neuron model.
        """
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return name, version and settings as plain values."""
        return to_plain(self, self.version)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Schedule":
        """Build the schedule from what ``to_dict`` wrote.

        Raises:
            ConfigError: If a key, the name or the version is not known.
        """
        return from_plain(cls, plain, cls.version)
