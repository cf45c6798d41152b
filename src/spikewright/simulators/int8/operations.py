# SPDX-License-Identifier: Apache-2.0
"""Every operation of an integer program by itself: on bytes where they hold it, else in float64."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.integers import IntegerProgram, Operation
from spikewright.neurons.inverse_lif import begin_fire_
from spikewright.simulators.int8 import kernels, values
from spikewright.simulators.int8.firing import ZERO, layer_on_bytes
from spikewright.simulators.int8.terms import Term

__all__ = ["Operations", "OutOfRange", "Run"]

Run = Callable[[dict[str, Tensor]], Tensor]
"""From the values so far, by name, to another one."""


class OutOfRange(Exception):  # noqa: N818 - never reaches a user
    """An input needs more than a byte; this batch is run in float64."""


class Operations:
    """Says of an operation what computes it.

    Args:
        program: The program.
        sides: The values that are bytes, and how many sides they have.

    Attributes:
        slow: Layers that run in float64, with the reason.
    """

    def __init__(self, program: IntegerProgram, sides: Mapping[str, int]) -> None:
        self.program, self.bytes = program, sides
        self.slow: dict[str, str] = {}

    def readable(self, o: Operation) -> bool:
        """Tell whether a layer, or a wire, is computed on bytes."""
        if o.kind not in ("conv", "linear"):
            return o.name in self.bytes
        source = self.program[o.inputs[0]]
        narrow = source.kind == "input" and source.settings["bits"] <= 8
        weight = self.program.tensors[o.tensors["weight"]]
        return (source.name in self.bytes or narrow) and int(weight.abs().max()) <= 127

    def number(self, env: Mapping[str, Tensor], name: str) -> Tensor:
        """Return a value in whole numbers, float64, "batch *value"."""
        o, value = self.program[name], env[name]
        if name in self.bytes:
            return values.numbers(value, self.bytes[name] == 2, o.shape)
        if o.kind == "input":
            top = (1 << self.program.steps) - 1
            return (
                value.to(torch.float64).sub_(ZERO).mul_(top)
                if value.dtype == torch.uint8
                else value
            )
        return value

    def run_of(self, o: Operation) -> Run:
        """Return what computes a value that no population takes in as it is."""
        make: Callable[[Operation], Run] = getattr(self, f"_{o.kind}")
        return make(o)

    def _own(self, o: Operation, role: str) -> Tensor:
        tensor = self.program.tensors[o.tensors[role]].double()
        return tensor.reshape((1,) * (len(o.shape) - tensor.ndim) + tuple(tensor.shape))

    def _outside(self, o: Operation) -> Run:
        """Return what moves and scales an input before it is rounded or encoded."""
        source, index = f"source/{o.settings['source']}", self.program.tensor(o, "index")
        gains = [self._own(o, r) for r in sorted(o.tensors) if r.startswith("gain")]

        def run(env: dict[str, Tensor]) -> Tensor:
            x = env[source].to(torch.float64)
            if index is not None:
                flat = x.flatten(1)[:, index.flatten().clamp(min=0)]
                x = (flat * (index.flatten() >= 0)).reshape(len(x), *o.shape)
            x = x.reshape(len(x), *o.shape) if x.shape[1:] != o.shape else x
            for i, gain in enumerate(gains):
                x = x.mul_(gain) if i else x * gain
            return x

        return run

    def _input(self, o: Operation) -> Run:
        scaled = self._outside(o)
        if o.settings["bits"] > 8:
            top = (1 << self.program.steps) - 1
            return lambda env: scaled(env).round() * top

        def run(env: dict[str, Tensor]) -> Tensor:
            number = scaled(env).round()
            low, high = torch.aminmax(number)
            if low < -ZERO or high > ZERO - 1:
                raise OutOfRange
            value = number.add_(ZERO).to(torch.uint8)
            four = value.ndim == 4
            return value.contiguous(memory_format=torch.channels_last) if four else value

        return run

    def _encode(self, o: Operation) -> Run:
        scaled = self._outside(o)
        return lambda env: self._sent(o, scaled(env).clone())

    def _fire(self, o: Operation) -> Run:
        name = o.inputs[0]
        return lambda env: self._sent(o, self.number(env, name).clone())

    def _sent(self, o: Operation, v: Tensor) -> Tensor:
        """Fire complete potentials in float64, as the collapsed simulator does."""
        pre, signed = self._own(o, "pre_bias"), o.settings["signed"]
        begin_fire_(v, pre, signed).div_(self._own(o, "threshold")).clamp_(o.low, o.high).trunc_()
        return values.from_numbers(v, signed)

    def _readout(self, o: Operation) -> Run:
        return lambda env: self.number(env, o.inputs[0])

    def _max(self, o: Operation) -> Run:
        name, count = o.inputs[0], self.bytes[o.inputs[0]]
        flat = len(o.shape) != 3

        def run(env: dict[str, Tensor]) -> Tensor:
            y = values.pooled(env[name], count, o.settings)
            return y.reshape(len(y), count * o.shape[0], *o.shape[1:]) if flat else y

        return run

    def _weighted(self, o: Operation, plain: Callable[[Tensor], Tensor]) -> Run:
        """Return a layer: on bytes where float32 holds its sums, else in float64."""
        name, bias = o.inputs[0], self.program.tensor(o, "bias")
        top = (1 << self.program.steps) - 1
        shape = (-1, *(1 for _ in o.shape[1:])) if o.kind == "conv" else (-1,)
        total = None if bias is None else (bias * top).double().reshape(shape)
        weight = self.program.tensors[o.tensors["weight"]]
        small = 255 * int(weight.abs().flatten(1).sum(1).max()) < kernels.EXACT
        counted: Run
        if small and self.readable(o):
            unit = top if self.program[name].kind == "input" else 1
            layer = layer_on_bytes(self.program, Term(name, o, torch.ones(())))
            counted = lambda env: layer(env[name]).double().mul_(unit)  # noqa: E731
        else:
            self.slow[o.name] = "sums beyond float32" if self.readable(o) else "not of bytes"
            counted = lambda env: plain(self.number(env, name))  # noqa: E731

        def run(env: dict[str, Tensor]) -> Tensor:
            y = counted(env)
            return y if total is None else y.add_(total)

        return run

    def _conv(self, o: Operation) -> Run:
        s, weight = o.settings, self.program.tensors[o.tensors["weight"]].double()
        (above, below), (left, right) = s["padding"]

        def plain(x: Tensor) -> Tensor:
            maps = F.pad(x.reshape(len(x), *s["input"]), (left, right, above, below))
            y = F.conv2d(maps, weight, None, s["stride"], 0, s["dilation"], s["groups"])
            return y.reshape(len(y), *o.shape)

        return self._weighted(o, plain)

    def _linear(self, o: Operation) -> Run:
        weight = self.program.tensors[o.tensors["weight"]].double()
        shape = (o.settings["rows"], weight.shape[1])
        return self._weighted(
            o, lambda x: F.linear(x.reshape(len(x), *shape), weight).reshape(len(x), *o.shape)
        )

    def _scale(self, o: Operation) -> Run:
        gain = self._own(o, "gain")
        return lambda env: self.number(env, o.inputs[0]) * gain

    def _bias(self, o: Operation) -> Run:
        bias = self._own(o, "bias") * ((1 << self.program.steps) - 1)
        return lambda env: self.number(env, o.inputs[0]) + bias

    def _add(self, o: Operation) -> Run:
        a, b = o.inputs
        return lambda env: self.number(env, a) + self.number(env, b)

    def _hold(self, o: Operation) -> Run:
        return lambda env: self.number(env, o.inputs[0])

    def _product(self, o: Operation) -> Run:
        (a, b), by = o.inputs, torch.matmul if o.settings["by"] == "matmul" else torch.mul
        return lambda env: by(self.number(env, a), self.number(env, b))

    def _sum(self, o: Operation) -> Run:
        tensors = self.program.tensors
        matrices = {a: tensors[o.tensors[f"axis{a}"]].double() for a in o.settings["axes"]}

        def run(env: dict[str, Tensor]) -> Tensor:
            x = self.number(env, o.inputs[0])
            for axis, matrix in matrices.items():
                at = axis + 1
                if len(matrix) == 1 and bool((matrix == 1).all()):
                    x = x.sum(at, keepdim=True)
                else:
                    x = (x.movedim(at, -1) @ matrix.T).movedim(-1, at)
            return x.reshape(len(x), *o.shape)

        return run

    def _gather(self, o: Operation) -> Run:
        index = self.program.tensors[o.tensors["index"]].reshape(o.shape)
        if o.name in self.bytes and self.bytes[o.name] == 1 and len(o.inputs) == 1:
            axes = values.moves(index, self.program[o.inputs[0]].shape)
            if axes is not None:
                name = o.inputs[0]
                return lambda env: values.moved(env[name], axes)
        if o.name in self.bytes:
            return self._joined(o, lambda x, count: values.gathered(x, count, index))

        def run(env: dict[str, Tensor]) -> Tensor:
            flat = torch.cat([self.number(env, i).flatten(1) for i in o.inputs], 1)
            moved = flat[:, index.flatten().clamp(min=0)] * (index.flatten() >= 0)
            return moved.reshape(len(flat), *o.shape)

        return run

    def _concat(self, o: Operation) -> Run:
        if o.name in self.bytes:
            return self._joined(o, lambda x, count: x)

        def run(env: dict[str, Tensor]) -> Tensor:
            flat = torch.cat([self.number(env, i).flatten(1) for i in o.inputs], 1)
            return flat.reshape(len(flat), *o.shape)

        return run

    def _joined(self, o: Operation, then: Callable[[Tensor, int], Tensor]) -> Run:
        """Return what puts bytes one behind the other, and does something to them then."""
        count, size = self.bytes[o.name], sum(self.program[i].size for i in o.inputs)
        shape = o.shape if size == o.size and o.kind == "concat" else (size,)

        def run(env: dict[str, Tensor]) -> Tensor:
            parts = [(env[i], self.bytes[i], self.program[i].shape) for i in o.inputs]
            return then(values.joined(parts, count, shape), count)

        return run

    def _reshape(self, o: Operation) -> Run:
        count = self.bytes.get(o.name, 0)
        if count:
            return lambda env: values.reshaped(env[o.inputs[0]], count, o.shape)
        return lambda env: self.number(env, o.inputs[0]).reshape(-1, *o.shape)
