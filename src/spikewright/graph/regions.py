# SPDX-License-Identifier: Apache-2.0
"""Which operators spikes do, and which a population's function unit does before it fires.

A population of the layered schedule has its whole input before it fires, so it may fire any
function of it. Between an accumulator and the neurons that send its function's values, operators
work on complete values: a GELU, a softmax, a layer norm, in whatever spelling. Such a stretch is a
*region* of functions. All else are *wires*: spikes, and the currents that they cause.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from spikewright.graph import ops
from spikewright.graph.constants import constants
from spikewright.graph.ir import Graph, Node, Ref

__all__ = ["Part", "is_product", "never_negative", "regions"]

State = Literal["prefix", "wire", "function"]

_MATRIX = frozenset({"aten.matmul.default", "aten.bmm.default", "aten.mm.default"})
_ELEMENTWISE = frozenset({"aten.mul.Tensor"})

_SOFTMAX = frozenset({"aten.softmax.int", "aten._softmax.default"})

_POSITIVE = frozenset(
    {
        *(
            f"aten.{name}.default"
            for name in ("sigmoid", "exp", "exp2", "softplus", "relu", "relu6", "abs", "square")
        ),
        *("aten.sqrt.default", "aten.rsqrt.default", "aten.hardsigmoid.default"),
        *("aten.softmax.int", "aten._softmax.default"),
    }
)


@dataclass(frozen=True)
class Part:
    """What computes a value.

    Attributes:
        state: ``"prefix"``: the input and constants alone, before any weights; ``"wire"``: spikes
            or the currents they cause; ``"function"``: a function unit, from complete values.
        sources: Wires whose complete values it is a function of; of a wire, itself and what it is
            a multiple of.
        weighted: Whether a wire's value has passed weights since the last neurons.
    """

    state: State
    sources: frozenset[str] = frozenset()
    weighted: bool = False


def is_product(node: Node) -> bool:
    """Tell whether an operator multiplies two values, elementwise or as matrices."""
    two = sum(isinstance(a, Ref) for a in node.args[:2]) == 2
    return two and (node.op in _MATRIX or node.op in _ELEMENTWISE)


def never_negative(node: Node) -> bool:
    """Tell whether all values of an operator are 0 or more, whatever it is given."""
    return node.op in _POSITIVE


def regions(graph: Graph) -> dict[str, Part]:
    """Say of every value what computes it.

    Analog operators in front of the first weights are the input's own; all others are functions.
    A sum, a product or a concatenation with a value that spikes carry is done by spikes, unless it
    is a function of the same potential (as in x·sigmoid(x)) or nothing that takes spikes follows.

    Args:
        graph: A graph after :func:`find_activations`, without read-outs.
    """
    return _Regions(graph).found


class _Regions:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._fixed = constants(graph)
        self._expectation = _expectations(graph)
        self._wanted = _above(graph, {n.name for n in graph if self._takes_spikes(n)})
        self.found: dict[str, Part] = {}
        for node in graph:
            self.found[node.name] = self._part(node)
        self._grow()

    def _takes_spikes(self, node: Node) -> bool:
        if ops.kind(node) == "site":
            return True
        if ops.kind(node) == "weighted":
            return node.op != ops.AFFINE and node.name not in self._expectation
        return is_product(node) and node.op in _MATRIX

    def _part(self, node: Node) -> Part:
        kind = ops.kind(node)
        if kind == "input":
            return Part("prefix")
        if kind == "site":
            return Part("wire", frozenset({node.name}))
        before = [
            self.found[i]
            for i in node.inputs
            if i not in self._fixed and ops.kind(self._graph[i]) != "shape"
        ]
        if node.name in self._fixed or not before or kind == "shape":
            return Part("prefix")
        if node.op == "aten.embedding.default" and before[-1].state == "prefix":
            return Part("wire", frozenset({node.name}), weighted=True)
        if kind == "weighted" and node.op != ops.AFFINE:
            if node.name in self._expectation:
                return self._function(before)
            return Part("wire", frozenset({node.name}), weighted=True)
        live = [p for p in before if p.state != "prefix"]
        if not live:
            wire = kind == "weighted"
            return Part("wire", frozenset({node.name}), weighted=True) if wire else Part("prefix")
        if kind == "analog":
            return self._analog(node, live)
        return self._linear(node, kind, live)

    def _analog(self, node: Node, live: list[Part]) -> Part:
        if is_product(node) and len(live) == 2:
            apart = not (live[0].sources & live[1].sources)
            if node.op in _MATRIX or (apart and node.name in self._wanted):
                return Part("wire", frozenset({node.name}), weighted=True)
        return self._function(live)

    def _linear(self, node: Node, kind: str, live: list[Part]) -> Part:
        """Place what moves, adds, averages or compares."""
        functions = [p for p in live if p.state == "function"]
        wires = [p for p in live if p.state == "wire"]
        if functions:
            shared = any(a.sources & b.sources for a in live for b in live if a is not b)
            alone = not wires and (len(functions) == 1 or kind == "layout")
            spiking = node.name in self._wanted and kind in ("layout", "add", "pool")
            if (kind == "pool" or not (alone or shared)) and spiking:
                return Part("wire", frozenset({node.name}), weighted=kind == "add")
            return self._function(live)
        own = frozenset({node.name})
        if kind == "weighted" or node.op == ops.SCALE or ops.is_constant_add(node):
            own |= wires[0].sources
        weighted = kind == "weighted" or ops.is_constant_add(node)
        return Part("wire", own, weighted or any(p.weighted for p in wires))

    def _function(self, before: list[Part]) -> Part:
        return Part("function", frozenset().union(*(p.sources for p in before)))

    def _grow(self) -> None:
        """Let factors, shifts and moves that nothing but functions read belong to these."""
        users = self._graph.users()
        for node in reversed(tuple(self._graph)):
            part, readers = self.found[node.name], users[node.name]
            if part.state != "wire" or not readers or node.name in self._graph.outputs:
                continue
            if not all(self.found[u.name].state == "function" for u in readers):
                continue
            if self._is_simple(node):
                self.found[node.name] = self._function([self.found[i] for i in node.inputs])

    def _is_simple(self, node: Node) -> bool:
        if ops.kind(node) == "site":
            return False
        live = [i for i in node.inputs if self.found[i].state != "prefix"]
        one = len(set(live)) == 1 and self._graph[live[0]].shape is not None
        if node.op in (ops.AFFINE, ops.SCALE) or ops.kind(node) == "add":
            return one and self.found[live[0]].weighted | (self.found[live[0]].state == "function")
        return ops.kind(node) in ("layout", "shape") and one


def _expectations(graph: Graph) -> set[str]:
    """Return the weighted layers that average by a softmax behind the last neurons.

    No neurons, no products and no further layers follow, so what they compute is part of the
    reading: the distribution focal loss's expected distance, for one.
    """
    users = graph.users()
    found: set[str] = set()
    for node in graph:
        if node.op not in _SOFTMAX:
            continue
        behind, todo = set[str](), [node.name]
        while todo:
            for user in users[todo.pop()]:
                if user.name not in behind:
                    behind.add(user.name)
                    todo.append(user.name)
        layers = {b for b in behind if ops.kind(graph[b]) == "weighted"}
        before = graph.ancestors(i for layer in layers for i in graph[layer].inputs)
        last = layers.isdisjoint(before)
        if last and not any(ops.kind(graph[b]) == "site" or is_product(graph[b]) for b in behind):
            found |= layers
    return found


def _above(graph: Graph, names: Collection[str]) -> set[str]:
    """Return the nodes from which one of those named can be reached, and these."""
    found = set(names)
    for node in reversed(tuple(graph)):
        if node.name in found:
            found.update(node.inputs)
    return found
