# SPDX-License-Identifier: Apache-2.0
"""What a layer adds up, term by term, and how it says that of operations of the program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.exports.verilog.words import signed_bits
from spikewright.integers.errors import NoForm
from spikewright.integers.program import IntegerProgram, Operation

__all__ = ["Layer", "Term", "channels_of", "layer_of", "needs_copy", "zeros_around"]

_STILL = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}


@dataclass(frozen=True)
class Term:
    """A part of what enters.

    Attributes:
        source: Name of the memory that is read.
        windows: Input, output, kernel, stride, padding, dilation and groups; of a wire None: every
            element reads its own.
        weight: Of a convolution, "out in row column"; None with windows: the largest is kept.
        gain: Of a wire, "channel place".
        index: Of a wire, which element each one reads, -1 none; None: its own.
    """

    source: str
    windows: Mapping[str, Any] | None = None
    weight: Tensor | None = None
    gain: Tensor | None = None
    index: Tensor | None = None


@dataclass(frozen=True)
class Layer:
    """A value that is computed into a memory of its own.

    Attributes:
        operation: What it is.
        terms: What is added up; those of rounded inputs first.
        bias: What is added over a train, "channel place".
        rows: Of the maps that it computes.
        columns: Of these maps.
        bits: Of its sums.
    """

    operation: Operation
    terms: tuple[Term, ...]
    bias: Tensor
    rows: int
    columns: int
    bits: int


def channels_of(operation: Operation) -> tuple[int, int]:
    """Return how many channels a value has, and elements of each."""
    channels = operation.shape[0] if operation.shape else 1
    return channels, operation.size // channels


def needs_copy(program: IntegerProgram, operation: Operation, held: Operation) -> bool:
    """Say whether a reshaped value is read as maps that its memory does not have."""
    if channels_of(operation) == channels_of(held):
        return False
    return any(r.kind in ("conv", "max", "sum") for r in program.readers()[operation.name])


def zeros_around(program: IntegerProgram, operation: Operation) -> tuple[int, int, int, int] | None:
    """Return left, right, above and below of maps that only get zeros around them for layers.

    Returns:
        How many zeros; None if the value is something else, or something else reads it.
    """
    readers = program.readers()[operation.name]
    if operation.kind != "gather" or len(operation.inputs) != 1 or not readers:
        return None
    read = program[operation.inputs[0]]
    before, after = read.shape, operation.shape
    if (len(before), len(after)) != (3, 3) or {r.kind for r in readers} != {"conv"}:
        return None
    index = program.tensors[operation.tensors["index"]].reshape(after)
    first = (index == 0).nonzero()
    if len(first) != 1 or int(first[0, 0]) or read.kind == "reshape":
        return None
    above, left = (int(n) for n in first[0, 1:])
    around = left, after[2] - before[2] - left, above, after[1] - before[1] - above
    whole = torch.arange(before[0] * before[1] * before[2]).reshape(before)
    if min(around) < 0 or not torch.equal(functional.pad(whole, around, value=-1), index):
        return None
    return around


def layer_of(program: IntegerProgram, operation: Operation, held: Mapping[str, str]) -> Layer:
    """Write a value that is kept as a sum of terms.

    Args:
        program: The program.
        operation: What is kept.
        held: Value to the one whose memory holds it.

    Raises:
        NoForm: If something in it cannot be said.
    """
    channels, places = flat = channels_of(operation)
    terms: list[Term] = []
    bias = torch.zeros(flat, dtype=torch.int64)
    top = (1 << program.steps) - 1
    ends = [0, operation.low, operation.high, *operation.settings.get("register", ())]

    def spread(tensor: Tensor, shape: Sequence[int]) -> Tensor:
        return tensor.broadcast_to(tuple(shape)).reshape(flat)

    def wire(name: str, gain: Tensor) -> None:
        alike = channels_of(program[held[name]]) == flat
        own = None if alike else torch.arange(operation.size).reshape(flat)
        terms.append(Term(held[name], gain=gain, index=own))

    def follow(name: str, gain: Tensor) -> None:
        if name in held:
            wire(name, gain)
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
        elif o.kind == "reshape":
            source, index = held[o.inputs[0]], torch.arange(o.size).reshape(flat)
            terms.append(Term(source, gain=gain, index=index))
        elif o.kind == "max":
            terms.append(Term(held[o.inputs[0]], windows={**o.settings, "groups": channels}))
        elif o.kind in ("gather", "concat"):
            index = role.get("index", torch.arange(o.size)).reshape(flat)
            start = 0
            for name in o.inputs:
                size = program[name].size
                inside = (index >= start) & (index < start + size)
                own = torch.where(inside, index - start, -1)
                terms.append(Term(held[name], gain=gain, index=own))
                start += size
        else:
            weight, windows = _as_conv(program, o, program[held[o.inputs[0]]])
            if not bool((gain == gain[:, :1]).all()):
                raise NoForm(f"{o.place}: a factor of its own for every place behind a layer")
            weight = weight * gain[:, :1].reshape(-1, 1, 1, 1)
            if "bias" in role and o.kind != "sum":
                bias = bias + gain * role["bias"].reshape(-1, 1) * top
            kernel = tuple(weight.shape[2:])
            terms.append(Term(held[o.inputs[0]], {**windows, "kernel": kernel}, weight))

    visit(operation, torch.ones(flat, dtype=torch.int64))
    maps = [t.windows["output"] for t in terms if t.windows is not None]
    _, rows, columns = maps[0] if maps else (channels, 1, places)
    inputs = {o.name for o in program.of_kind("input")}
    terms.sort(key=lambda t: t.source not in inputs)
    bits = signed_bits(min(ends), max(ends)) + 1
    return Layer(operation, tuple(terms), bias, rows, columns, bits)


def _as_conv(
    program: IntegerProgram, o: Operation, source: Operation
) -> tuple[Tensor, dict[str, Any]]:
    """Return a layer, or a sum over windows, as a convolution of what a memory holds."""
    role = {r: program.tensors[t] for r, t in o.tensors.items()}
    if o.kind == "conv":
        windows, around = dict(o.settings), zeros_around(program, program[o.inputs[0]])
        if around is not None:  # they are padding
            left, right, top, below = around
            (a, b), (c, d) = windows["padding"]
            windows["padding"] = ((a + top, b + below), (c + left, d + right))
            windows["input"] = program[program[o.inputs[0]].inputs[0]].shape
        return role["weight"], windows
    if o.kind == "linear":
        if o.settings["rows"] != 1:
            raise NoForm(f"{o.place}: a linear layer at several places; use a 1x1 convolution")
        out, (channels, places) = o.size, channels_of(source)
        maps = {"input": (channels, 1, places), "output": (out, 1, 1)}
        return role["weight"].reshape(out, channels, 1, places), {**_STILL, **maps}
    before = program[o.inputs[0]].shape
    axes = o.settings["axes"]
    if len(before) not in (2, 3) or 0 in axes:
        raise NoForm(f"{o.place}: sums over other axes than rows and columns of maps")
    size = (before[0], 1 if len(before) == 2 else before[1], before[-1])
    kernel, stride, pad, after = [1, 1], [1, 1], [0, 0], [size[1], size[2]]
    for axis in axes:
        k = axis + 3 - len(before) - 1
        matrix = role[f"axis{axis}"]
        kernel[k], stride[k], pad[k] = _window(matrix, o)
        after[k] = len(matrix)
    weight = torch.ones(size[0], 1, *kernel, dtype=torch.int64)
    windows = {"stride": tuple(stride), "padding": tuple((p, p) for p in pad), "groups": size[0]}
    return weight, {**_STILL, **windows, "input": size, "output": (size[0], *after)}


def _window(matrix: Tensor, o: Operation) -> tuple[int, int, int]:
    """Return width, stride and padding of windows of ones, "output input", cut off at the ends."""
    count, size = matrix.shape
    widest = int(matrix.sum(1).max())
    place = torch.arange(size)
    for width in range(widest, 2 * widest + 1):
        for stride in range(1, size + 1) if count > 1 else (1,):
            for pad in range(width):
                start = torch.arange(count).unsqueeze(1) * stride - pad
                if torch.equal(((place >= start) & (place < start + width)).long(), matrix):
                    return width, stride, pad
    raise NoForm(f"{o.place}: sums over windows that differ in size, or overlap unevenly")
