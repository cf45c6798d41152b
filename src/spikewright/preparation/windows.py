# SPDX-License-Identifier: Apache-2.0
"""What a weighted layer reads for each of its outputs: rows that its weights multiply."""

from itertools import product

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.ir import Node

__all__ = ["can_unfold", "groups_of", "outputs_by_row", "windows"]


def can_unfold(node: Node) -> bool:
    """Tell whether a layer is a convolution that is not transposed, or linear."""
    spec = ops.weighted(node)
    return spec is not None and spec.out_axis == 0


def groups_of(node: Node) -> int:
    """Return into how many groups a layer's channels are divided."""
    spec = ops.weighted(node)
    if spec is None or spec.groups is None or len(node.args) <= spec.groups:
        return 1
    return int(node.args[spec.groups])


def outputs_by_row(node: Node, value: Tensor, groups: int) -> Tensor:
    """Return a layer's output as "group output row"."""
    axis = ops.weighted(node).channel_axis  # type: ignore[union-attr]
    flat = value.movedim(axis, 0)
    return flat.reshape(groups, flat.shape[0] // groups, -1)


def windows(node: Node, weight: Tensor, x: Tensor) -> Tensor:
    """Return what a layer multiplies its weights with, "group feature row", rows as its outputs.

    Args:
        node: A convolution or a linear layer.
        weight: Its weights, "output feature …".
        x: Its input, "batch *feature".
    """
    if node.op == "aten.linear.default":
        return x.reshape(1, -1, x.shape[-1]).transpose(1, 2)
    dims = weight.ndim - 2
    stride, dilation = (_per_axis(node, i, 1, dims) for i in (3, 5))
    kernel, groups = weight.shape[2:], groups_of(node)
    pads = _pads(node, kernel, dilation)
    x = torch.nn.functional.pad(x, [p for pair in reversed(pads) for p in pair])
    sizes = [
        (x.shape[2 + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(dims)
    ]
    parts = []
    for offset in product(*map(range, kernel)):
        part = x
        for i, at in enumerate(offset):
            start = at * dilation[i]
            part = part[(slice(None),) * (2 + i) + (slice(start, None, stride[i]),)]
            part = part.narrow(2 + i, 0, sizes[i])
        parts.append(part.reshape(x.shape[0], groups, -1, *sizes))
    stacked = torch.stack(parts, 3)  # batch group channel kernel *position
    return stacked.movedim(0, 3).reshape(groups, weight.shape[1] * len(parts), -1)


def _per_axis(node: Node, index: int, default: int, dims: int) -> tuple[int, ...]:
    """Return an argument that is one number, or one for each axis."""
    value = node.args[index] if len(node.args) > index else default
    if isinstance(value, tuple):
        return tuple(map(int, value * dims if len(value) == 1 else value))
    return (int(value),) * dims


def _pads(node: Node, kernel: torch.Size, dilation: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the zeros in front of and behind each axis."""
    padding = node.args[4] if len(node.args) > 4 else 0
    if padding == "valid":
        return [(0, 0)] * len(kernel)
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return [(t // 2, t - t // 2) for t in totals]
    return [(p, p) for p in _per_axis(node, 4, 0, len(kernel))]
