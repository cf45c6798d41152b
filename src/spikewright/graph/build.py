# SPDX-License-Identifier: Apache-2.0
"""Write one operator of a graph as several others: the tool of the passes that rewrite spellings.

A `Rewrite` collects new nodes, works out their shapes, and puts them where the old operator
stood. Sizes that are not whole numbers hold the batch; they are kept as they are and become -1 in
the arguments, so that no rewriting depends on where the batch is or how large.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.ir import Arg, Graph, Node, Param, Ref
from spikewright.graph.opened import FAR

__all__ = ["Rewrite", "Rule", "batch_position", "shape_of"]

Sizes = Sequence[Any]
"""A shape: whole numbers, and something else (None) on the axis that holds the batch."""


def batch_position(shape: Sizes | None) -> int | None:
    """Return the axis of a shape that holds the batch, None if there is none."""
    return next((i for i, size in enumerate(shape or ()) if not isinstance(size, int)), None)


class Rewrite:
    """New nodes that take the place of one old node.

    Args:
        graph: The graph; changed by `finish` only, apart from new tensors.
        node: The old node.
        held: Values that are the same for every sample, by node name; see
            `spikewright.graph.constants`.
    """

    def __init__(self, graph: Graph, node: Node, held: Mapping[str, Tensor]) -> None:
        self.graph, self.node, self.held = graph, node, held
        self._new: list[Node] = []

    @property
    def shape(self) -> tuple[Any, ...]:
        """Shape of the old node's value."""
        return shape_of(self.node)

    def arg(self, index: int, name: str, default: Arg = None) -> Arg:
        """Return an argument given by position or by name, or its default."""
        if len(self.node.args) > index:
            return self.node.args[index]
        return self.node.kwargs.get(name, default)

    def constant(self, arg: Arg) -> Tensor | None:
        """Return the tensor behind an argument that does not depend on the input, else None."""
        if isinstance(arg, Param):
            return self.graph.params[arg.name]
        if isinstance(arg, Ref):
            return self.held.get(arg.name)
        if isinstance(arg, (int, float)):
            whole = isinstance(arg, int)
            return torch.tensor(arg) if whole else torch.tensor(arg, dtype=torch.float64)
        return None

    def value(self, arg: Arg) -> Node | None:
        """Return the node behind an argument that depends on the input, else None."""
        if isinstance(arg, Ref) and arg.name not in self.held:
            node = self.graph[arg.name]
            return node if node.shape is not None else None
        return None

    def call(self, op: str, *args: Arg, shape: Sizes, **kwargs: Arg) -> Node:
        """Add a node; nodes among the arguments become references."""

        def as_ref(arg: Arg) -> Arg:
            if isinstance(arg, Node):
                return Ref(arg.name)
            return tuple(as_ref(a) for a in arg) if isinstance(arg, (tuple, list)) else arg

        made = Node(
            name=self._name(op),
            op=op,
            args=tuple(as_ref(a) for a in args),
            kwargs=kwargs,
            module=self.node.module,
            source=self.node.source,
            shape=tuple(shape),
        )
        self._new.append(made)
        return made

    def _name(self, op: str) -> str:
        taken = {n.name for n in self._new}
        base = f"{self.node.name}/{op.split('.')[1]}"
        name, number = base, 1
        while name in taken or name in self.graph.nodes:
            name, number = f"{base}_{number}", number + 1
        return name

    def param(self, what: str, value: Tensor) -> Param:
        """Store a tensor of the graph's own; numbers take the graph's floating type."""
        number = value.is_floating_point()
        own = value.to(self.graph.dtype) if number else value
        return self.graph.fresh_param(f"{self.node.name}.{what}", own.detach().contiguous().clone())

    # Layout

    def reshape(self, x: Node, sizes: Sizes) -> Node:
        """Give a value other axes; the one that holds the batch must be among them."""
        if tuple(sizes) == x.shape:
            return x
        target = tuple(s if isinstance(s, int) else -1 for s in sizes)
        return self.call("aten.reshape.default", x, target, shape=sizes)

    def permute(self, x: Node, axes: Sequence[int]) -> Node:
        """Put axis ``axes[i]`` of a value at place i."""
        if list(axes) == list(range(len(axes))):
            return x
        shape = [shape_of(x)[a] for a in axes]
        return self.call("aten.permute.default", x, tuple(axes), shape=shape)

    def move(self, x: Node, source: int, target: int) -> Node:
        """Move one axis of a value to another place."""
        axes = [a for a in range(len(shape_of(x))) if a != source % len(shape_of(x))]
        axes.insert(target % len(shape_of(x)), source % len(shape_of(x)))
        return self.permute(x, axes)

    def insert_axis(self, x: Node, axis: int) -> Node:
        """Add an axis of size 1."""
        shape = list(shape_of(x))
        axis %= len(shape) + 1
        shape.insert(axis, 1)
        return self.call("aten.unsqueeze.default", x, axis, shape=shape)

    def drop_axes(self, x: Node, axes: Sequence[int]) -> Node:
        """Take away axes of size 1."""
        if not axes:
            return x
        shape = [s for a, s in enumerate(shape_of(x)) if a not in axes]
        return self.call("aten.squeeze.dims", x, tuple(axes), shape=shape)

    def expand(self, x: Node, sizes: Sizes) -> Node:
        """Repeat a value along axes of size 1, and along new ones in front."""
        if tuple(sizes) == x.shape:
            return x
        target = tuple(s if isinstance(s, int) else -1 for s in sizes)
        return self.call("aten.expand.default", x, target, shape=sizes)

    def slice(self, x: Node, axis: int, start: int, stop: int) -> Node:
        """Take elements ``start`` to ``stop`` (not included) along an axis."""
        shape = list(shape_of(x))
        if start == 0 and stop == shape[axis]:
            return x
        shape[axis] = stop - start
        return self.call("aten.slice.Tensor", x, axis, start, stop, shape=shape)

    def cat(self, parts: Sequence[Node], axis: int) -> Node:
        """Put values one behind the other along an axis."""
        if len(parts) == 1:
            return parts[0]
        shape = list(shape_of(parts[0]))
        shape[axis] = sum(shape_of(p)[axis] for p in parts)
        return self.call("aten.cat.default", tuple(parts), axis, shape=shape)

    def pad(self, x: Node, axis: int, before: int, behind: int) -> Node:
        """Put zeros around a value along an axis."""
        if before == behind == 0:
            return x
        shape = list(shape_of(x))
        zeros = (0, 0) * (len(shape) - 1 - axis) + (before, behind)
        shape[axis] += before + behind
        return self.call("aten.constant_pad_nd.default", x, zeros, 0.0, shape=shape)

    def choose(self, x: Node, axis: int, index: Tensor) -> Node:
        """Take the elements with these numbers along an axis."""
        shape = list(shape_of(x))
        shape[axis] = index.numel()
        where = self.param("index", index.to(torch.int64))
        return self.call("aten.index_select.default", x, axis, where, shape=shape)

    def flip(self, x: Node, axes: Sequence[int]) -> Node:
        """Turn a value round along axes."""
        return self.call("aten.flip.default", x, tuple(axes), shape=shape_of(x))

    # Arithmetic

    def scale(self, x: Node, gain: Tensor | float) -> Node:
        """Multiply by constants that do not make the value larger."""
        gain = _number(gain)
        if bool((gain == 1).all()):
            return x
        return self.call(ops.SCALE, x, self.param("gain", gain), shape=shape_of(x))

    def shift(self, x: Node, bias: Tensor | float) -> Node:
        """Add constants that do not make the value larger; infinity as a mask becomes ``FAR``."""
        bias = _number(bias).clamp(min=FAR)
        if not bool(bias.any()):
            return x
        if self._takes_bias(x, bias):
            own = self.param("bias", bias.expand(shape_of(x)[-1]))
            self._new[-1] = dataclasses.replace(x, args=(*x.args, own))
            return self._new[-1]
        return self.call("aten.add.Tensor", x, self.param("bias", bias), shape=shape_of(x))

    def _takes_bias(self, x: Node, bias: Tensor) -> bool:
        """Tell whether constants can be the bias of the linear layer that was written last."""
        layer = bool(self._new) and x is self._new[-1] and x.op == "aten.linear.default"
        return layer and len(x.args) == 2 and bias.ndim == 1

    def add(self, x: Node, y: Node) -> Node:
        """Add two values of one shape."""
        return self.call("aten.add.Tensor", x, y, shape=shape_of(x))

    def clip(self, x: Node, low: float | None, high: float | None) -> Node:
        """Clip to a range; with no upper end and 0 as the lower one it is a ReLU."""
        if low == 0 and high is None:
            return self.call("aten.relu.default", x, shape=shape_of(x))
        return self.call("aten.clamp.default", x, low, high, shape=shape_of(x))

    def largest(self, x: Node, axes: Sequence[int], *, keep: bool) -> Node:
        """Take the maximum over axes."""
        before = shape_of(x)
        inside = {a % len(before) for a in axes}
        shape = [1 if a in inside else s for a, s in enumerate(before) if keep or a not in inside]
        return self.call("aten.amax.default", x, tuple(sorted(inside)), keep, shape=shape)

    def linear(self, x: Node, weight: Tensor, bias: Tensor | None = None) -> Node:
        """Apply a linear layer to the last axis; ``weight`` is "output input"."""
        extra = () if bias is None else (self.param("bias", bias),)
        shape = (*shape_of(x)[:-1], weight.shape[0])
        return self.call(
            "aten.linear.default", x, self.param("weight", weight), *extra, shape=shape
        )

    def finish(self, last: Node) -> bool:
        """Put the new nodes in the place of the old one; always True, for the caller's return."""
        if last is not (self._new[-1] if self._new else None):
            self._insert(self._new)
            self.graph.redirect(self.node.name, last.name)
            return True
        self._insert(self._new[:-1])
        self.graph.update(dataclasses.replace(last, name=self.node.name))
        return True

    def _insert(self, new: Sequence[Node]) -> None:
        order: dict[str, Node] = {}
        for name, node in self.graph.nodes.items():
            if name == self.node.name:
                order.update((n.name, n) for n in new)
            order[name] = node
        self.graph.nodes = order


def shape_of(x: Node) -> tuple[Any, ...]:
    """Return a value's shape, whose sizes may be anything where the batch is."""
    return x.shape or ()


def _number(value: Tensor | float) -> Tensor:
    """Return constants as they are written, whatever type the graph rounds them to."""
    found = torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else torch.float64)
    return found if found.is_floating_point() else found.double()


Rule = Callable[[Rewrite], bool]
"""How operators of one name are written in others; returns whether this one could be."""
