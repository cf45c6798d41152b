# SPDX-License-Identifier: Apache-2.0
"""Between which bounds the whole numbers lie that choose elements of other values.

A wrong one would only be found while the network runs, in the middle of a batch. So of every value
that is an index its range is known beforehand: it is a tensor of the graph's own, a count from 0,
or the position of something that was sorted or searched for, or such a value with its elements
moved. Whole numbers
that the user gives (tokens) are known when they are given; operators check them then.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import FileFormatError
from spikewright.graph import ops
from spikewright.graph.ir import Arg, Graph, Node, Param, Ref, map_arg

__all__ = ["IndexRanges"]

_CONSTANTS = {
    **dict.fromkeys(("zeros", "new_zeros", "zeros_like"), 0),
    **dict.fromkeys(("ones", "new_ones", "ones_like"), 1),
}
_POSITIONS = ("argmax", "argmin", "argsort")
_WITH_POSITIONS = ("topk", "sort", "max", "min", "median", "kthvalue", "cummax", "cummin")
_AXIS_AT = {"topk": 2, "kthvalue": 2}
_LAST = {"topk", "sort", "argsort", "kthvalue"}  # whose axis is the last one by default
_WHOLE = frozenset({torch.int32, torch.int64})
_INDEX_TYPES = {
    **dict.fromkeys(("index", "index_select", "embedding"), _WHOLE),
    **dict.fromkeys(("gather", "take_along_dim"), frozenset({torch.int64})),
}


def _name(node: Node) -> str:
    return node.op.removeprefix("aten.").split(".")[0]


class IndexRanges:
    """Bounds of indices in one graph.

    Args:
        graph: The graph; its tensors are looked at when they are indices.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._tensors: dict[str, tuple[int, int] | None] = {}
        self._values: dict[str, tuple[int, int] | None] = {}
        self._given: set[str] = set()

    def check(self, node: Node, values: Mapping[str, Any]) -> None:
        """Refuse indices of a node that may lie outside what they choose from.

        Args:
            node: A node; those before it have been learnt.
            values: What was computed before it, for the shapes.

        Raises:
            FileFormatError: If one may, or nothing is known of it.
        """
        for index, size, negative in self._choices(node, values):
            found = self._range(index)
            given = isinstance(index, Ref) and index.name in self._given
            row = _name(node) != "index_select" or len(self._shape(index, values)) == 1
            if self._type(index, values) not in _INDEX_TYPES[_name(node)] or not row:
                raise FileFormatError(
                    f"graph node {node.name!r}: expected whole numbers as indices, in one row if "
                    "they select along an axis, got others. Convert the model again."
                )
            if given:
                continue
            if found is None or found[0] < (-size if negative else 0) or found[1] >= size:
                got = "others" if found is None else f"{found[0]} to {found[1]}"
                raise FileFormatError(
                    f"graph node {node.name!r}: expected indices below {size}, got {got}. "
                    "Convert the model again."
                )

    def learn(self, node: Node, values: Mapping[str, Any]) -> None:
        """Find out between which bounds a node's value lies, if it may be an index.

        Args:
            node: A node.
            values: What was computed, up to this node.
        """
        value = values[node.name]
        if not isinstance(value, Tensor) or value.is_floating_point():
            return
        tensors = [i for i in node.inputs if self._graph[i].shape is not None]
        if node.op == ops.INPUT or (tensors and all(i in self._given for i in tensors)):
            self._given.add(node.name)
            return
        source, element = node, node.pick
        if node.op == "operator.getitem":
            source, element = self._graph[node.args[0].name], node.args[1]
        name = _name(source)
        if name in _CONSTANTS:
            self._values[node.name] = _CONSTANTS[name], _CONSTANTS[name]
        elif source.op == "aten.arange.default":
            self._values[node.name] = 0, value.numel() - 1
        elif name in _POSITIONS or (name in _WITH_POSITIONS and element == 1):
            self._values[node.name] = 0, self._searched(source, name, values) - 1
        elif ops.kind(node) == "layout" and "pad" not in node.op:
            found: list[tuple[int, int] | None] = []
            map_arg(node.args, lambda a: found.append(self._range(a)), Ref)
            map_arg(node.args, lambda a: found.append(self._range(a)), Param)
            known = [f for f in found if f is not None]
            if known and len(known) == len(found):
                self._values[node.name] = min(f[0] for f in known), max(f[1] for f in known)

    def _choices(self, node: Node, values: Mapping[str, Any]) -> Iterator[tuple[Arg, int, bool]]:
        """Yield every index of a node, the size that it must stay below, and if it may be < 0."""
        name = _name(node)
        if name not in _INDEX_TYPES:
            return
        x = self._shape(node.args[0], values)
        if name == "index":
            for axis, index in enumerate(node.args[1]):
                if index is not None:
                    yield index, x[axis] if axis < len(x) else 0, True
        elif name == "embedding":
            yield node.args[1], x[0] if x else 0, False
        elif name == "take_along_dim":
            along: int | None = node.args[2] if len(node.args) > 2 else None
            yield node.args[1], math.prod(x) if along is None else x[along], False
        else:
            yield node.args[2], x[node.args[1]] if x else 1, False

    def _type(self, arg: Arg, values: Mapping[str, Any]) -> torch.dtype | None:
        value = values.get(arg.name) if isinstance(arg, Ref) else None
        value = self._graph.params[arg.name] if isinstance(arg, Param) else value
        return value.dtype if isinstance(value, Tensor) else None

    def _shape(self, arg: Arg, values: Mapping[str, Any]) -> tuple[int, ...]:
        if isinstance(arg, Param):
            return tuple(self._graph.params[arg.name].shape)
        value = values.get(arg.name) if isinstance(arg, Ref) else None
        return tuple(value.shape) if isinstance(value, Tensor) else ()

    def _range(self, arg: Arg) -> tuple[int, int] | None:
        """Return the least and largest element; None if they are not known."""
        if isinstance(arg, Ref):
            return self._values.get(arg.name)
        if not isinstance(arg, Param):
            return None
        if arg.name not in self._tensors:
            tensor = self._graph.params[arg.name]
            bounds = (int(tensor.min()), int(tensor.max())) if tensor.numel() else (0, -1)
            self._tensors[arg.name] = None if tensor.is_floating_point() else bounds
        return self._tensors[arg.name]

    def _searched(self, source: Node, name: str, values: Mapping[str, Any]) -> int:
        """Return along how many elements an operator has searched."""
        shape = self._shape(source.args[0], values)
        at = _AXIS_AT.get(name, 1)
        axis = source.args[at] if len(source.args) > at else source.kwargs.get("dim")
        if axis is None:
            return shape[-1] if name in _LAST and shape else math.prod(shape)
        return shape[axis] if shape else 1
