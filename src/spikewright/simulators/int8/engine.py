# SPDX-License-Identifier: Apache-2.0
"""The collapsed network on bytes: its integer program, trains decoded as 8-bit numbers.

Populations whose whole input is layers and wires of bytes never leave bytes. What else there is
(averages, read-outs, layers with wide weights) is computed in float64 as everywhere, exactly.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.graph import ops
from spikewright.graph.batch import is_plain
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.graph.program import Program
from spikewright.integers import IntegerProgram, NoForm, Operation, lower
from spikewright.network import SpikingNetwork
from spikewright.simulators.int8 import kernels, values
from spikewright.simulators.int8.firing import ZERO, fused, layer_on_bytes
from spikewright.simulators.int8.terms import Term, Unfused, sum_of

__all__ = ["Engine", "OutOfRange"]

Run = Callable[[dict[str, Tensor]], Tensor]
Observe = Callable[[str, Tensor], None]


class OutOfRange(Exception):  # noqa: N818 - never reaches a user
    """An input needs more than a byte; this batch is run in float64."""


class Engine:
    """A compiled network; holds no state of a run.

    Args:
        network: A network in integers, layered schedule.
        outputs: Values to return instead of the network's outputs: populations, gates, read-outs.

    Attributes:
        slow: Layers and populations that run in float64, with the reason.

    Raises:
        NoForm: If the network, or this processor, has no such form; the text says why.
    """

    def __init__(self, network: SpikingNetwork, outputs: Sequence[str] | None = None) -> None:
        self.program = program = _program(network)
        graph = network.graph
        self.slow: dict[str, str] = {}
        self._wanted = tuple(outputs or [o.name for o in program.of_kind("readout")])
        kept = [o for o in program.operations if o.is_train or o.kind == "readout"]
        if any(name not in {o.name for o in kept} for name in self._wanted):
            raise NoForm("values are asked for that a program does not name")
        if not all(is_plain(graph[o.name].shape) for o in kept):
            raise NoForm("the batch is not the first axis everywhere")
        self._tail = (
            Program(graph, given=(*self._wanted, *graph.inputs)) if outputs is None else None
        )
        self._inputs = graph.inputs
        self._bytes = self._find_bytes()
        self._steps = self._plan()

    def _find_bytes(self) -> dict[str, int]:
        """Return the values that are bytes, and how many sides they have."""
        found: dict[str, int] = {}
        for o in self.program.operations:
            if o.is_train or (
                o.kind in ("gather", "concat", "reshape") and all(i in found for i in o.inputs)
            ):
                found[o.name] = 2 if o.low < 0 else 1
            if o.kind == "max" and o.inputs[0] not in found:
                raise NoForm(f"{o.place}: a maximum of other values than trains")
        return found

    def _readable(self, o: Operation) -> bool:
        """Tell whether a layer, or a wire, is computed on bytes."""
        if o.kind not in ("conv", "linear"):
            return o.name in self._bytes
        source = self.program[o.inputs[0]]
        narrow = source.kind == "input" and source.settings["bits"] <= 8
        weight = self.program.tensors[o.tensors["weight"]]
        return (source.name in self._bytes or narrow) and int(weight.abs().max()) <= 127

    def _plan(self) -> list[tuple[Operation, Run, tuple[str, ...]]]:
        """Say of every value that is needed what computes it, and what is dropped behind it."""
        runs: dict[str, tuple[Run, tuple[str, ...]]] = {}
        for o in self.program.of_kind("fire"):
            try:
                found = sum_of(self.program, o, self._readable)
            except Unfused as error:
                self.slow[o.name] = str(error)
                continue
            reads = tuple(dict.fromkeys(t.source for t in found.terms))
            runs[o.name] = (fused(self.program, o, found), reads)
        needed = set(self._wanted) | {o.name for o in self.program.operations if o.is_train}
        order = []
        for o in reversed(self.program.operations):
            if o.name not in needed:
                continue
            if o.name not in runs:
                runs[o.name] = (self._plain(o), o.inputs)
            needed.update(runs[o.name][1])
            order.append(o)
        last: dict[str, str] = {}
        for o in order:  # from the end
            for name in runs[o.name][1]:
                last.setdefault(name, o.name)
        return [
            (
                o,
                runs[o.name][0],
                tuple(n for n, at in last.items() if at == o.name and n not in self._wanted),
            )
            for o in reversed(order)
        ]

    def __call__(self, x: Inputs, observe: Observe | None = None) -> tuple[Tensor, ...]:
        """Run a batch.

        Args:
            x: Inputs in the network's type, "batch *feature".
            observe: Called for every population and gate with its decoded trains.

        Raises:
            OutOfRange: If an input leaves its range.
        """
        given = dict(zip(self._inputs, as_inputs(x), strict=True))
        env: dict[str, Tensor] = {f"source/{name}": value for name, value in given.items()}
        for o, run, drop in self._steps:
            env[o.name] = run(env)
            if observe is not None and o.is_train:
                observe(o.name, self._number(env, o.name))
            for name in drop:
                del env[name]
        found = [self._number(env, name) for name in self._wanted]
        return tuple(found) if self._tail is None else self._tail(*found, *given.values())

    def _number(self, env: Mapping[str, Tensor], name: str) -> Tensor:
        """Return a value in whole numbers, float64, "batch *value"."""
        o, value = self.program[name], env[name]
        if name in self._bytes:
            return values.numbers(value, self._bytes[name] == 2, o.shape)
        if o.kind == "input":
            top = (1 << self.program.steps) - 1
            return value.to(torch.float64).sub_(ZERO).mul_(top) if value.dtype == torch.uint8 else value
        return value

    def _plain(self, o: Operation) -> Run:
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
        return lambda env: self._sent(o, self._number(env, name).clone())

    def _sent(self, o: Operation, v: Tensor) -> Tensor:
        """Fire complete potentials in float64, as the collapsed simulator does."""
        pre, signed = self._own(o, "pre_bias"), o.settings["signed"]
        v = v.addcmul_(v.sign(), pre) if signed else v.add_(pre)
        v.div_(self._own(o, "threshold")).clamp_(o.low, o.high).trunc_()
        return values.from_numbers(v, signed)

    def _readout(self, o: Operation) -> Run:
        return lambda env: self._number(env, o.inputs[0])

    def _max(self, o: Operation) -> Run:
        name, count = o.inputs[0], self._bytes[o.inputs[0]]
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
        if small and self._readable(o):
            unit = top if self.program[name].kind == "input" else 1
            layer = layer_on_bytes(self.program, Term(name, o, torch.ones(())))
            counted = lambda env: layer(env[name]).double().mul_(unit)  # noqa: E731
        else:
            self.slow[o.name] = "sums beyond float32" if self._readable(o) else "not of bytes"
            counted = lambda env: plain(self._number(env, name))  # noqa: E731
        if total is None:
            return counted
        return lambda env: counted(env).add_(total)

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
        return lambda env: self._number(env, o.inputs[0]) * gain

    def _bias(self, o: Operation) -> Run:
        bias = self._own(o, "bias") * ((1 << self.program.steps) - 1)
        return lambda env: self._number(env, o.inputs[0]) + bias

    def _add(self, o: Operation) -> Run:
        a, b = o.inputs
        return lambda env: self._number(env, a) + self._number(env, b)

    def _sum(self, o: Operation) -> Run:
        matrices = {a: self._own(o, f"axis{a}").reshape(self.program.tensors[o.tensors[f"axis{a}"]].shape) for a in o.settings["axes"]}

        def run(env: dict[str, Tensor]) -> Tensor:
            x = self._number(env, o.inputs[0])
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
        if o.name in self._bytes:
            return self._joined(o, lambda x, count: values.gathered(x, count, index))

        def run(env: dict[str, Tensor]) -> Tensor:
            flat = torch.cat([self._number(env, i).flatten(1) for i in o.inputs], 1)
            moved = flat[:, index.flatten().clamp(min=0)] * (index.flatten() >= 0)
            return moved.reshape(len(flat), *o.shape)

        return run

    def _concat(self, o: Operation) -> Run:
        if o.name in self._bytes:
            return self._joined(o, lambda x, count: x)

        def run(env: dict[str, Tensor]) -> Tensor:
            flat = torch.cat([self._number(env, i).flatten(1) for i in o.inputs], 1)
            return flat.reshape(len(flat), *o.shape)

        return run

    def _joined(self, o: Operation, then: Callable[[Tensor, int], Tensor]) -> Run:
        """Return what puts bytes one behind the other, and does something to them then."""
        count, size = self._bytes[o.name], sum(self.program[i].size for i in o.inputs)
        shape = o.shape if size == o.size and o.kind == "concat" else (size,)

        def run(env: dict[str, Tensor]) -> Tensor:
            parts = [(env[i], self._bytes[i], self.program[i].shape) for i in o.inputs]
            return then(values.joined(parts, count, shape), count)

        return run

    def _reshape(self, o: Operation) -> Run:
        count = self._bytes.get(o.name, 0)
        if count:
            return lambda env: values.reshaped(env[o.inputs[0]], count, o.shape)
        return lambda env: self._number(env, o.inputs[0]).reshape(-1, *o.shape)


def _program(network: SpikingNetwork) -> IntegerProgram:
    """Return a network's program, if this machine runs one on bytes."""
    if network.device.type != "cpu":
        raise NoForm("the network is not on the processor")
    if missing := kernels.missing():
        raise NoForm(missing)
    try:
        program = lower(network)
    except (ConfigError, UnsupportedModuleError) as error:
        raise NoForm(str(error).removeprefix("export: ")) from error
    if program.steps > 8:
        raise NoForm(f"trains have {program.steps} steps, bytes hold 8")
    return program
