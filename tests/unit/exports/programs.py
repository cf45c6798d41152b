# SPDX-License-Identifier: Apache-2.0
"""Integer programs made by hand, with random numbers: every operation, no network to convert."""

import json
import math
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from spikewright.integers import ranges
from spikewright.integers.program import IntegerProgram, Kind, Operation


class Maker:
    """Appends operations with random numbers; methods take and return names of values."""

    def __init__(self, steps: int, seed: int) -> None:
        self.steps, self.top = steps, (1 << steps) - 1
        self.generator = torch.Generator().manual_seed(seed)
        self.operations: dict[str, Operation] = {}
        self.tensors: dict[str, Tensor] = {}

    def program(self) -> IntegerProgram:
        return IntegerProgram(
            steps=self.steps, operations=tuple(self.operations.values()), tensors=self.tensors
        )

    def numbers(self, shape: tuple[int, ...], low: int, high: int) -> Tensor:
        return torch.randint(low, high + 1, shape, generator=self.generator)

    def emit(
        self,
        kind: Kind,
        inputs: tuple[str, ...],
        shape: tuple[int, ...],
        span: tuple[int, int],
        settings: dict[str, Any] | None = None,
        **tensors: Tensor,
    ) -> str:
        name = f"{kind}{len(self.operations)}"
        self.tensors.update({f"{name}/{role}": t for role, t in tensors.items()})
        self.operations[name] = Operation(
            name=name, kind=kind, inputs=inputs, shape=shape, low=span[0], high=span[1], depth=0,
            settings=settings or {}, tensors={r: f"{name}/{r}" for r in tensors}, place=name,
        )  # fmt: skip
        return name

    def shape(self, x: str) -> tuple[int, ...]:
        return self.operations[x].shape

    def span(self, x: str) -> tuple[int, int]:
        return self.operations[x].low, self.operations[x].high

    def input(self, *shape: int, bits: int = 4) -> str:
        half = self.top << (bits - 1)
        settings = {"source": "x", "source_shape": shape, "bits": bits}
        return self.emit("input", (), shape, (-half, half - self.top), settings)

    def encode(self, *shape: int, signed: bool = False) -> str:
        settings = {"source": "x", "source_shape": shape, "signed": signed}
        return self.emit(
            "encode", (), shape, (-self.top * signed, self.top), settings,
            threshold=torch.tensor(1.0), pre_bias=torch.tensor(0.5),
        )  # fmt: skip

    def conv(
        self, x: str, out: int, kernel: Any = 3, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> str:  # fmt: skip
        channels, *size = self.shape(x)
        size = [1, *size] if len(size) == 1 else size
        (kh, kw), (sy, sx), (dy, dx) = map(_pair, (kernel, stride, dilation))
        py, px = _pair(padding)
        after = tuple(
            (n + 2 * p - (k - 1) * d - 1) // s + 1
            for n, k, s, p, d in zip(size, (kh, kw), (sy, sx), (py, px), (dy, dx), strict=True)
        )
        weight = self.numbers((out, channels // groups, kh, kw), -7, 7)
        bias = self.numbers((out,), -9, 9)
        settings = {
            "input": (channels, *size), "output": (out, *after), "stride": (sy, sx),
            "padding": ((py, py), (px, px)), "dilation": (dy, dx), "groups": groups,
        }  # fmt: skip
        span = ranges.weighted(weight, self.span(x), bias * self.top)
        return self.emit("conv", (x,), (out, *after), span, settings, weight=weight, bias=bias)

    def linear(self, x: str, out: int) -> str:
        size = math.prod(self.shape(x))
        weight, bias = self.numbers((out, size), -7, 7), self.numbers((out,), -9, 9)
        span = ranges.weighted(weight, self.span(x), bias * self.top)
        return self.emit("linear", (x,), (out,), span, {"rows": 1}, weight=weight, bias=bias)

    def scale(self, x: str, *shape: int) -> str:
        gain = self.numbers(shape, -5, 5)
        return self.emit(
            "scale", (x,), self.shape(x), ranges.multiplied(gain, self.span(x)), gain=gain
        )

    def bias(self, x: str, *shape: int) -> str:
        bias = self.numbers(shape, -9, 9)
        span = ranges.added((self.span(x), ranges.hull(bias * self.top)))
        return self.emit("bias", (x,), self.shape(x), span, bias=bias)

    def add(self, a: str, b: str) -> str:
        return self.emit("add", (a, b), self.shape(a), ranges.added((self.span(a), self.span(b))))

    def sum(self, x: str, width: int, stride: int, padding: int = 0) -> str:
        """Sums over square windows; those at the ends may reach beyond."""
        shape, tensors = list(self.shape(x)), dict[str, Tensor]()
        for axis in range(1, len(shape)):
            size = shape[axis]
            shape[axis] = (size + 2 * padding - width) // stride + 1
            start = torch.arange(shape[axis]).unsqueeze(1) * stride - padding
            place = torch.arange(size)
            tensors[f"axis{axis}"] = ((place >= start) & (place < start + width)).long()
        span = ranges.covered(tuple(tensors.values()), self.span(x))
        axes = tuple(range(1, len(shape)))
        return self.emit("sum", (x,), tuple(shape), span, {"axes": axes}, **tensors)

    def max(self, x: str, width: Any, stride: int, padding: int = 0) -> str:
        channels, *size = self.shape(x)
        kernel = _pair(width)
        after = tuple(
            (n + 2 * padding - k) // stride + 1 for n, k in zip(size, kernel, strict=True)
        )
        settings = {
            "input": (channels, *size), "output": (channels, *after), "kernel": kernel,
            "stride": (stride, stride), "padding": ((padding, padding),) * 2, "dilation": (1, 1),
        }  # fmt: skip
        return self.emit("max", (x,), (channels, *after), self.span(x), settings)

    def gather(self, inputs: tuple[str, ...], *shape: int) -> str:
        total = sum(math.prod(self.shape(x)) for x in inputs)
        index = self.numbers(shape, -1, total - 1)
        spans = [self.span(x) for x in inputs]
        span = min(s[0] for s in spans), max(s[1] for s in spans)
        return self.emit("gather", inputs, shape, span, index=index)

    def zeros_around(self, x: str, left: int, right: int, above: int, below: int) -> str:
        """What layers with padding that differs from side to side read."""
        whole = torch.arange(math.prod(self.shape(x))).reshape(self.shape(x))
        index = torch.nn.functional.pad(whole, (left, right, above, below), value=-1)
        return self.emit("gather", (x,), tuple(index.shape), self.span(x), index=index)

    def concat(self, *inputs: str) -> str:
        shapes = [self.shape(x) for x in inputs]
        shape = (sum(s[0] for s in shapes), *shapes[0][1:])
        spans = [self.span(x) for x in inputs]
        return self.emit(
            "concat", inputs, shape, (min(s[0] for s in spans), max(s[1] for s in spans))
        )

    def reshape(self, x: str, *shape: int) -> str:
        return self.emit("reshape", (x,), shape, self.span(x))

    def fire(self, x: str, signed: bool = False, *shape: int) -> str:
        """Fires; thresholds so that trains use what steps there are."""
        low, high = self.span(x)
        fit = max(1, max(high, -low) // (self.top * 6))
        threshold = self.numbers(shape, fit, 2 * fit + 1)
        pre_bias = self.numbers(shape, 0 if signed else -fit, fit)
        start = ranges.hull(pre_bias)
        start = (-start[1], start[1]) if signed else start
        potential = ranges.added(((low, high), start))
        most = int(threshold.max()) << (self.steps - 1)
        register = (min(potential[0], -most * signed), max(potential[1], most))
        settings = {"signed": signed, "potential": potential, "register": register}
        return self.emit(
            "fire", (x,), self.shape(x), (-self.top * signed, self.top), settings,
            threshold=threshold, pre_bias=pre_bias,
        )  # fmt: skip

    def readout(self, x: str) -> str:
        return self.emit("readout", (x,), self.shape(x), self.span(x), {"output": None})


def everything(steps: int = 5, seed: int = 0) -> IntegerProgram:
    """A program with every operation and setting that the machines know."""
    m = Maker(steps, seed)
    x = m.input(3, 6, 5)
    a = m.fire(m.conv(x, 6, 3, stride=(2, 1), padding=1), True, 6, 1, 1)  # ON/OFF pairs
    b = m.fire(m.conv(a, 6, (3, 1), padding=(1, 0), groups=6), False)  # depthwise
    short = m.add(m.conv(b, 6, 1), m.scale(a, 6, 1, 1))  # 1x1, and a shortcut with its factor
    c = m.fire(m.bias(short, 6, 3, 5), False, 6, 3, 5)  # numbers of every place
    d = m.fire(m.conv(c, 8, 3, padding=2, dilation=2, groups=2), False, 8, 1, 1)
    gate = m.max(a, 3, 1, 1)
    both = m.concat(gate, d)
    mixed = m.gather((both, c), 7, 3, 4)
    e = m.fire(m.conv(m.zeros_around(mixed, 0, 1, 1, 0), 5, 2, stride=2), False)
    pooled = m.sum(both, 2, 2, 1)
    twice = m.add(m.scale(pooled), m.scale(pooled, 14, 1, 1))
    m.readout(m.linear(m.fire(twice, True), 4))
    m.readout(m.conv(m.reshape(m.fire(m.linear(e, 12), False, 12), 3, 2, 2), 2, 2))
    return m.program()


def strip(steps: int = 8, seed: int = 1) -> IntegerProgram:
    """A program of sequences with encoded input, at whose end a maximum goes over everything."""
    m = Maker(steps, seed)
    a = m.encode(2, 9, signed=True)
    b = m.fire(m.conv(m.reshape(a, 2, 1, 9), 3, (1, 3), padding=(0, 1)), False, 3, 1, 1)
    c = m.fire(m.add(m.conv(b, 3, (1, 3), padding=(0, 1)), b), False)
    m.readout(m.linear(m.max(m.reshape(c, 3, 1, 9), (1, 9), 1), 5))
    return m.program()


def values_of(program: IntegerProgram, x: Tensor, replay: ModuleType) -> dict[str, Tensor]:
    """Return what every value stands for, by the reader of the docs; of inputs the numbers."""
    tensors = {n: t.numpy() for n, t in program.tensors.items()}
    plain = json.loads(json.dumps(program.to_dict()))
    source = program.of_kind("input", "encode")[0].settings["source"]
    values, potentials = replay.replay(plain, tensors, {source: x.numpy()})
    totals = {n: v if program[n].kind == "readout" else replay.total(v) for n, v in values.items()}
    totals |= {o.name: values[o.name][:, 0] for o in program.of_kind("input")}
    totals |= {o.name: potentials[o.name] for o in program.of_kind("readout")}
    return {n: torch.from_numpy(v.reshape(len(x), -1)).long() for n, v in totals.items()}


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
