# SPDX-License-Identifier: Apache-2.0
"""A network cut into what the layered schedule runs together: one stage per depth.

Plan once, apply often: the analog work before the spikes, for every depth the program that turns
the spikes of one tick into currents, and the analog work behind the read-out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.batch import batch_of
from spikewright.graph.ir import Graph, Node
from spikewright.graph.program import Program, resolve_operator
from spikewright.graph.sites import analog_inputs, flow
from spikewright.network import LayeredTiming, SpikingNetwork, depths, plain
from spikewright.network.schedules.layered import Window

__all__ = ["Stage", "Stages", "bias_params", "pool_operator"]

ONE_TICK = Window(0, 1, 1.0, 1.0, (1.0,))
"""What a stage of a network without windows is: each tick by itself."""


@dataclass(frozen=True)
class Stage:
    """Everything of one depth.

    Attributes:
        depth: d ≥ 1; its populations accumulate in the d-th window.
        window: Its ticks, and how what enters in them is weighed.
        targets: Sites that accumulate, in execution order.
        sources: Emitters, analog relays and analog inputs that the stage reads, at any depth
            below; in the order in which ``program`` takes them.
        constant: Whether all sources are constant, so that one evaluation serves all ticks.
        graph: The network's graph.
        params: Tensors that replace the graph's own, by name.
    """

    depth: int
    window: Window
    targets: tuple[Node, ...]
    sources: tuple[str, ...]
    constant: bool
    graph: Graph
    params: Mapping[str, Tensor]

    @cached_property
    def program(self) -> Program:
        """Spikes (or constant currents) of one tick to the input current of each target."""
        wanted = [t.inputs[0] for t in self.targets]
        return Program(
            self.graph, outputs=wanted, given=self.sources, params=self.params, fast=True
        )


def pool_operator(graph: Graph, node: Node) -> Callable[[Tensor], Tensor]:
    """Return a max pool of the graph as a function of its input alone."""
    fn = resolve_operator(node.op)
    rest, kwargs, pick = node.args[1:], dict(node.kwargs), node.pick

    def pool(x: Tensor) -> Tensor:
        result: Tensor = fn(x, *(list(a) if isinstance(a, tuple) else a for a in rest), **kwargs)
        return result if pick is None else result[pick]

    return pool


def bias_params(graph: Graph) -> set[str]:
    """Return the names of tensors that are added between sites, whose share depends on time."""
    values = flow(graph)
    names: set[str] = set()
    for node in graph:
        if values[node.name].tail or values[node.name].prefix:
            continue
        spec = ops.weighted(node)
        if spec is not None and len(node.args) > spec.bias and node.args[spec.bias] is not None:
            names.add(node.args[spec.bias].name)
        elif ops.is_constant_add(node):
            names.update(node.params)
    return names


class Stages:
    """The compiled network; holds no state of a run.

    Args:
        network: The network.
        tick: Whether biases are those of one tick or totals over a stage.
        asleep: Whether biases are off.
    """

    def __init__(self, network: SpikingNetwork, *, tick: bool = True, asleep: bool = False) -> None:
        graph = network.graph
        self.network, self.graph = network, graph
        self.depth = depths(graph)
        values = flow(graph)
        self.biases = bias_params(graph)
        timing = network.timing()
        windows = timing.windows if isinstance(timing, LayeredTiming) else ()
        self.inputs = analog_inputs(graph)
        self.prefix = Program(graph, outputs=self.inputs)
        self.readouts = tuple(n.name for n in graph if n.op == ops.READOUT)
        self.tail = Program(graph, given=(*self.readouts, *graph.inputs))
        self.batch = {n.name: batch_of(n.shape) for n in graph}
        emitters = [
            n
            for n in graph
            if n.op in ops.SPIKING_OPS or (ops.kind(n) == "pool" and values[n.name].train)
        ]
        self.emitters: dict[int, tuple[Node, ...]] = {}
        for node in emitters:
            at = self.depth[node.name]
            self.emitters[at] = (*self.emitters.get(at, ()), node)
        analog = {n.name for n in graph if n.op == ops.ANALOG_RELAY}
        self.constants = analog | set(self.inputs)
        cut = {e.name for e in emitters} | self.constants
        self.pool_inputs = {
            n.name: self._wire(n.inputs[0], cut) for n in emitters if ops.kind(n) == "pool"
        }
        self.stages = []
        for depth in range(1, max(self.depth.values()) + 1):
            window = windows[depth - 1] if windows else ONE_TICK
            share = 0.0 if asleep else 1.0 / window.span if tick else 1.0
            params = {b: graph.params[b] * share for b in self.biases}
            self.stages.append(self._stage(depth, window, cut, params))
        self.last_reader: dict[str, int] = {}
        for stage in self.stages:
            for source in stage.sources:
                self.last_reader[source] = stage.depth

    def _wire(self, name: str, cut: set[str]) -> Program:
        """Return the program from one emitter's spikes to a pool's input (moves only)."""
        return Program(self.graph, outputs=(name,), given=self._sources([name], cut))

    def _sources(self, names: Sequence[str], cut: set[str]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        todo, seen = list(names), set[str]()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in cut or name in self.graph.inputs:
                found[name] = None
            else:
                todo.extend(self.graph[name].inputs)
        return tuple(n for n in self.graph.nodes if n in found)

    def _stage(
        self, depth: int, window: Window, cut: set[str], params: Mapping[str, Tensor]
    ) -> Stage:
        targets = tuple(
            n
            for n in self.graph
            if ops.kind(n) == "site" and n.op != ops.INPUT_SITE and self.depth[n.name] == depth
        )
        sources = self._sources([t.inputs[0] for t in targets], cut)
        return Stage(
            depth=depth,
            window=window,
            targets=targets,
            sources=sources,
            constant=all(s in self.constants or s in self.graph.inputs for s in sources),
            graph=self.graph,
            params=params,
        )

    def threshold(self, name: str) -> float | Tensor:
        """Return V_th of a site, as a number where it is one (cheaper arithmetic)."""
        return plain(self.network.sites[name].threshold)

    def entered(self, v: Tensor, name: str) -> Tensor:
        """Apply a population's function to its potential, in the potential's own unit.

        Args:
            v: All that has entered, "batch *neuron"; may be overwritten.
            name: The population.
        """
        site = self.network.sites[name]
        if site.function.by_firing:
            return v
        threshold = self.threshold(name)
        scaled = threshold if isinstance(threshold, Tensor) or threshold != 1.0 else None
        v = v if scaled is None else v.div_(scaled)
        unit = site.broadcast(site.scale, v.ndim) / self.network.full(name)
        v = site.function.in_units(v, unit)
        return v if scaled is None else v.mul_(scaled)

    def is_signed(self, source: str) -> bool:
        """Tell whether the spikes of a population, or of a gate behind it, carry signs."""
        node = self.graph[source]
        while ops.kind(node) != "site":
            node = self.graph[node.inputs[0]]
        return self.network.sites[node.name].signed

    def pre_bias(self, name: str) -> float | Tensor:
        """Return the pre-bias of a site, as a number where it is one."""
        return plain(self.network.sites[name].pre_bias)
