# SPDX-License-Identifier: Apache-2.0
"""The layered schedule: a population first takes in whole trains, then fires its own.

Temporal separation (SpikeConverter, AAAI 2022). Populations of depth d take in during stage d, one
after the other, and fire in stage d + 1; the network's input has depth 0. A stage lasts as long as
the longest train that enters it. Shorter ones end with it, so that the last step of every train
weighs one unit in the same tick.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from spikewright.codes import Code
from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.graph.complete import complete_values
from spikewright.graph.ir import Graph, Node
from spikewright.network.schedules.base import Counting, Schedule
from spikewright.network.site import Site
from spikewright.neurons import Accumulating, Neuron

__all__ = ["DelayLine", "Layered", "LayeredTiming", "Phase", "Window", "depths", "loaded"]


@dataclass(frozen=True, kw_only=True)
class Layered(Schedule):
    """Whole trains in, then a whole train out; biases and constant currents are spread over it."""

    name: ClassVar[str | None] = "layered"
    simulators: ClassVar[tuple[str, ...]] = (
        "spikewright.simulators.collapsed:Collapsed",
        "spikewright.simulators.layered:LayeredReference",
    )
    check: ClassVar[str] = "spikewright.simulators.check_layered:check_layered"
    counting: ClassVar[Counting] = "trains"
    whole_trains: ClassVar[bool] = True

    def timing(self, graph: Graph, sites: Mapping[str, Site]) -> "LayeredTiming":
        """Return when every population works."""
        return _timing(graph, sites)

    def steps(self, graph: Graph, sites: Mapping[str, Site]) -> int:
        """Return the length of the last stage, which the read-out takes in."""
        return _timing(graph, sites).windows[-1].length

    def full(self, site: Site) -> float:
        """Return S, the largest value of a train."""
        return site.code.max_value

    def spans(self, graph: Graph, sites: Mapping[str, Site]) -> dict[str, float]:
        """Return the weight of each population's stage."""
        timing = _timing(graph, sites)
        return {n: timing.windows[max(d, 1) - 1].span for n, d in timing.depth.items()}

    def sums(self, graph: Graph, sites: Mapping[str, Site]) -> int:
        """Return 1: a population takes in one span."""
        return 1

    def misfit(self, site: Site, neuron: type[Neuron]) -> str:
        """Say what of a population the schedule cannot run; nothing if it can."""
        if not issubclass(neuron, Accumulating):
            return f"the neuron {site.neuron!r}, which does not wait for its whole input"
        if not neuron.emits(site.code):
            return f"the neuron {site.neuron!r}, which does not emit {site.code.name} trains"
        return ""


