# SPDX-License-Identifier: Apache-2.0
"""Populations whose whole input is computed on bytes: in one go, or added up in floating point."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from spikewright.integers import IntegerProgram, Operation
from spikewright.simulators.int8 import kernels
from spikewright.simulators.int8.terms import Sum, Term

__all__ = ["Environment", "fused", "layer_on_bytes"]

Environment = Mapping[str, Tensor]
ZERO = 128
"""The byte that stands for 0 in a rounded input."""


def layer_on_bytes(
    program: IntegerProgram,
    term: Term,
    *,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    mirrored: bool = False,
    out: torch.dtype = torch.float32,
) -> Callable[[Tensor], Tensor]:
    """Return a layer from bytes "batch (side channel) …" to "batch (side *value)".

    Args:
        program: The program.
        term: The layer and what it reads.
        scale: Factor of each output channel.
        bias: What is added behind it.
        mirrored: Whether a second side, of the negative sums, follows the first.
        out: Type of the result.
    """
    o = term.layer
    if o is None:
        raise TypeError(f"{term.source}: expected a layer, got a wire.")
    source, settings = program[term.source], o.settings
    rounded = source.kind == "input"
    count = 2 if source.low < 0 and not rounded else 1
    weight = program.tensors[o.tensors["weight"]].to(torch.int8)
    zero, sides = ZERO if rounded else 0, 2 if mirrored else 1
    if o.kind == "linear":
        rows, wide = settings["rows"], weight.shape[1]
        wired = torch.cat((weight, -weight), 1) if count == 2 else weight
        wired = torch.cat((wired, -wired)) if mirrored else wired
        layer = kernels.linear(wired, scale=scale, bias=bias, out=out, zero=zero)

        def run_rows(x: Tensor) -> Tensor:
            x = x.reshape(len(x), count, rows, wide)
            x = x.transpose(1, 2).reshape(-1, count * wide) if count > 1 else x.reshape(-1, wide)
            y = layer(x).reshape(-1, rows, sides, len(weight))
            return y.transpose(1, 2).reshape(-1, sides, *o.shape).flatten(1, 2)

        return run_rows
    channels, height, width = settings["input"]
    groups, (across, down, right) = settings["groups"], settings["output"]
    if groups > 1 and (count == 2 or mirrored):
        # sides of a group have to lie together
        own = weight.reshape(groups, -1, *weight.shape[1:])
        own = torch.cat((own, -own), 2) if count == 2 else own
        own = torch.cat((own, -own), 1) if mirrored else own
        wired = own.flatten(0, 1)
        scale, bias = (_by_group(v, groups, sides) for v in (scale, bias))
    else:
        wired = torch.cat((weight, -weight), 1) if count == 2 else weight
        wired = torch.cat((wired, -wired)) if mirrored else wired
    convolve = kernels.convolution(
        wired.contiguous(), settings, scale=scale, bias=bias, out=out, zero=zero
    )

    def run(x: Tensor) -> Tensor:
        x = x.reshape(len(x), count * channels, height, width)
        if groups > 1 and count == 2:
            x = x.reshape(len(x), 2, groups, -1, height, width).transpose(1, 2).flatten(1, 3)
        y = convolve(x)
        if groups > 1 and mirrored:
            y = y.reshape(len(y), groups, 2, -1, down, right).transpose(1, 2).flatten(1, 3)
            y = y.contiguous(memory_format=torch.channels_last)
        shape = (sides * across, down, right)
        return y if len(o.shape) == 3 else y.reshape(len(y), *shape).flatten(2)

    return run


def _by_group(value: Tensor | None, groups: int, sides: int) -> Tensor | None:
    """Bring "side group channel" into the order "group side channel"."""
    if value is None:
        return None
    return value.reshape(sides, groups, -1).transpose(0, 1).flatten().contiguous()


def fused(program: IntegerProgram, fire: Operation, found: Sum) -> Callable[[Environment], Tensor]:
    """Return what computes a population's trains as bytes; ``found`` says what enters it."""
    signed, top = fire.settings["signed"], (1 << program.steps) - 1
    theta, terms = found.threshold, found.terms
    start = (found.pre_bias + 0.5) / theta
    one = len(terms) == 1 and found.scaled and found.type == torch.float32
    if one and terms[0].layer is not None:
        term, scale, own = terms[0], terms[0].gain / theta, found.bias / theta
        scale = scale * _stands_for(program, term)
        bias = own + start - 0.5
        if signed:
            scale, bias = torch.cat((scale, scale)), torch.cat((bias, start - 0.5 - own))
        layer = layer_on_bytes(
            program, term, scale=scale.float(), bias=bias.float(), mirrored=signed, out=torch.uint8
        )
        name = term.source
        if top == 255:
            return lambda env: layer(env[name])
        return lambda env: layer(env[name]).clamp_max_(top)
    return _summed(program, fire, found)


