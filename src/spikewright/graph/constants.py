# SPDX-License-Identifier: Apache-2.0
"""Values that are the same for every sample, though they have its batch axis.

``torch.zeros_like(x)``, ``torch.zeros(x.shape[0], 2)`` and ``token.expand(x.shape[0], -1, -1)``
read nothing but the size of a batch. Whatever reads them reads a constant.
"""

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.batch import sizes
from spikewright.graph.build import batch_position
from spikewright.graph.ir import Arg, Graph, Node, Param, Ref
from spikewright.graph.program import resolve_operator
from spikewright.graph.units import shape_value

__all__ = ["constants", "numbers_samples"]

_OF_A_SHAPE = frozenset(
    f"aten.{name}"
    for name in (
        "zeros_like.default",
        "ones_like.default",
        "full_like.default",
        "new_zeros.default",
        "new_ones.default",
        "new_full.default",
        "fill.Scalar",
        "fill.Tensor",
        "zero.default",
    )
)
"""Operators that read only the shape of their first argument."""

_UNKNOWN = ("empty", "rand", "bernoulli", "normal", "exponential", "multinomial", "poisson")


def constants(graph: Graph) -> dict[str, Tensor]:
    """Return the values of a graph that are the same for every sample.

    Args:
        graph: A captured graph.

    Returns:
        Node name to value, for a batch of one sample; it broadcasts over the batch.
    """
    held: dict[str, Tensor] = {}
    for node in graph:
        if node.shape is None or node.op == ops.INPUT or not node.op.startswith("aten."):
            continue
        if batch_position(node.shape) is None and not node.inputs:
            continue  # arithmetic on constants, done already or random
        if any(word in node.op for word in _UNKNOWN):
            continue
        found = _value(graph, node, held)
        if found is not None:
            held[node.name] = found
    return held


def numbers_samples(graph: Graph, name: str) -> bool:
    """Tell whether a value is the number of the sample, whatever else its axes are.

    ``torch.arange(x.shape[0])`` is, with axes of any size put beside it. Who uses it as an index of
    the batch gets from each sample what is its own.

    Args:
        graph: A captured graph.
        name: Name of a node whose value has the batch on an axis of its own.
    """
    axis = batch_position(graph[name].shape)
    found = _of_shape(graph, name, 3)
    if axis is None or found is None or found.shape[axis] != 3:
        return False
    number = torch.arange(3).reshape(-1, *(1 for _ in found.shape[axis + 1 :]))
    return torch.equal(found, number.expand_as(found).to(found.dtype))


def _of_shape(graph: Graph, name: str, batch: int) -> Tensor | None:
    """Return a value that depends on the size of the batch alone, else None."""
    node = graph[name]
    if not node.op.startswith("aten.") or any(word in node.op for word in _UNKNOWN):
        return None
    found: dict[str, Tensor] = {}
    for source in dict.fromkeys(node.inputs):
        if graph[source].shape is not None:
            value = _of_shape(graph, source, batch)
            if value is None:
                return None
            found[source] = value
    return _run(graph, node, found, batch)


def _value(graph: Graph, node: Node, held: dict[str, Tensor]) -> Tensor | None:
    reads = node.inputs[1:] if _shape_only(node) else node.inputs
    if any(graph[i].shape is not None and i not in held for i in reads):
        return None
    one, three = _run(graph, node, held, 1), _run(graph, node, held, 3)
    axis = batch_position(node.shape)
    first = one if axis is None else one.narrow(axis, 0, 1)
    if not torch.equal(one, first.expand_as(one)) or not torch.equal(three, first.expand_as(three)):
        return None
    return first


def _shape_only(node: Node) -> bool:
    return node.op in _OF_A_SHAPE and isinstance(node.args[0], Ref)


def _run(graph: Graph, node: Node, held: dict[str, Tensor], batch: int) -> Tensor:
    def value(arg: Arg) -> Arg:
        if isinstance(arg, Param):
            return graph.params[arg.name]
        if isinstance(arg, Ref):
            source = graph[arg.name]
            if source.shape is None:
                return shape_value(graph, source, batch)
            return _of_batch(held[arg.name], source, batch)
        return [value(a) for a in arg] if isinstance(arg, tuple) else arg

    args = list(node.args)
    if _shape_only(node):
        of = sizes(graph[args[0].name].shape or (), batch)
        first: Tensor = torch.empty(of, dtype=graph.dtype)
        values = [first, *(value(a) for a in args[1:])]
    else:
        values = [value(a) for a in args]
    result = resolve_operator(node.op)(*values, **{k: value(v) for k, v in node.kwargs.items()})
    picked: Tensor = result if node.pick is None else result[node.pick]
    return picked


def _of_batch(value: Tensor, node: Node, batch: int) -> Tensor:
    return value.expand(sizes(node.shape or (), batch))
