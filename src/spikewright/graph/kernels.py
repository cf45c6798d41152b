# SPDX-License-Identifier: Apache-2.0
"""Faster ways to run an operator of a plan, chosen once; everything else runs as PyTorch runs it.

This is the place for kernels that make use of what wires carry (int8 convolutions of spikes, for
one). A kernel must give the operator's numbers; none is needed for a right result.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.graph import batch
from spikewright.graph.ir import Graph, Node, Param

__all__ = ["convolution", "laid_out"]


def laid_out(node: Node, params: Mapping[str, Tensor]) -> Tensor | None:
    """Return a 2-d convolution's weight in the order that channels-last maps need, else None.

    It saves a third of a deep layer's time on CPUs. Sums are taken in another order than with the
    model's own layout, so results may differ from the model's in the last bit.
    """
    if not node.op.startswith("aten.conv2d") or not isinstance(node.args[1], Param):
        return None
    return params[node.args[1].name].contiguous(memory_format=torch.channels_last)


def convolution(
    graph: Graph, node: Node, params: Mapping[str, Tensor]
) -> Callable[[Tensor], Tensor] | None:
    """Return a 2-d convolution with its weight packed once, or None where that is not possible.

    PyTorch packs a convolution's weight anew in every call; for layers of many channels and small
    maps that is up to a third of the time. Its compiler has an operator that takes a packed one,
    which is used where the installed version has it (oneDNN, CPU, float32). The numbers are equal.
    """
    pack = getattr(torch._C._nn, "mkldnn_reorder_conv2d_weight", None)
    run = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
    if node.op != "aten.conv2d.default" or not isinstance(node.args[1], Param):
        return None
    weight = params[node.args[1].name]
    rest: list[Any] = [*node.args[2:], *(None, 1, 0, 1, 1)[len(node.args) - 2 :]]
    bias, stride, padding, dilation, groups = rest
    shape = graph[node.inputs[0]].shape
    usable = weight.device.type == "cpu" and weight.dtype == torch.float32 and not node.kwargs
    if pack is None or run is None or not usable or groups != 1 or shape is None or len(shape) != 4:
        return None
    if not torch._C._has_mkldnn:
        return None
    sizes = [_pair(a) for a in (padding, stride, dilation)]
    packed = pack(weight.to_mkldnn(), *sizes, groups, [*batch.sizes(shape, 32)])
    offset = None if bias is None else params[bias.name]

    def convolve(x: Tensor) -> Tensor:
        result: Tensor = run(x, packed, offset, *sizes, groups, "none", [], "")
        return result

    return convolve


def _pair(value: int | tuple[int, ...]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value) * (2 // len(value))