def _stands_for(program: IntegerProgram, term: Term) -> int:
    """Return what a byte of a term's source counts: one of an input is a whole train."""
    return (1 << program.steps) - 1 if program[term.source].kind == "input" else 1


def _summed(
    program: IntegerProgram, fire: Operation, found: Sum
) -> Callable[[Environment], Tensor]:
    """Return a population that several layers and wires enter, added up in floating point.

    Scaled, y is the quotient; otherwise the whole number v, exact in its type, and then divided.
    """
    signed, top, kind = fire.settings["signed"], (1 << program.steps) - 1, found.type
    form = (-1, *(1 for _ in fire.shape[1:])) if found.axis == 0 else (-1,)
    by = found.threshold if found.scaled else torch.ones_like(found.threshold)
    start = (found.pre_bias + 0.5) / by if found.scaled else found.pre_bias
    constant = (found.bias / by + (0 if signed else start)).to(kind)
    wide, off = constant.reshape(form), start.to(kind).reshape(form)
    divisor = None if found.scaled else found.threshold.to(kind).reshape(form)
    layers: list[tuple[str, Callable[[Tensor], Tensor], Tensor | None]] = []
    wires: list[tuple[str, Tensor, int]] = []
    for term in found.terms:
        factor = term.gain / by * _stands_for(program, term)
        if term.layer is None:
            sides = 2 if program[term.source].low < 0 else 1
            wires.append((term.source, factor.to(kind).reshape(form), sides))
        elif kind == torch.float32 and (found.scaled or bool((factor == 1).all())):
            bias = None if layers else constant
            layer = layer_on_bytes(program, term, scale=factor.float(), bias=bias)
            layers.append((term.source, layer, None))
        else:
            own = factor.reshape(form)
            layers.append((term.source, layer_on_bytes(program, term), own))

    def added(env: Environment) -> Tensor:
        y: Tensor | None = None
        for name, layer, factor in layers:
            value = layer(env[name])
            if factor is not None:
                value = value.to(kind).mul_(factor)
                y = value.add_(wide) if y is None else y.add_(value)
            else:
                y = value if y is None else y.add_(value)
        for name, gain, sides in wires:
            wire = env[name].reshape(len(env[name]), -1, *fire.shape[1:])
            for side, part in enumerate(wire.chunk(sides, 1)):
                number = part.to(kind)
                if y is None:
                    y = number.mul_(gain).add_(wide)
                else:
                    y.addcmul_(number, gain, value=-1.0 if side else 1.0)
        if y is None:
            raise RuntimeError(f"{fire.name}: nothing enters it.")
        return y

    def sent(y: Tensor) -> Tensor:
        y = y if divisor is None else y.div_(divisor)
        return y.clamp_(0, top).to(torch.uint8)

    if not signed:
        return lambda env: sent(added(env))

    def pair(env: Environment) -> Tensor:
        y = added(env)
        on = sent(y + off)
        return torch.cat((on, sent(torch.sub(off, y, out=y))), 1)

    return pair
