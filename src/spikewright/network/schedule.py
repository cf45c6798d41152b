# SPDX-License-Identifier: Apache-2.0
"""The layered schedule as data: which population accumulates or fires at which tick.

Temporal separation (SpikeConverter, AAAI 2022): a population first accumulates the whole train of
the populations before it, then fires its own. Populations of depth d accumulate in ticks
[(d-1)·steps, d·steps) and fire in [d·steps, (d+1)·steps); the network's input has depth 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.graph.ir import Graph

__all__ = ["DelayLine", "LayeredSchedule", "Phase", "depths", "layered_schedule"]


@dataclass(frozen=True)
class Phase:
    """One population doing one thing for one input.

    Attributes:
        site: Name of the population.
        action: ``"accumulate"`` or ``"fire"``.
        start: First tick.
        stop: Tick after the last.
    """

    site: str
    action: Literal["accumulate", "fire"]
    start: int
    stop: int


@dataclass(frozen=True)
class DelayLine:
    """Spikes that a shortcut has to hold back until the main path arrives.

    Attributes:
        source: Population or max-pool gate whose spikes are delayed.
        ticks: Length of the delay, which is also the number of symbols held per neuron.
    """

    source: str
    ticks: int


@dataclass(frozen=True)
class LayeredSchedule:
    """When every population works, for one input and for a stream of them.

    Attributes:
        steps: Ticks of one train.
        depth: Site to depth; read-outs are the deepest.
        fires: Sites that fire (read-outs and analog relays do not).
        delays: One entry for each source and each length of delay.
    """

    steps: int
    depth: dict[str, int]
    fires: frozenset[str]
    delays: tuple[DelayLine, ...]

    @property
    def latency_ticks(self) -> int:
        """Sequential ticks from the first input tick to the decision: (L + 1)·steps."""
        return max(self.depth.values()) * self.steps

    def decision_tick(self, t: int) -> int:
        """Return the tick at which the read-out has seen ``t`` of its steps."""
        return self.latency_ticks - self.steps + t

    def ticks_per_input(self, membranes: int = 2) -> int:
        """Return the ticks between inputs in steady state.

        A neuron is busy for two trains. With one membrane the next input can start to accumulate
        when it has fired; with two, one accumulates while the other fires.

        Args:
            membranes: Membranes per neuron, 1 or 2.

        Raises:
            ConfigError: If ``membranes`` is neither 1 nor 2.
        """
        if membranes not in (1, 2):
            raise ConfigError(
                f"membranes: expected 1 or 2 per neuron, got {membranes!r}. "
                "More than two bring nothing: a wire carries one train at a time."
            )
        spiking = [d for s, d in self.depth.items() if s in self.fires and d > 0]
        return 2 * self.steps if membranes == 1 and spiking else self.steps

    def phases(self, start: int = 0) -> Iterator[Phase]:
        """Iterate over what every population does for the input that enters at tick ``start``."""
        for site, depth in self.depth.items():
            if depth > 0:
                yield Phase(
                    site, "accumulate", start + (depth - 1) * self.steps, start + depth * self.steps
                )
            if site in self.fires:
                yield Phase(
                    site, "fire", start + depth * self.steps, start + (depth + 1) * self.steps
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the schedule as JSON-able data."""
        return {
            "kind": "layered",
            "steps": self.steps,
            "latency_ticks": self.latency_ticks,
            "ticks_per_input": {
                "one membrane": self.ticks_per_input(1),
                "two membranes": self.ticks_per_input(2),
            },
            "phases": [[p.site, p.action, p.start, p.stop] for p in self.phases()],
            "delays": [[d.source, d.ticks] for d in self.delays],
        }

    def table(self, inputs: int = 3, membranes: int = 2, width: int = 72) -> str:
        """Draw the pipeline as text: one row per depth, one column per train.

        Args:
            inputs: How many inputs to show in flight.
            membranes: Membranes per neuron.
            width: Columns to use at most.
        """
        every = self.ticks_per_input(membranes)
        last = self.latency_ticks + (inputs - 1) * every
        columns = min(last // self.steps, (width - 8) // 5)
        lines = ["depth   " + "".join(f"{c * self.steps:<5d}" for c in range(columns)) + "ticks"]
        for depth in range(1, max(self.depth.values()) + 1):
            cells = ["  .  "] * columns
            fires = any(d == depth and s in self.fires for s, d in self.depth.items())
            for i in range(inputs):
                first = (depth - 1) + i * every // self.steps
                for offset, mark in ((0, "a"), (1, "f"))[: 2 if fires else 1]:
                    if first + offset < columns:
                        old = cells[first + offset].strip()
                        text = f"{mark}{i}" if old == "." else f"{old}{mark}{i}"
                        cells[first + offset] = f"{text[:4]:<5s}"
            lines.append(f"{depth:<8d}" + "".join(cells))
        lines.append("a0: accumulates input 0; f0: fires it")
        return "\n".join(lines)


def depths(graph: Graph) -> dict[str, int]:
    """Return the depth of every value: the number of populations on the longest way to it."""
    depth: dict[str, int] = {}
    for node in graph:
        before = max((depth[i] for i in node.inputs), default=0)
        counts = ops.kind(node) == "site" and node.op != ops.INPUT_SITE
        depth[node.name] = before + 1 if counts else before
    return depth


def layered_schedule(graph: Graph, steps: int) -> LayeredSchedule:
    """Derive the schedule from a graph with sites.

    Args:
        graph: The graph.
        steps: Ticks of one train.
    """
    depth = depths(graph)
    sites = [n for n in graph if ops.kind(n) == "site"]
    emitters = {n.name for n in graph if n.op in ops.SPIKING_OPS or ops.kind(n) == "pool"}
    held: set[tuple[str, int]] = set()
    for site in sites:
        if site.op == ops.INPUT_SITE:
            continue
        for source in _sources(graph, site.inputs[0], emitters):
            wait = depth[site.name] - 1 - depth[source]
            if wait > 0:
                held.add((source, wait * steps))
    return LayeredSchedule(
        steps=steps,
        depth={s.name: depth[s.name] for s in sites},
        fires=frozenset(s.name for s in sites if s.op in ops.SPIKING_OPS),
        delays=tuple(DelayLine(*h) for h in sorted(held)),
    )


def _sources(graph: Graph, name: str, emitters: set[str]) -> set[str]:
    """Return the emitters and analog relays that a value is computed from."""
    found: set[str] = set()
    todo, seen = [name], set[str]()
    while todo:
        node = graph[todo.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        if node.name in emitters:
            found.add(node.name)
        elif ops.kind(node) not in ("site", "shape"):  # who reads a shape reads no spikes
            todo.extend(node.inputs)
    return found