@dataclass(frozen=True)
class Window:
    """A stage: the ticks in which the populations of one depth take in.

    Attributes:
        start: First tick.
        length: Ticks.
        k: What potentials are multiplied by at every tick. It is the ratio of the step weights of
            all trains that enter; 1 where they differ or have none, and then every symbol enters
            with the weight that its sender's code gives it.
        span: Weight of a current of 1 in every tick: Σ k^j.
        shares: Share of a constant current that has entered after each tick.
        mixed: Whether trains of several ratios, or of none, enter.
    """

    start: int
    length: int
    k: float
    span: float
    shares: tuple[float, ...]
    mixed: bool = False

    @property
    def stop(self) -> int:
        """Tick after the last."""
        return self.start + self.length


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
class LayeredTiming:
    """When every population works, for one input and for a stream of them.

    Attributes:
        windows: The stages, that of depth 1 first.
        depth: Site to depth; read-outs are the deepest.
        trains: Site to the ticks of its train; read-outs and analog relays fire none.
        delays: One entry for each source and each length of delay.
    """

    windows: tuple[Window, ...]
    depth: dict[str, int]
    trains: dict[str, int]
    delays: tuple[DelayLine, ...]

    @property
    def latency_ticks(self) -> int:
        """Sequential ticks from the first input tick to the decision: (L + 1)·T if all have T."""
        return self.windows[-1].stop

    def decision_tick(self, t: int) -> int:
        """Return the tick at which the read-out has seen ``t`` of its steps."""
        return self.windows[-1].start + t

    def ticks_per_input(self, membranes: int = 2) -> int:
        """Return the ticks between inputs in steady state.

        A neuron is busy for two stages. With one membrane the next input can start to accumulate
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
        longest = max(w.length for w in self.windows)
        if membranes == 2:
            return longest
        busy = [
            self.windows[d].stop - self.windows[d - 1].start
            for d in {self.depth[s] for s in self.trains}
            if d > 0
        ]
        return max(longest, *busy) if busy else longest

    def phases(self, start: int = 0) -> Iterator[Phase]:
        """Iterate over what every population does for the input that enters at tick ``start``."""
        for site, depth in self.depth.items():
            if depth > 0:
                window = self.windows[depth - 1]
                yield Phase(site, "accumulate", start + window.start, start + window.stop)
            if site in self.trains:
                stop = start + self.windows[depth].stop
                yield Phase(site, "fire", stop - self.trains[site], stop)

    def to_dict(self) -> dict[str, Any]:
        """Return the clock as JSON-able data."""
        return {
            "kind": "layered",
            "steps": self.windows[-1].length,
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
        edges = sorted(
            {t + i * every for w in self.windows for t in (w.start, w.stop) for i in range(inputs)}
        )[: (width - 8) // 5]
        last = self.latency_ticks + (inputs - 1) * every
        columns = [t for t in edges if t < last]
        lines = ["depth   " + "".join(f"{t:<5d}" for t in columns) + "ticks"]
        firing = {self.depth[s] for s in self.trains}
        for depth, window in enumerate(self.windows, start=1):
            after = self.windows[depth] if depth in firing else None
            cells = []
            for t in columns:
                marks = "".join(
                    mark + str(i)
                    for i in range(inputs)
                    for mark, w in (("a", window), ("f", after))
                    if w is not None and w.start <= t - i * every < w.stop
                )
                cells.append(f"{marks[:4]:<5s}" if marks else "  .  ")
            lines.append(f"{depth:<8d}" + "".join(cells))
        lines.append("a0: accumulates input 0; f0: fires it")
        return "\n".join(lines)


def depths(graph: Graph) -> dict[str, int]:
    """Return the depth of every value: the number of stages after which it is there.

    Populations take in during a stage, and so do the registers of a product's held factor. Neurons
    that are loaded with a complete value (the input's, or a function's) fire it in the next stage.
    """
    depth: dict[str, int] = {}
    full = loaded(graph)
    for node in graph:
        before = max((depth[i] for i in node.inputs), default=0)
        takes_in = ops.kind(node) in ("site", "hold") and node.name not in full
        depth[node.name] = before + 1 if takes_in else before
    return depth


def loaded(graph: Graph) -> frozenset[str]:
    """Return the populations that take nothing in, but are loaded with a complete value."""
    complete = complete_values(graph)
    return frozenset(
        n.name
        for n in graph
        if n.op == ops.INPUT_SITE
        or (ops.kind(n) == "site" and n.op != ops.READOUT and not complete.isdisjoint(n.inputs))
    )


def code_of(graph: Graph, sites: Mapping[str, Site], source: str) -> Code:
    """Return the code of a population's spikes, or of those that a gate passes on.

    Raises:
        ConfigError: If a gate takes the maximum of trains of several codes.
    """
    found = {sites[name].code for name in _behind(graph, source, _fires)}
    if len(found) > 1:
        names = ", ".join(sorted(f"{c.name} of {c.steps} steps" for c in found))
        raise ConfigError(
            f"{source}: expected a maximum of trains of one code, got {names}. Give the "
            "populations in front of it the same code."
        )
    return found.pop()


def _timing(graph: Graph, sites: Mapping[str, Site]) -> LayeredTiming:
    depth, full = depths(graph), loaded(graph)
    nodes = [n for n in graph if ops.kind(n) == "site"]
    spiking = {n.name for n in graph if _fires(n)}
    gates = {n.name for n in graph if ops.kind(n) == "pool" and _behind(graph, n.name, _fires)}
    emitters = spiking | gates
    stages: list[dict[str, Code]] = [{} for _ in range(max(depth[n.name] for n in nodes))]
    entering: list[list[tuple[str, int]]] = [[] for _ in stages]
    for node in nodes:
        if node.op in ops.SPIKING_OPS and depth[node.name] < len(stages):
            stages[depth[node.name]][node.name] = sites[node.name].code  # it fires there
        if node.name in full:
            continue
        for source in _behind(graph, node.inputs[0], lambda n: n.name in emitters):
            at = depth[node.name] - 1
            stages[at][source] = code_of(graph, sites, source)
            if depth[source] < at:
                entering[at].append((source, depth[source]))
    windows: list[Window] = []
    for at, codes in enumerate(stages):
        own = [sites[n.name].code for n in nodes if depth[n.name] == at + 1]
        windows.append(_window(windows, list(codes.values()) or own))
    held = {
        (source, windows[at].stop - windows[before].stop)
        for at, late in enumerate(entering)
        for source, before in late
    }
    return LayeredTiming(
        windows=tuple(windows),
        depth={n.name: depth[n.name] for n in nodes},
        trains={
            n.name: sites[n.name].code.steps
            for n in nodes
            if n.op in ops.SPIKING_OPS and depth[n.name] < len(windows)
        },
        delays=tuple(DelayLine(*h) for h in sorted(held)),
    )


def _window(before: list[Window], codes: list[Code]) -> Window:
    """Return the stage that some trains enter, or that lasts as long if none does."""
    start = before[-1].stop if before else 0
    longest = max(codes, key=lambda code: code.steps)
    length, ratios = longest.steps, {code.k for code in codes}
    if len(ratios) == 1 and 0.0 not in ratios:
        shares = tuple(longest.share(t) for t in range(1, length + 1))
        return Window(start, length, longest.k, longest.max_value, shares)
    shares = tuple(t / length for t in range(1, length + 1))
    return Window(start, length, 1.0, float(length), shares, mixed=True)


def _fires(node: Node) -> bool:
    return node.op in ops.SPIKING_OPS


def _behind(graph: Graph, name: str, wanted: Callable[[Node], bool]) -> set[str]:
    """Return the nearest wanted nodes that a value is computed from, itself if it is one."""
    found: set[str] = set()
    todo, seen = [name], set[str]()
    while todo:
        node = graph[todo.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        if wanted(node):
            found.add(node.name)
        elif ops.kind(node) not in ("site", "shape", "hold"):  # who reads a shape reads no spikes
            todo.extend(node.inputs)
    return found
