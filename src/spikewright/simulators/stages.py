# SPDX-License-Identifier: Apache-2.0
"""A network cut into what the layered schedule runs together: one stage per depth.

Plan once, apply often: the analog work before the spikes, for every depth the program that turns
the spikes of one tick into currents, what function units make of complete values, and the analog
work behind the read-outs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.batch import batch_of
from spikewright.graph.ir import Graph, Inputs, Node, as_inputs
from spikewright.graph.program import Program
from spikewright.graph.sites import analog_inputs, flow
from spikewright.graph.windows import pool_operator as pool_operator
from spikewright.network import LayeredTiming, SpikingNetwork, depths, loaded, plain
from spikewright.network.schedules.layered import Window

__all__ = ["Region", "Stage", "Stages", "bias_params", "pool_operator"]

ONE_TICK = Window(0, 1, 1.0, 1.0, (1.0,))
"""What a stage of a network without windows is: each tick by itself."""


@dataclass(frozen=True)
class Stage:
    """Everything of one depth.

    Attributes:
        depth: d ≥ 1; its populations accumulate in the d-th window.
        window: Its ticks, and how what enters in them is weighed.
        targets: Sites that accumulate, in execution order.
        sources: Emitters, analog relays, analog inputs and held factors that the stage reads, at
            any depth below; in the order in which ``program`` takes them.
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


@dataclass(frozen=True)
class Region:
    """Function units at work between two stages.

    Attributes:
        nodes: Neurons that are loaded with their values, in execution order.
        readouts: Accumulators whose potentials they read.
        program: From these (and the input) to the values of the neurons.
    """

    nodes: tuple[Node, ...]
    readouts: tuple[str, ...]
    program: Program


def _read_out(graph: Graph, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the read-outs that values are computed from, with no neurons between."""
    found: set[str] = set()
    todo, seen = list(wanted), set[str]()
    while todo:
        node = graph[todo.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        if node.op == ops.READOUT:
            found.add(node.name)
        elif ops.kind(node) != "site":
            todo.extend(node.inputs)
    return tuple(n for n in graph.nodes if n in found)


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
        self.readouts = _read_out(graph, graph.outputs)
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
        emitting = {e.name for e in emitters} | analog
        self.holds = {
            n.name: Program(graph, outputs=n.inputs, given=self._sources(n.inputs, emitting))
            for n in graph
            if ops.kind(n) == "hold"
        }
        self.loaded = loaded(graph)
        self.regions: dict[int, Region] = {}
        for depth in {self.depth[name] for name in self.loaded if self.depth[name]}:
            self.regions[depth] = self._region(depth)
        cut = emitting | self.constants | set(self.holds)
        self.pool_inputs = {
            n.name: self._wire(n.inputs[0], cut) for n in emitters if ops.kind(n) == "pool"
        }
        self.stages = []
        for depth in range(1, max(self.depth.values()) + 1):
            window = windows[depth - 1] if windows else ONE_TICK
            share = 0.0 if asleep else 1.0 / window.span if tick else 1.0
            params = {b: graph.params[b] * share for b in self.biases}
            self.stages.append(self._stage(depth, window, cut, params))
        self.last_function: dict[str, int] = dict.fromkeys(self.readouts, len(self.stages) + 1)
        for depth, region in self.regions.items():
            for name in region.readouts:
                self.last_function[name] = max(depth, self.last_function.get(name, 0))
        self.last_reader: dict[str, int] = {}
        for stage in self.stages:
            for source in stage.sources:
                self.last_reader[source] = stage.depth

    def _region(self, depth: int) -> "Region":
        """Return what loads the neurons that fire behind a stage."""
        nodes = tuple(
            n for n in self.graph if n.name in self.loaded and self.depth[n.name] == depth
        )
        wanted = tuple(n.inputs[0] for n in nodes)
        readouts = _read_out(self.graph, wanted)
        given = (*readouts, *self.inputs, *(i for i in self.graph.inputs if i not in self.inputs))
        return Region(nodes, readouts, Program(self.graph, outputs=wanted, given=given))

    def load(
        self, depth: int, potentials: Mapping[str, Tensor], x: Inputs, prefix: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the complete values of the neurons that are loaded behind a stage.

        Args:
            depth: The stage.
            potentials: What the read-outs have accumulated, by name.
            x: The network's inputs.
            prefix: What analog work made of them, by name.
        """
        region = self.regions.get(depth)
        if region is None:
            return {}
        own = dict(zip(self.graph.inputs, as_inputs(x), strict=True)) | dict(prefix)
        given = (potentials[n] if n in region.readouts else own[n] for n in region.program.given)
        values = region.program(*given)
        return {n.name: value for n, value in zip(region.nodes, values, strict=True)}

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
            if ops.kind(n) == "site" and n.name not in self.loaded and self.depth[n.name] == depth
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

    def sends_signs(self, source: str) -> bool:
        """Tell whether a population, or a gate behind it, sends spikes of both signs."""
        return self.is_signed(source) or self.network.code_of(source).both_signs

    def pre_bias(self, name: str) -> float | Tensor:
        """Return the pre-bias of a site, as a number where it is one."""
        return plain(self.network.sites[name].pre_bias)
