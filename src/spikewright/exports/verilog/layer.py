# SPDX-License-Identifier: Apache-2.0
"""What a layer adds up, term by term, and the Verilog that does it for several channels at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from spikewright.integers.errors import NoForm
from spikewright.integers.program import IntegerProgram, Operation

__all__ = ["Layer", "Term", "layer_of", "signed_bits"]


@dataclass(frozen=True)
class Term:
    """A part of what enters.

    Attributes:
        source: Name of the memory that is read.
        weight: Of a convolution, "out in row column"; None: every element reads its own.
        windows: Settings of the convolution.
        gain: Of a wire, "channel place".
        index: Of a wire, which element each one reads, -1 none; None: its own.
    """

    source: str
    weight: Tensor | None = None
    windows: Mapping[str, Any] = field(default_factory=dict)
    gain: Tensor | None = None
    index: Tensor | None = None


@dataclass(frozen=True)
class Layer:
    """A value that is kept in a memory of its own.

    Attributes:
        operation: What it is.
        terms: What is added up; those of rounded inputs first.
        bias: What is added over a train, "channel place".
        channels: Output channels, those of which ``lanes`` are computed at once.
        places: Elements of a channel.
        lanes: How many channels at once.
        bits: Of the accumulators.
    """

    operation: Operation
    terms: tuple[Term, ...]
    bias: Tensor
    channels: int
    places: int
    lanes: int
    bits: int


def layer_of(
    program: IntegerProgram, operation: Operation, kept: Mapping[str, str], lanes: int
) -> Layer:
    """Write a value that is kept as a sum of terms.

    Args:
        program: The program.
        operation: What is kept.
        kept: Value to the memory that holds it.
        lanes: Channels at once, at most.

    Raises:
        NoForm: If something in it cannot be said.
    """
    channels = operation.shape[0] if operation.shape else 1
    places = operation.size // channels
    flat = (channels, places)
    terms: list[Term] = []
    bias = torch.zeros(flat, dtype=torch.int64)
    top = (1 << program.steps) - 1
    ends = [0, operation.low, operation.high, *operation.settings.get("register", ())]

    def spread(tensor: Tensor, shape: Sequence[int]) -> Tensor:
        return tensor.broadcast_to(tuple(shape)).reshape(flat)

    def follow(name: str, gain: Tensor) -> None:
        if name in kept:
            terms.append(Term(kept[name], gain=gain))
            ends.append(program[name].low)
            return
        visit(program[name], gain)

    def visit(o: Operation, gain: Tensor) -> None:
        nonlocal bias
        ends.extend((o.low, o.high))
        role = {r: program.tensors[t] for r, t in o.tensors.items()}
        if o.kind in ("fire", "readout", "add"):
            for name in o.inputs:
                follow(name, gain)
        elif o.kind == "scale":
            follow(o.inputs[0], gain * spread(role["gain"], o.shape))
        elif o.kind == "bias":
            bias = bias + gain * spread(role["bias"], o.shape) * top
            follow(o.inputs[0], gain)
        elif o.kind in ("gather", "concat"):
            index = role.get("index", torch.arange(o.size)).reshape(flat)
            start = 0
            for name in o.inputs:
                size = program[name].size
                inside = (index >= start) & (index < start + size)
                own = torch.where(inside, index - start, -1)
                terms.append(Term(kept[name], gain=gain, index=own))
                start += size
        else:
            weight, windows = _as_conv(program, o)
            if gain.numel() and not bool((gain == gain[:, :1]).all()):
                raise NoForm(f"{o.place}: a factor of its own for every place behind a layer")
            weight = weight * gain[:, :1].reshape(-1, 1, 1, 1)
            if "bias" in role and o.kind != "sum":
                bias = bias + gain * role["bias"].reshape(-1, 1) * top
            terms.append(Term(kept[o.inputs[0]], weight=weight, windows=windows))

    visit(operation, torch.ones(flat, dtype=torch.int64))
    groups = [t.windows["groups"] for t in terms if t.weight is not None]
    own = math.gcd(*(channels // g for g in groups)) if groups else channels
    at_once = max(n for n in range(1, min(lanes, own) + 1) if own % n == 0)
    inputs = {o.name for o in program.of_kind("input")}
    terms.sort(key=lambda t: t.source not in inputs)
    bits = signed_bits(min(ends), max(ends)) + 1
    return Layer(operation, tuple(terms), bias, channels, places, at_once, bits)


def _as_conv(program: IntegerProgram, o: Operation) -> tuple[Tensor, dict[str, Any]]:
    """Return a layer, or a sum over windows, as a convolution."""
    role = {r: program.tensors[t] for r, t in o.tensors.items()}
    if o.kind == "conv":
        return role["weight"], dict(o.settings)
    still = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)}
    if o.kind == "linear":
        if o.settings["rows"] != 1:
            raise NoForm(f"{o.place}: a linear layer at several places; use a 1x1 convolution")
        out, inner = role["weight"].shape
        maps = {"input": (inner, 1, 1), "output": (out, 1, 1), "groups": 1}
        return role["weight"].reshape(out, inner, 1, 1), {**still, **maps}
    before = program[o.inputs[0]].shape
    axes = o.settings["axes"]
    if len(before) not in (2, 3) or 0 in axes:
        raise NoForm(f"{o.place}: sums over other axes than rows and columns of maps")
    size = (before[0], 1 if len(before) == 2 else before[1], before[-1])
    spatial = {len(before) - 2 + k: k for k in (0, 1) if len(before) - 2 + k > 0}
    kernel, stride, after = [1, 1], [1, 1], [size[1], size[2]]
    for axis in axes:
        matrix, k = role[f"axis{axis}"], spatial[axis]
        width, step = int(matrix[0].sum()), int(matrix[1].argmax()) if len(matrix) > 1 else 1
        window = torch.zeros_like(matrix)
        for i in range(len(matrix)):
            window[i, i * step : i * step + width] = 1
        if not torch.equal(window, matrix):
            raise NoForm(f"{o.place}: averages over windows that reach into padding or differ")
        kernel[k], stride[k], after[k] = width, step, len(matrix)
    weight = torch.ones(size[0], 1, *kernel, dtype=torch.int64)
    maps = {"input": size, "output": (size[0], *after), "groups": size[0], "stride": tuple(stride)}
    return weight, {**still, **maps}


def signed_bits(low: int, high: int) -> int:
    """Return the bits of a two's complement register for a range."""
    return max((-low - 1).bit_length() if low < 0 else 0, max(high, 0).bit_length()) + 1
