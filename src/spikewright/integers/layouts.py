# SPDX-License-Identifier: Apache-2.0
"""Operators that move elements, as a list of where each element of the result comes from."""

from collections.abc import Sequence

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.batch import is_plain, sizes
from spikewright.graph.ir import Graph, Node
from spikewright.graph.program import Program

__all__ = ["own_shape", "sources", "where_from"]


def own_shape(node: Node) -> tuple[int, ...]:
    """Return the shape of a value for one sample: without the batch where that is the first axis.

    Example:
        >>> own_shape(Node(name="x", op="input", shape=(None, 3, 4)))
        (3, 4)
    """
    shape = node.shape or ()
    return sizes(shape)[1:] if is_plain(shape) else sizes(shape)


def sources(graph: Graph, node: Node) -> tuple[str, ...]:
    """Return the tensors that a layout operator moves, behind splits into several results."""
    found: list[str] = []
    for name in node.inputs:
        before = graph[name]
        if ops.kind(before) == "shape":
            continue
        found.extend([name] if before.shape is not None else sources(graph, before))
    return tuple(dict.fromkeys(found))


def where_from(graph: Graph, node: Node, names: Sequence[str]) -> Tensor:
    """Return which element of its sources every element of a layout operator's value is.

    The operator itself is run on the numbers of the elements, for one sample.

    Args:
        graph: The graph.
        node: A layout operator.
        names: What it moves, from :func:`sources`.

    Returns:
        int64, the shape of the value for one sample: positions in the flattened sources, one
        behind the other in the order of ``names``; -1 for zeros that the operator adds.
    """
    values, start = [], 1
    for name in names:
        shape = sizes(graph[name].shape or ())
        count = int(torch.Size(shape).numel())
        values.append(torch.arange(start, start + count, dtype=torch.float64).reshape(shape))
        start += count
    (moved,) = Program(graph, outputs=(node.name,), given=names)(*values)
    index: Tensor = moved.reshape(own_shape(node)).to(torch.int64) - 1
    return index
