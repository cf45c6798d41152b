# SPDX-License-Identifier: Apache-2.0
"""Convolutions and linear layers on bytes: oneDNN's operators, sums in 32-bit integers.

PyTorch's compiler has them for quantised models; they take plain tensors. A sum is turned into
float32, multiplied by a factor of its output channel, and added to a bias. With factor 1 that is
exact up to 2^24; ``proof.py`` says when it is with others. Weights keep packed copies.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["EXACT", "Layer", "convolution", "linear", "missing"]

EXACT = 1 << 24
"""Whole numbers up to here are exact in float32."""

Layer = Callable[[Tensor], Tensor]


def convolution(
    weight: Tensor,
    windows: Mapping[str, Any],
    *,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    out: torch.dtype = torch.float32,
    zero: int = 0,
) -> Layer:
    """Return a convolution of bytes, "batch channel row column".

    Args:
        weight: int8, "out in row column".
        windows: ``stride``, ``dilation``, ``groups``, ``padding`` of each side, and ``output``.
        scale: Factor of each output channel; 1 if None.
        bias: What is added behind the factor, "out", float32.
        out: Type of the result: float32, or uint8, rounded half to even and clipped to 0 … 255.
        zero: The byte that stands for 0.
    """
    stride, dilation, groups = list(windows["stride"]), list(windows["dilation"]), windows["groups"]
    (above, below), (left, right) = windows["padding"]
    even = above == below and left == right
    padding = [above, left] if even else [0, 0]
    factor = torch.ones(len(weight)) if scale is None else scale.float()
    zeros = torch.zeros(len(weight), dtype=torch.int64)
    packed = torch.ops.onednn.qconv_prepack(
        weight, factor, 1.0, zero, stride, padding, dilation, groups, None
    )

    def run(x: Tensor) -> Tensor:
        if not even:
            x = F.pad(x, (left, right, above, below), value=zero)
        if not x.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous(memory_format=torch.channels_last)
        result: Tensor = torch.ops.onednn.qconv2d_pointwise(
            x, 1.0, zero, packed, factor, zeros, bias, stride, padding, dilation, groups,
            1.0, 0, out, "none", [], "",
        )  # fmt: skip
        return result

    return run


def linear(
    weight: Tensor,
    *,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    out: torch.dtype = torch.float32,
    zero: int = 0,
) -> Layer:
    """Return a linear layer of bytes, "row in"; see :func:`convolution`."""
    factor = torch.ones(len(weight)) if scale is None else scale.float()
    zeros = torch.zeros(len(weight), dtype=torch.int64)
    packed = torch.ops.onednn.qlinear_prepack(weight, None)

    def run(x: Tensor) -> Tensor:
        result: Tensor = torch.ops.onednn.qlinear_pointwise(
            x.contiguous(), 1.0, zero, packed, factor, zeros, bias, 1.0, 0, out, "none", [], ""
        )
        return result

    return run


@cache
def missing() -> str:
    """Return why layers cannot run on bytes here, nothing if they can.

    Processors without instructions for it add pairs of products in 16 bits, which overflow: the
    largest numbers are tried once.
    """
    if not hasattr(torch.ops.onednn, "qconv2d_pointwise"):
        return "this PyTorch has no oneDNN operators for bytes"
    weight = torch.tensor([127, -127], dtype=torch.int8).repeat_interleave(64).reshape(2, 64, 1, 1)
    windows = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)), "groups": 1}
    x, want = torch.full((1, 64, 4, 4), 255, dtype=torch.uint8), 64 * 127 * 255
    try:
        maps = convolution(weight, windows)(x)
        rows = linear(weight.flatten(1))(x.permute(0, 2, 3, 1).reshape(16, 64))
    except RuntimeError as error:
        return f"oneDNN has no kernels for bytes on this processor: {str(error).splitlines()[0]}"
    exact = all(
        bool((found == torch.tensor([want, -want]).reshape(shape)).all())
        for found, shape in ((maps, (1, 2, 1, 1)), (rows, (1, 2)))
    )
    return "" if exact else "this processor's sums of bytes overflow 16 bits (no VNNI or AMX)"
