# SPDX-License-Identifier: Apache-2.0
"""Convolutions and max pools as two-dimensional windows, padding said for each side."""

from typing import Any

from spikewright.graph.batch import is_plain
from spikewright.graph.ir import Graph, Node
from spikewright.integers.errors import NoForm
from spikewright.integers.layouts import own_shape

__all__ = ["conv_windows", "map_shape", "pool_windows"]

Pair = tuple[int, int]


def map_shape(node: Node) -> tuple[int, int, int]:
    """Return channels, rows and columns of a map, "channel row column" or "channel column".

    Raises:
        NoForm: If it has another shape, or the batch lies elsewhere than in front.
    """
    shape = own_shape(node)
    if len(shape) not in (2, 3) or not is_plain(node.shape or ()):
        raise NoForm("of maps with other axes than batch, channel, row and column")
    return (shape[0], 1 if len(shape) == 2 else shape[1], shape[-1])


def conv_windows(graph: Graph, node: Node) -> dict[str, Any]:
    """Return stride, padding, dilation and groups of a convolution.

    Raises:
        NoForm: If it is transposed or has other axes than one or two.
    """
    x, y = map_shape(graph[node.inputs[0]]), map_shape(node)
    if "transpose" in node.op:
        raise NoForm("transposed; use nearest-neighbour upsampling and a convolution")
    kernel = _two(graph.params[node.args[1].name].shape[2:], 1)
    stride, dilation = _two(_arg(node, 3, 1), 1), _two(_arg(node, 5, 1), 1)
    padding = _arg(node, 4, 0)
    if isinstance(padding, str):
        total = [
            d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, kernel, strict=True)
        ]
        sides = [(p // 2, p - p // 2) for p in total]
    else:
        sides = [(p, p) for p in _two(padding, 0)]
    return {
        "input": x,
        "output": y,
        "stride": stride,
        "padding": tuple(sides),
        "dilation": dilation,
        "groups": int(_arg(node, 6, 1)),
    }


def pool_windows(graph: Graph, node: Node) -> dict[str, Any]:
    """Return kernel, stride, padding and dilation of a max pool over rows and columns.

    Padding stands for what is smaller than any train.

    Raises:
        NoForm: If its windows differ in size, or it has other axes.
    """
    x, y = map_shape(graph[node.inputs[0]]), map_shape(node)
    size, out = x[1:], y[1:]
    if "adaptive" in node.op:
        if any(i % o for i, o in zip(size, out, strict=True)):
            raise NoForm("with windows of several sizes; let the output's size divide the input's")
        kernel = _pair(i // o for i, o in zip(size, out, strict=True))
        stride, before, dilation = kernel, (0, 0), (1, 1)
    else:
        kernel = _two(node.args[1], 1)
        stride = _two(_arg(node, 2, ()) or node.args[1], 1)
        before, dilation = _two(_arg(node, 3, 0), 0), _two(_arg(node, 4, 1), 1)
    reach = [
        (o - 1) * s + d * (k - 1) + 1
        for o, s, d, k in zip(out, stride, dilation, kernel, strict=True)
    ]
    sides = [(p, max(0, r - i - p)) for r, i, p in zip(reach, size, before, strict=True)]
    return {
        "input": x,
        "output": y,
        "kernel": kernel,
        "stride": stride,
        "padding": tuple(sides),
        "dilation": dilation,
    }


def _arg(node: Node, index: int, default: object) -> Any:  # noqa: ANN401 - as the operator takes it
    value = node.args[index] if len(node.args) > index else None
    return default if value is None else value


def _two(value: Any, missing: int) -> Pair:  # noqa: ANN401 - a number or several
    """Return a setting for rows and columns; one of maps without rows is that of columns."""
    found = tuple(value) if not isinstance(value, int) else (value, value)
    return (missing, int(found[0])) if len(found) == 1 else (int(found[0]), int(found[1]))


def _pair(values: Any) -> Pair:  # noqa: ANN401
    a, b = values
    return int(a), int(b)
