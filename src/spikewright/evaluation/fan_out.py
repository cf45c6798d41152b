# SPDX-License-Identifier: Apache-2.0
"""Exact fan-out: how many additions the spikes of every neuron cause, borders and strides included.

A spike causes one addition for each way that leads from its neuron, through one synapse, to a
membrane. Ways are counted by running the network's own linear operators with every weight set to
one and every average turned into a sum, so each operator's borders, strides, groups and dilation
are what they are. A weight of value zero is a synapse like any other. In a product of two values
the held factor's values are the weights, ones as well; the registers that hold them take in one
addition a spike.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.evaluation.path_graph import path_graph
from spikewright.graph import Graph, Program, ops
from spikewright.graph.batch import batch_of, element_count, sizes
from spikewright.graph.ir import Node, Param
from spikewright.graph.tail import tail_macs
from spikewright.network import SpikingNetwork
from spikewright.simulators.stages import Stages

__all__ = ["FanOut", "Receiver"]

_EXACT = 2.0**24


@dataclass(frozen=True)
class Receiver:
    """What one layer does for one input of the original network, and for a set of spikes.

    Attributes:
        name: Node name of the weighted layer, product or registers, or of the site for shortcut
            wires.
        module: Its module path.
        macs: Multiply-adds of the original layer or product; padding is not multiplied.
        inputs: Values that the original reads.
        held: Those of them that a product's registers hold.
        values: Values that it writes.
        weights: Weights it stores; none if a layer before it stores the same tensor.
        biases: Biases it stores, likewise.
        analog_macs: Those that stay multiply-adds because their input is analog; once for a
            constant input, at every tick where a relay left analog changes with it, and once
            behind the read-outs.
    """

    name: str
    module: str
    macs: int
    analog_macs: int
    inputs: int
    held: int
    values: int
    weights: int
    biases: int


class _InexactError(Exception):
    """Numbers of ways have outgrown what the floating type holds exactly."""


class FanOut:
    """Fan-out of every neuron of a network; computed once, applied to counts of spikes.

    Single precision is several times as fast and exact for numbers of ways below 2^24; where one is
    larger, everything is computed again in double precision.

    Args:
        network: A converted network.
    """

    def __init__(self, network: SpikingNetwork) -> None:
        self._plan = Stages(network)
        self.device = network.device
        # Ways are gradients, whatever mode the caller is in.
        with torch.inference_mode(False), torch.enable_grad():
            try:
                self._trace(torch.float32)
            except _InexactError:
                self._trace(torch.float64)

    def _trace(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._graph = path_graph(self._plan.graph, dtype)
        self._shape = {n.name: sizes(n.shape or ()) for n in self._graph}
        self._batch = {n.name: batch_of(n.shape) for n in self._graph}
        self._links: list[tuple[str, str, Tensor]] = []  # receiver, source, ways
        for stage in self._plan.stages:
            self._add_stage(stage.sources, tuple(t.name for t in stage.targets))
        for name, program in self._plan.holds.items():
            self._add_layer(name, program.given, torch.ones((), device=self.device))
        self.receivers = tuple(self._receivers())

    def _add_stage(self, sources: tuple[str, ...], targets: tuple[str, ...]) -> None:
        """Find the ways from each layer to the targets behind it, then those from the sources."""
        graph = self._graph
        wanted = tuple(graph[t].inputs[0] for t in targets)
        inside = self._between(wanted, sources)
        layers = tuple(n.name for n in graph if n.name in inside and _is_layer(n))
        leaves = tuple(dict.fromkeys((*layers, *sources)))
        zeros = [self._leaf(n) for n in leaves]
        reached = Program(graph, outputs=wanted, given=leaves)(*zeros)
        for target, value in zip(targets, reached, strict=True):
            for name, ways in zip(leaves, self._grad(value.sum(), zeros), strict=True):
                if ways is None:
                    continue
                if name in layers:
                    self._add_layer(name, sources, ways)
                else:
                    self._link(target, name, ways)

    def _add_layer(self, name: str, sources: tuple[str, ...], ways: Tensor) -> None:
        program = Program(self._graph, outputs=(name,), given=sources)
        zeros = [self._leaf(s) for s in sources]
        total = (program(*zeros)[0] * ways).sum()
        for source, found in zip(sources, self._grad(total, zeros), strict=True):
            if found is not None:
                self._link(name, source, found)

    def _link(self, receiver: str, source: str, ways: Tensor) -> None:
        self._links.append((receiver, source, self._batch[source].first(ways)))

    def _grad(self, total: Tensor, leaves: list[Tensor]) -> list[Tensor | None]:
        """Return the ways from each leaf, "1 *value", None where there are none."""
        if not total.requires_grad:
            return [None] * len(leaves)
        asked = [leaf for leaf in leaves if leaf.requires_grad]
        grads = iter(torch.autograd.grad(total, asked, allow_unused=True, retain_graph=True))
        found = [next(grads) if leaf.requires_grad else None for leaf in leaves]
        most = [0.0 if ways is None or not ways.numel() else float(ways.max()) for ways in found]
        if self._dtype == torch.float32 and max(most) >= _EXACT:
            raise _InexactError
        return [ways if largest else None for ways, largest in zip(found, most, strict=True)]

    def _between(self, wanted: tuple[str, ...], sources: tuple[str, ...]) -> set[str]:
        inside: set[str] = set()
        todo = [w for w in wanted if w not in sources]
        while todo:
            name = todo.pop()
            if name not in inside:
                inside.add(name)
                todo.extend(i for i in self._graph[name].inputs if i not in sources)
        return inside

    def additions(self, counts: Mapping[str, Tensor]) -> dict[str, int]:
        """Return the additions at every receiver.

        Args:
            counts: Source name to spikes per neuron, summed over whatever inputs, "*neuron";
                a missing source counts as silent.

        Returns:
            Receiver name to additions; shortcut wires are under their target's name.
        """
        totals: dict[str, int] = {}
        for name, source, ways in self._links:
            own = counts.get(source)
            added = 0
            if own is not None:
                added = int((own.to(self.device, torch.int64) * ways[0].round().long()).sum())
            totals[name] = totals.get(name, 0) + added
        return totals

    def additions_per_spike_of(self, source: str) -> tuple[Tensor, ...]:
        """Return the fan-out of a source's neurons to each of its receivers, "*neuron"."""
        return tuple(ways[0] for _, name, ways in self._links if name == source)

    def additions_per_spike(self) -> dict[str, Tensor]:
        """Return the fan-out of every neuron: additions per spike, "*neuron", float64."""
        found: dict[str, Tensor] = {}
        for _, source, ways in self._links:
            if source not in self._plan.constants:
                own = ways[0].double()
                found[source] = found[source] + own if source in found else own
        return found

    def _leaf(self, name: str) -> Tensor:
        """Return what ways are derived by: zeros, but ones in registers, which send no spikes."""
        zeros = self._zero(name)
        return torch.ones_like(zeros) if _is_held(self._graph[name]) else zeros.requires_grad_()

    def _zero(self, name: str) -> Tensor:
        return torch.zeros(self._shape[name], dtype=self._dtype, device=self.device)

    def _real(self, name: str) -> Tensor:
        """Return which of a node's values are computed, 1, and which are zeros put around them."""
        graph, given = self._graph, dict[str, Tensor | int]()
        todo = [name]
        while todo:
            node = graph[todo.pop()]
            if node.op == "aten.sym_size.int":
                given[node.name] = self._shape[node.inputs[0]][node.args[1]]
            elif ops.kind(node) in ("layout", "shape", "hold"):
                todo.extend(node.inputs)
            else:
                given[node.name] = torch.ones_like(self._zero(node.name))
        found: Tensor = Program(graph, outputs=(name,), given=tuple(given))(*given.values())[0]
        return found

    def _repeats(self, constant: str) -> float:
        """Return how often an analog value is multiplied: once, or every tick if it changes."""
        network = self._plan.network
        changes = self._graph[constant].op == ops.ANALOG_RELAY
        return float(network.schedule.sums(network.graph, network.sites)) if changes else 1.0

    def _receivers(self) -> list[Receiver]:
        graph, constants = self._graph, self._plan.constants
        ones = {s: self._batch[s].first(self._real(s))[0] * self._repeats(s) for s in constants}
        analog = self.additions(ones)
        behind = tail_macs(self._plan.graph)  # no spikes reach these layers
        names = dict.fromkeys((*(name for name, _, _ in self._links), *behind))
        stored: set[str] = set()
        found = []
        for name in names:
            node = graph[name]
            macs = inputs = held = weights = biases = 0
            spec = ops.weighted(node)
            if _is_layer(node):
                read = node.inputs[:1] if spec is not None else node.inputs
                real = [self._real(source) for source in read]
                (out,) = Program(graph, outputs=(name,), given=read)(*real)
                macs = behind.get(name, int(out.sum(dtype=torch.float64)))
                inputs = sum(int(value.count_nonzero()) for value in real)
                held = sum(element_count(graph[i].shape) for i in read if _is_held(graph[i]))
            if spec is not None:
                weights, biases = _stored(self._plan.graph, name, spec, stored)
            found.append(
                Receiver(
                    name=name,
                    module=node.module,
                    macs=macs,
                    analog_macs=behind.get(name, analog.get(name, 0)),
                    inputs=inputs,
                    held=held,
                    values=element_count(node.shape),
                    weights=weights,
                    biases=biases,
                )
            )
        order = {n: i for i, n in enumerate(graph.nodes)}
        return sorted(found, key=lambda r: order[r.name])


def _is_layer(node: Node) -> bool:
    """Tell whether an operator multiplies: by weights, or by what registers hold."""
    return ops.weighted(node) is not None or ops.kind(node) == "product"


def _is_held(node: Node) -> bool:
    return ops.kind(node) == "hold"


def _stored(graph: Graph, name: str, spec: ops.Weighted, stored: set[str]) -> tuple[int, int]:
    """Return how many weights and biases a layer is the first to read."""
    sizes = []
    for index in (spec.weight, spec.bias):
        arg = graph[name].args[index] if len(graph[name].args) > index else None
        if isinstance(arg, Param) and arg.name not in stored:
            stored.add(arg.name)
            sizes.append(graph.params[arg.name].numel())
        else:
            sizes.append(0)
    return sizes[0], sizes[1]
