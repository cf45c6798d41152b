# SPDX-License-Identifier: Apache-2.0
"""One step of a synchronous network as an ONNX model, with its state as inputs and outputs.

All states are zeros before the first step: potentials are counted from where they start.
"""

from typing import Any

from spikewright.exports.onnx_model import Model, checked, kind_of, refuse
from spikewright.integers.program import IntegerProgram, Operation
from spikewright.network import SpikingNetwork

__all__ = ["onnx_step"]

STEP = "step"
"""Name of the state that counts steps: "batch", so that every sample may be at another one."""


def onnx_step(program: IntegerProgram, network: SpikingNetwork) -> Any:  # noqa: ANN401
    """Write one step as an ONNX model, an ``onnx.ModelProto``.

    Inputs are the network's own, float32, and states: ``step`` (int32, "batch"), ``NAME/v`` of a
    population (and ``NAME/n``, its running count, of consistent ones), ``NAME/p`` of a gate,
    ``NAME/v`` of a read-out. Outputs: every state after the step, its name followed by ``/next``;
    what every population and gate sends (int32, its name); what enters a read-out (its name) and
    ``NAME/output`` (float64), the original network's output by the steps so far.

    Args:
        program: The step, from ``lower_step``.
        network: The network.

    Raises:
        ConfigError: If the package onnx is missing.
        UnsupportedModuleError: If a layer's sums over bytes may leave 32 bits, or its weights 8;
            all are listed.
    """
    refuse(program)
    return checked(_Step(program, network))


class _Step(Model):
    """The operators of a step."""

    def __init__(self, program: IntegerProgram, network: SpikingNetwork) -> None:
        self.network = network
        self.awake, self.axes = "", 1
        self._clock: str | None = None
        super().__init__(program)

    @property
    def clock(self) -> str:
        """Steps awake, this one counted, int32 "batch"; the step itself becomes a state."""
        if self._clock is None:
            self.states.append((STEP, "int32", ()))
            now = self._next(STEP, self._add_node("Add", STEP, self._number(1)), "int32", ())
            awake = self._number(self.network.awake)
            self._clock = self._add_node("Min", now, awake)
            if self.network.awake < self.network.steps:
                self.awake = self._add_node("LessOrEqual", now, awake)
        return self._clock

    def _next(self, state: str, held: str, kind: str, shape: tuple[int, ...]) -> str:
        name = self._add_node("Identity", held, name=f"{state}/next")
        self.outputs.append((name, kind, shape))
        return name

    def _state(self, name: str, kind: str, shape: tuple[int, ...]) -> str:
        self.states.append((name, kind, shape))
        return name

    def _broadcast(self, held: str, count: int, kind: str) -> str:
        """Return a number a sample so that it broadcasts with values of ``count`` axes each."""
        return self._shaped(self._cast(held, kind), (1,) * count)

    def _input(self, operation: Operation) -> None:
        super()._input(operation)
        held, factor, kind = self.value[operation.name]
        self._keep(operation, self._while_awake(held, len(operation.shape), kind), kind, factor)

    def _while_awake(self, held: str, count: int, kind: str) -> str:
        _ = self.clock
        if not self.awake:
            return held
        return self._add_node("Mul", held, self._broadcast(self.awake, count, kind))

    def _constant(self, value: Any, kind: str) -> str:  # noqa: ANN401 - what numpy takes
        held = self._number(value, kind)
        count = self.constants[held].ndim or 1
        return self._while_awake(held, max(count, self.axes), kind)

    def _biased(self, operation: Operation, *rest: Any) -> None:  # noqa: ANN401
        self.axes = 3 if operation.kind == "conv" else 2
        super()._biased(operation, *rest)

    def _bias(self, operation: Operation) -> None:
        self.axes = len(operation.shape)
        super()._bias(operation)

    def _fire(self, operation: Operation) -> None:
        s, shape, name = operation.settings, operation.shape, f"{operation.name}/v"
        kind = kind_of(*s["register"])
        start, theta = (self._own(operation, role, kind) for role in ("pre_bias", "threshold"))
        v = self._add_node("Add", self._state(name, kind, shape), start)
        v = self._add_node("Add", v, self._total(operation.inputs[0], kind))
        spikes = self._spikes(operation, v, theta, kind)
        if s["neuron"] == "if-hard":
            silent = self._add_node("Equal", spikes, self._number(0, kind))
            v = self._add_node("Mul", v, self._cast(silent, kind))
        else:
            v = self._add_node("Sub", v, self._add_node("Mul", theta, spikes))
        self._next(name, self._add_node("Sub", v, start), kind, shape)
        self._name(spikes if kind == "int32" else self._cast(spikes, "int32"), operation)

    def _spikes(self, operation: Operation, v: str, theta: str, kind: str) -> str:
        s, zero = operation.settings, self._number(0, kind)
        if s["neuron"] == "burst":
            v = v if s["signed"] else self._add_node("Max", v, zero)
            found = self._add_node("Div", v, theta)  # towards zero
            found = self._add_node("Min", found, self._number(s["gamma"], kind))
            return self._add_node("Max", found, self._number(-s["gamma"], kind))
        found = self._cast(self._add_node("GreaterOrEqual", v, theta), kind)
        if s["neuron"] == "consistent-if":
            below = self._add_node("Less", v, zero)
            found = self._add_node("Sub", found, self._cast(below, kind))
            return self._bounded(operation, found, kind)
        if s["signed"]:
            below = self._add_node("LessOrEqual", v, self._add_node("Neg", theta))
            found = self._add_node("Sub", found, self._cast(below, kind))
        return found

    def _bounded(self, operation: Operation, spikes: str, kind: str) -> str:
        """Keep the running count of a consistent neuron between 0 (signed: -τ) and τ."""
        name, shape = f"{operation.name}/n", operation.shape
        before = self._state(name, kind, shape)
        most = self._broadcast(self.clock, len(shape), kind)
        signed = operation.settings["signed"]
        least = self._add_node("Neg", most) if signed else self._number(0, kind)
        n = self._add_node("Add", before, spikes)
        n = self._add_node("Min", self._add_node("Max", n, least), most)
        self._next(name, n, kind, shape)
        return self._add_node("Sub", n, before)

    def _max(self, operation: Operation) -> None:
        name, (source,) = f"{operation.name}/p", operation.inputs
        shape = self.program[source].shape
        before = self._state(name, "int32", shape)
        now = self._add_node("Add", before, self._total(source, "int32"))
        self._next(name, now, "int32", shape)
        pooled = (self._pooled(operation, p) for p in (now, before))
        self._name(self._add_node("Sub", *pooled), operation)

    def _readout(self, operation: Operation) -> None:
        shape, name = operation.shape, f"{operation.name}/v"
        current = self._total(operation.inputs[0], "int64")
        v = self._add_node("Add", self._state(name, "int64", shape), current)
        self._next(name, v, "int64", shape)
        self._name(current, operation, "int64")
        steps = self._broadcast(self.clock, len(shape), "float64")
        mean = self._add_node("Div", self._cast(v, "float64"), steps)
        if "unit" in operation.tensors:
            mean = self._add_node("Mul", mean, self._own(operation, "unit", "float64"))
        output = self._add_node("Identity", mean, name=f"{operation.name}/output")
        self.outputs.append((output, "float64", shape))
