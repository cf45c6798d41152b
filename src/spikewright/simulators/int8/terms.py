# SPDX-License-Identifier: Apache-2.0
"""What enters a population as a sum of layers and wires, each with a factor of its channel.

Let v be what has entered a neuron, θ its threshold, b its pre-bias. Its train is
n = floor((v + b)/θ), which for whole numbers is also floor((v + b + 1/2)/θ), and that lies at least
1/(2θ) from the next whole number. So all factors may be divided by θ beforehand, and the sum be
taken in float32, as long as it is off by less than 1/(2θ) wherever n is within its limits:
``scaled``. Where it may be off by more, v + b is computed as a whole number, exact in float32 up to
2^24, and divided by θ: a quotient rounded to the nearest float32 never becomes a whole number n
that v + b < nθ ≤ 2^24 does not reach, since n − 1/θ is farther from n than half a step. Larger sums
are scaled in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spikewright.integers import IntegerProgram, Operation
from spikewright.simulators.int8.kernels import EXACT

__all__ = ["Sum", "Term", "Unfused", "sum_of"]

_ROUNDING = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}
"""Relative error of one operation."""


class Unfused(Exception):  # noqa: N818 - never reaches a user
    """A population's sum has another form; the text says which."""


@dataclass(frozen=True)
class Term:
    """A layer that reads bytes, or bytes themselves.

    Attributes:
        source: Name of the bytes.
        layer: The layer, None for a wire.
        gain: Whole factor of each output channel, "out", float64.
    """

    source: str
    layer: Operation | None
    gain: Tensor


@dataclass(frozen=True)
class Sum:
    """What enters a population, divided by its threshold.

    Attributes:
        terms: Layers first.
        axis: Axis of the value, without the batch, along which channels lie.
        bias: All constants of v, "out", float64, not divided.
        threshold: θ, "out", float64.
        pre_bias: b, "out", float64.
        scaled: Whether θ is divided by beforehand, in ``type``; else v is exact in it.
        type: Numbers in which terms are added, float32 or float64.
    """

    terms: tuple[Term, ...]
    axis: int
    bias: Tensor
    threshold: Tensor
    pre_bias: Tensor
    scaled: bool = True
    type: torch.dtype = torch.float32


def sum_of(program: IntegerProgram, fire: Operation, readable: Callable[[Operation], bool]) -> Sum:
    """Write a population's input as layers and wires.

    Args:
        program: The program.
        fire: A population.
        readable: Tells whether a term's layer (or the wire itself) runs on bytes.

    Raises:
        Unfused: If it is none, or a layer's sums leave the numbers that are exact.
    """
    axis = -1 if _rows(program, fire) > 1 else 0
    channels = fire.shape[axis]
    terms: list[Term] = []
    bias = torch.zeros(channels, dtype=torch.float64)
    top = float((1 << program.steps) - 1)

    def own(operation: Operation, role: str) -> Tensor:
        tensor = program.tensors[operation.tensors[role]].double()
        if tensor.numel() == 1:
            return tensor.reshape(1).expand(channels)
        spread = tensor.broadcast_to(operation.shape).movedim(axis, 0).reshape(channels, -1)
        if not bool((spread == spread[:, :1]).all()):
            raise Unfused("factors or biases that differ from place to place")
        return spread[:, 0]

    def walk(name: str, gain: Tensor) -> None:
        nonlocal bias
        o = program[name]
        if o.kind in ("conv", "linear"):
            if (-1 if o.kind == "linear" and o.settings["rows"] > 1 else 0) != axis:
                raise Unfused("layers whose channels lie on different axes")
            if not readable(o):
                raise Unfused("a layer that does not run on bytes")
            terms.insert(0, Term(o.inputs[0], o, gain))
            if "bias" in o.tensors:
                bias = bias + gain * program.tensors[o.tensors["bias"]] * top
        elif o.kind == "add":
            for part in o.inputs:
                walk(part, gain)
        elif o.kind == "bias":
            bias = bias + gain * own(o, "bias") * top
            walk(o.inputs[0], gain)
        elif o.kind == "scale":
            walk(o.inputs[0], gain * own(o, "gain"))
        elif readable(o):
            terms.append(Term(name, None, gain))
        else:
            raise Unfused(f"{o.kind} in front")

    walk(fire.inputs[0], torch.ones(channels, dtype=torch.float64))
    found = Sum(tuple(terms), axis, bias, own(fire, "threshold"), own(fire, "pre_bias"))
    return _proved(program, fire, found)


def _rows(program: IntegerProgram, operation: Operation) -> int:
    """Return at how many places the first linear layer in front of a value works, else 1."""
    while operation.inputs:
        operation = program[operation.inputs[0]]
        if operation.kind == "linear":
            return int(operation.settings["rows"])
        if operation.kind not in ("add", "bias", "scale"):
            break
    return 1


def _proved(program: IntegerProgram, fire: Operation, found: Sum) -> Sum:
    """Say in which numbers a sum may be taken.

    With W the largest sizes of the terms, B of the constants, all divided by θ, each term is
    rounded three times (its sum, its factor, their product) and each of n additions once. The
    largest term needs to be looked at only where n is within its limits, that is up to
    Y = 2^T + 1 plus what the others can take away.
    """
    theta, top = found.threshold, float((1 << program.steps) - 1)
    if fire.settings["signed"] and not bool(
        ((found.pre_bias >= 0) & (found.pre_bias < theta)).all()
    ):
        raise Unfused("a pre-bias beyond the threshold")
    sizes, widest = [], 0.0
    for term in found.terms:
        source, most = program[term.source], torch.ones_like(theta)
        if term.layer is not None:
            weight = program.tensors[term.layer.tensors["weight"]].double()
            most = weight.flatten(1).abs().sum(1)
            widest = max(widest, float(most.max()) * 256)
        sizes.append(most * term.gain.abs() * max(source.high, -source.low))
    constant = found.bias.abs() + found.pre_bias.abs() + 1
    whole = float(sum(sizes, constant).max())
    bounds, limit = [size / theta for size in sizes], top + 2
    for i in range(len(bounds)):
        rest = sum((s for j, s in enumerate(bounds) if j != i), constant / theta)
        bounds[i] = torch.minimum(bounds[i], limit + rest)
    reach = 2 * theta * (4 + len(bounds)) * (sum(bounds, constant / theta) + limit)
    safe = {kind: bool((reach * error < 1).all()) for kind, error in _ROUNDING.items()}
    if widest < 1 << 31 and safe[torch.float32]:
        return found
    if widest < EXACT and whole < EXACT:
        return replace(found, scaled=False)
    if widest < EXACT and safe[torch.float64]:
        return replace(found, type=torch.float64)
    raise Unfused("sums beyond 2^24, too fine for float32")
