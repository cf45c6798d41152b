# SPDX-License-Identifier: Apache-2.0
"""Exact fan-out: how many additions the spikes of every neuron cause, borders and strides included.

A spike causes one addition for each way that leads from its neuron, through one synapse, to a
membrane. Ways are counted by running the network's own linear operators with every weight set to
one and every average turned into a sum, so each operator's borders, strides, groups and dilation
are what they are. A weight of value zero is a synapse like any other.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.graph import Graph, Program, Ref, flow, ops
from spikewright.graph.ir import Param
from spikewright.graph.simplify import element_count
from spikewright.graph.windows import to_sum
from spikewright.network import SpikingNetwork
from spikewright.simulators.stages import Stages

__all__ = ["FanOut", "Receiver", "path_graph"]


@dataclass(frozen=True)
class Receiver:
    """What one layer does for one input of the original network, and for a set of spikes.

    Attributes:
        name: Node name of the weighted layer, or of the site for shortcut wires.
        module: Its module path.
        macs: Multiply-adds of the original layer; padding is not multiplied.
        inputs: Values that the original layer reads.
        values: Values that it writes.
        weights: Weights it stores; none if a layer before it stores the same tensor.
        biases: Biases it stores, likewise.
        analog_macs: Those that stay multiply-adds because their input is analog; once for a
            constant input, at every tick where a relay left analog changes with it.
    """

    name: str
    module: str
    macs: int
    analog_macs: int
    inputs: int
    values: int
    weights: int
    biases: int


def path_graph(graph: Graph) -> Graph:
    """Return the graph with weights one, biases zero, and averages turned into sums."""
    graph = graph.copy()
    values = flow(graph)
    for node in graph:
        spec = ops.weighted(node)
        args = list(node.args)
        if spec is not None:
            weight = graph.params[args[spec.weight].name]
            args[spec.weight] = _ones(graph, weight)
            if len(args) > spec.bias and args[spec.bias] is not None:
                args[spec.bias] = _zeros(graph, graph.params[args[spec.bias].name])
            graph.update(dataclasses.replace(node, args=tuple(args)))
        elif node.op == ops.SCALE:
            one = graph.fresh_param(f"{node.name}/one", torch.ones((), dtype=torch.float64))
            graph.update(dataclasses.replace(node, args=(args[0], one)))
        elif ops.is_constant_add(node):
            zero = graph.fresh_param(f"{node.name}/zero", torch.zeros((), dtype=torch.float64))
            graph.update(
                dataclasses.replace(
                    node,
                    op="aten.add.Tensor",
                    args=tuple(a if isinstance(a, Ref) else zero for a in args[:2]),
                    kwargs={},
                )
            )
        elif ops.kind(node) == "add":
            graph.update(
                dataclasses.replace(node, op="aten.add.Tensor", args=tuple(args[:2]), kwargs={})
            )
        elif ops.kind(node) == "mixing" and not (
            values[node.name].tail or values[node.name].prefix
        ):
            to_sum(graph, node, ways=True)
    return graph


def _ones(graph: Graph, like: Tensor) -> object:
    return graph.fresh_param("one", torch.ones(like.shape, dtype=torch.float64, device=like.device))


def _zeros(graph: Graph, like: Tensor) -> object:
    return graph.fresh_param(
        "zero", torch.zeros(like.shape, dtype=torch.float64, device=like.device)
    )


class FanOut:
    """Fan-out of every neuron of a network; computed once, applied to counts of spikes.

    Args:
        network: A converted network.
    """

    def __init__(self, network: SpikingNetwork) -> None:
        plan = Stages(network)
        self._graph = path_graph(network.graph)
        self._plan = plan
        self._parts: list[tuple[str, Program, tuple[str, ...], Tensor]] = []
        self._direct: list[tuple[str, str, Tensor]] = []
        self._shape = {n.name: tuple(s or 1 for s in n.shape or ()) for n in self._graph}
        self.device = network.device
        for stage in plan.stages:
            self._add_stage(stage.sources, tuple(t.name for t in stage.targets))
        self.receivers = tuple(self._receivers())

    def _add_stage(self, sources: tuple[str, ...], targets: tuple[str, ...]) -> None:
        graph = self._graph
        wanted = tuple(graph[t].inputs[0] for t in targets)
        inside = self._between(wanted, sources)
        weighted = tuple(n.name for n in graph if n.name in inside and ops.weighted(n) is not None)
        leaves = tuple(dict.fromkeys((*weighted, *sources)))
        zeros = [
            torch.zeros(self._shape[n], dtype=torch.float64, device=self.device, requires_grad=True)
            for n in leaves
        ]
        with torch.enable_grad():
            reached = Program(graph, outputs=wanted, given=leaves)(*zeros)
            for target, value in zip(targets, reached, strict=True):
                grads = (
                    torch.autograd.grad(value.sum(), zeros, allow_unused=True, retain_graph=True)
                    if value.requires_grad
                    else [None] * len(zeros)
                )
                for name, grad in zip(leaves, grads, strict=True):
                    if grad is None or not bool(grad.any()):
                        continue
                    if name in weighted:
                        self._parts.append(
                            (name, Program(graph, outputs=(name,), given=sources), sources, grad)
                        )
                    else:
                        self._direct.append((target, name, grad))

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
        values = {s: c.to(self.device, torch.float64).unsqueeze(0) for s, c in counts.items()}
        return self._total(values, spiking=True)

    def ways(self) -> dict[str, Tensor]:
        """Return the fan-out of every neuron: additions per spike, "*neuron", float64."""
        sources = dict.fromkeys(
            [s for p in self._parts for s in p[2]] + [d[1] for d in self._direct]
        )
        spiking = [s for s in sources if s not in self._plan.constants]
        zeros = {s: self._zero(s).requires_grad_() for s in spiking}
        with torch.enable_grad():
            total = torch.zeros((), dtype=torch.float64, device=self.device)
            for _, program, given, ways in self._parts:
                (arrived,) = program(*(zeros.get(s, self._zero(s)) for s in given))
                total = total + (arrived * ways).sum()
            for _, source, ways in self._direct:
                if source in zeros:
                    total = total + (zeros[source] * ways).sum()
            if not total.requires_grad:
                return {}
            found = torch.autograd.grad(total, list(zeros.values()), allow_unused=True)
        return {s: g[0] for s, g in zip(spiking, found, strict=True) if g is not None}

    def _total(self, values: Mapping[str, Tensor], *, spiking: bool) -> dict[str, int]:
        totals: dict[str, int] = {}
        for name, program, sources, ways in self._parts:
            given = [values.get(s, self._zero(s)) for s in sources]
            (arrived,) = program(*given)
            totals[name] = totals.get(name, 0) + int((arrived * ways).sum())
        for target, source, ways in self._direct:
            if source in values:
                totals[target] = totals.get(target, 0) + int((values[source] * ways).sum())
        return totals

    def _zero(self, name: str) -> Tensor:
        return torch.zeros(self._shape[name], dtype=torch.float64, device=self.device)

    def _repeats(self, constant: str) -> float:
        """Return how often an analog value is multiplied: once, or every tick if it changes."""
        network = self._plan.network
        changes = self._graph[constant].op == ops.ANALOG_RELAY
        return float(network.code.steps) if changes and network.span == 1.0 else 1.0

    def _receivers(self) -> list[Receiver]:
        graph, constants = self._graph, self._plan.constants
        ones = {
            s: torch.full(self._shape[s], self._repeats(s), dtype=torch.float64, device=self.device)
            for s in constants
        }
        analog = self._total(ones, spiking=False)
        names = dict.fromkeys([p[0] for p in self._parts] + [d[0] for d in self._direct])
        stored: set[str] = set()
        found = []
        for name in names:
            node = graph[name]
            macs = inputs = weights = biases = 0
            spec = ops.weighted(node)
            if spec is not None:
                source = node.inputs[0]
                one = torch.ones(self._shape[source], dtype=torch.float64, device=self.device)
                (out,) = Program(graph, outputs=(name,), given=(source,))(one)
                macs, inputs = int(out.sum()), one.numel()
                weights, biases = _stored(self._plan.graph, name, spec, stored)
            found.append(
                Receiver(
                    name=name,
                    module=node.module,
                    macs=macs,
                    analog_macs=analog.get(name, 0),
                    inputs=inputs,
                    values=element_count(node.shape),
                    weights=weights,
                    biases=biases,
                )
            )
        order = {n: i for i, n in enumerate(graph.nodes)}
        return sorted(found, key=lambda r: order[r.name])


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
