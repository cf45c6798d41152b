# SPDX-License-Identifier: Apache-2.0
"""What a step is shown at a layer, at a population, at a block, and how it changes them."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.ir import Graph, Node, Ref
from spikewright.network.site import Site
from spikewright.preparation.draft import Draft
from spikewright.preparation.walk import Walk

__all__ = ["BlockView", "LayerView", "SiteView", "set_layer"]


@dataclass(frozen=True)
class LayerView:
    """A weighted layer, all in front of it being done.

    Attributes:
        walk: Where the walk stands.
        node: The layer.
        target: Name of the value to be made right: the layer's own, or the sum it enters whose
            other terms are known.
        sign: +1, or -1 where the layer's value is subtracted.
    """

    walk: Walk
    node: Node
    target: str
    sign: float

    @classmethod
    def of(cls, walk: Walk, node: Node) -> "LayerView":
        """Return the view of a layer."""
        target, sign = _target(walk, node)
        return cls(walk, node, target, sign)

    @property
    def draft(self) -> Draft:
        """The network."""
        return self.walk.draft

    @property
    def weight(self) -> Tensor:
        """The layer's weights so far."""
        graph = self.draft.graph
        return graph.params[graph[self.node.name].args[1].name]

    def pairs(self, *, passed: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield, batch by batch, what enters the quantised layer and what its output lacks.

        Args:
            passed: Leave out what neurons behind do not pass on: a value that both networks have
                below zero, or above λ, lacks nothing, and one below zero is to be zero or less.
        """
        site = self.neurons() if passed else None
        for (_, wanted), (x, found) in self.walk.pairs(self.node.inputs[0], self.target):
            if site is not None:
                high = site.broadcast(site.scale, found.ndim).to(found.dtype)
                below = torch.where(wanted <= 0.0, found.clamp(max=0.0), wanted)
                wanted = torch.where(wanted >= high, torch.maximum(found, high), below)
            yield x, (wanted - found) * self.sign

    def neurons(self) -> Site | None:
        """Return the rectifying neurons that alone read the value, if it is so."""
        users = self.draft.graph.users()[self.target]
        site = self.draft.sites.get(users[0].name) if len(users) == 1 else None
        if site is None or not site.neuron or users[0].op != ops.RECTIFY:
            return None
        return site

    def change(self, weight: Tensor | None, bias: Tensor) -> None:
        """Add to the layer's weights and biases.

        Args:
            weight: Shaped as the weights; None for no change.
            bias: "channels".
        """
        set_layer(self.draft.graph, self.node.name, weight, bias)


def _target(walk: Walk, layer: Node) -> tuple[str, float]:
    graph, node, sign = walk.draft.graph, layer, 1.0
    while graph.has_one_reader(node.name):
        (reader,) = graph.users()[node.name]
        if ops.kind(reader) != "add" or reader.kwargs or len(reader.args) != 2:
            break
        others = [i for i in reader.inputs if i != node.name]
        if reader.shape != layer.shape or reader.inputs.count(node.name) != 1:
            break
        if any(walk.place(o) > walk.place(layer.name) for o in others):
            break
        if reader.op == "aten.sub.Tensor" and reader.args[1] == Ref(node.name):
            sign = -sign
        node = reader
    return node.name, sign


def set_layer(graph: Graph, name: str, weight: Tensor | None, bias: Tensor) -> None:
    """Add to a layer's weights and biases, in tensors of its own; see `LayerView.change`."""
    node = graph[name]
    spec = ops.weighted(node)
    if spec is None:
        raise RuntimeError(f"{name}: not a layer")
    args = [*node.args, *[None] * (spec.bias + 1 - len(node.args))]
    if weight is not None:
        old = graph.params[args[1].name]
        args[1] = graph.fresh_param(f"{name}/weight", old + weight.to(old.dtype))
    dtype = graph.params[args[1].name].dtype
    own = bias.to(dtype)
    if args[spec.bias] is not None:
        own = graph.params[args[spec.bias].name] + own
    args[spec.bias] = graph.fresh_param(f"{name}/bias", own)
    graph.update(dataclasses.replace(node, args=tuple(args)))


@dataclass(frozen=True)
class SiteView:
    """A population, all in front of it being done.

    Attributes:
        walk: Where the walk stands.
        node: The population.
    """

    walk: Walk
    node: Node

    @property
    def site(self) -> Site:
        """The population as it is so far."""
        return self.walk.draft.sites[self.node.name]

    def change(self, scale: Tensor) -> None:
        """Give the population another λ, of the same form."""
        sites = self.walk.draft.sites
        sites[self.node.name] = dataclasses.replace(self.site, scale=scale)


@dataclass(frozen=True)
class BlockView:
    """The part of a network between the walk's place and a later one.

    Attributes:
        walk: Where the walk stands: at the block's beginning.
        nodes: The block's operators in order.
        outputs: Names of the values behind it.
    """

    walk: Walk
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
