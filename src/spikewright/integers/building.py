# SPDX-License-Identifier: Apache-2.0
"""A program under construction: operations are appended, and numbers checked to be whole."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.batch import is_plain
from spikewright.graph.ir import Node
from spikewright.graph.sites import flow
from spikewright.integers import ranges
from spikewright.integers.check import check_network
from spikewright.integers.errors import NoForm
from spikewright.integers.front import Front
from spikewright.integers.layouts import own_shape
from spikewright.integers.program import Kind, Operation
from spikewright.network import Site, SpikingNetwork, depths

__all__ = ["Builder", "whole"]


class Builder:
    """The program so far.

    Attributes:
        made: Node to the value that holds what it gives.
        fronts: Nodes in front of the network whose values are not whole numbers yet.
    """

    def __init__(self, network: SpikingNetwork) -> None:
        self.network, self.graph = network, network.graph
        self.steps, self.top = self.weights()
        self.depth, self.flow = depths(self.graph), flow(self.graph)
        self.operations: dict[str, Operation] = {}
        self.tensors: dict[str, Tensor] = {}
        self.made: dict[str, Operation] = {}
        self.fronts: dict[str, Front] = {}

    def weights(self) -> tuple[int, int]:
        """Return the steps of a train and what they weigh together; check the network."""
        code = check_network(self.network)
        return code.steps, int(code.max_value)

    def span(self, site: Site) -> ranges.Range:
        """Return between which numbers what a population sends lies."""
        return (-self.top if site.signed else 0, self.top)

    def value(self, name: str) -> Operation:
        """Return the value that a node gives."""
        if name in self.fronts:
            raise NoForm("of the input before it is rounded; do it outside the model")
        return self.made[name]

    def emit(
        self,
        node: Node,
        kind: Kind,
        inputs: tuple[Operation, ...],
        span: ranges.Range,
        *,
        name: str = "",
        shape: tuple[int, ...] | None = None,
        settings: dict[str, Any] | None = None,
        many: Mapping[str, Tensor] | None = None,
        **some: Tensor | None,
    ) -> Operation:
        """Append an operation, which from now on is what the node gives."""
        name = name or node.name
        tensors = {**some, **(many or {})}
        roles = {role: f"{name}/{role}" for role, t in tensors.items() if t is not None}
        self.tensors.update({roles[r]: t.contiguous() for r, t in tensors.items() if t is not None})
        made = Operation(
            name=name,
            kind=kind,
            inputs=tuple(o.name for o in inputs),
            shape=own_shape(node) if shape is None else shape,
            low=span[0],
            high=span[1],
            depth=self.depth[node.name],
            settings=settings or {},
            tensors=roles,
            place=node.where(),
        )
        self.operations[name] = made
        self.made[node.name] = made
        return made

    def minus(self, node: Node, x: Operation) -> Operation:
        """Append the negative of a value."""
        return self.emit(
            node, "scale", (x,), (-x.high, -x.low),
            name=f"{node.name}/minus", shape=x.shape, gain=torch.tensor(-1),
        )  # fmt: skip

    def expanded(self, node: Node, x: Operation, name: str) -> Operation:
        """Repeat a value so that it has the shape of a sum that it enters."""
        shape = own_shape(node)
        if x.shape == shape:
            return x
        index = torch.arange(x.size).reshape(x.shape).expand(shape)
        return self.emit(node, "gather", (x,), (x.low, x.high), name=name, index=index)

    def bias(self, node: Node, x: Operation, total: Tensor) -> None:
        """Append what adds a constant, given over a whole train."""
        bias = self.broadcast(node, self.per_step(total))
        x = self.expanded(node, x, f"{node.name}/0")
        span = ranges.added(((x.low, x.high), ranges.hull(bias * self.top)))
        self.emit(node, "bias", (x,), span, bias=bias)

    def scale(self, node: Node, x: Operation) -> None:
        """Append a factor, unless it is 1."""
        gain = self.broadcast(node, self.graph.params[node.params[0]])
        if self.flow[node.name].prefix:  # a number of the input stands for a whole train of it
            gain = gain / self.top
        gain = whole(gain)
        if bool((gain == 1).all()):
            self.made[node.name] = x
            return
        self.emit(node, "scale", (x,), ranges.multiplied(gain, (x.low, x.high)), gain=gain)

    def product(self, node: Node) -> None:
        """Append a product: each step multiplies symbols of one factor by what registers hold."""
        read = (self.value(node.args[0].name), self.value(node.args[1].name))
        batches = [is_plain(self.graph[i].shape or ()) for i in (node.name, *node.inputs)]
        ranks = {len(self.graph[i].shape or ()) for i in node.inputs}
        by = node.kwargs["by"]
        if not all(batches) or len(ranks) > 1 or (by == "matmul" and max(ranks) < 3):
            raise NoForm("of factors whose batch is not their first axis, or of several ranks")
        terms = read[0].shape[-1] if by == "matmul" else 1
        a, b = ((o.low, o.high) for o in read)
        ends = [terms * x * y for x in a for y in b]
        held = [o.kind == "hold" for o in read].index(True)
        settings = {"by": by, "held": held}
        self.emit(node, "product", read, (min(ends), max(ends)), settings=settings)

    def per_step(self, total: Tensor) -> Tensor:
        """Return the bias of one step of what the graph adds over a train."""
        return whole(total / self.top)

    def broadcast(self, node: Node, value: Tensor) -> Tensor:
        """Return a tensor as it broadcasts with a value for one sample."""
        shape = node.shape or ()
        if value.numel() == 1:
            return value.reshape(())
        return value.squeeze(0) if is_plain(shape) and value.ndim == len(shape) else value


def whole(value: Tensor) -> Tensor:
    """Return a tensor of whole numbers as int64."""
    whole = value.to(torch.int64)
    if not bool((whole == value).all()):
        raise NoForm("with numbers that are not whole; this is a fault, please report it")
    return whole
