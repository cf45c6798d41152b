# SPDX-License-Identifier: Apache-2.0
"""The network as an ONNX model: whole trains at once, in integer operators only.

Every layer is ConvInteger or MatMulInteger on bytes: a value that needs more than a byte, or a
sign, enters as several, whose sums are put together, in 64 bits where 32 do not hold them. Nothing
is computed in floating point but the rounding of inputs (float64) and maxima (of numbers that
float32 holds exactly).
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from torch import Tensor

from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.exports.onnx_nodes import OPSET, Nodes
from spikewright.integers.program import IntegerProgram, Operation

__all__ = ["OPSET", "Model", "checked", "kind_of", "onnx_model", "refuse"]

_INT32 = (1 << 31) - 1


def onnx_model(program: IntegerProgram) -> Any:  # noqa: ANN401 - an onnx.ModelProto
    """Write a program as an ONNX model.

    Inputs are the network's own, float32. Outputs: of every read-out its potential (int32, its
    name) and the original network's output (float64, ``NAME/output``); then the trains of every
    population and gate, each as the number that it stands for (int32), which cost nothing unless
    they are asked for.

    Args:
        program: The program.

    Raises:
        ConfigError: If the package onnx is missing.
        UnsupportedModuleError: If a layer's sums over bytes may leave 32 bits, or its weights 8;
            all are listed.
    """
    refuse(program)
    return checked(Model(program))


def refuse(program: IntegerProgram) -> None:
    """Refuse layers that integer operators cannot compute exactly; all are listed."""
    bad = [text for o in program.operations if (text := _misfit(program, o))]
    if bad:
        raise UnsupportedModuleError(
            "export to onnx: expected layers of 8-bit weights whose sums 32 bits hold, got "
            f"{'; '.join(bad)}. Round with to_integer(weight_bits=8), or fewer bits."
        )


def checked(model: Nodes) -> Any:  # noqa: ANN401 - an onnx.ModelProto
    """Return a model as the package's message, which the package has checked."""
    try:
        onnx = import_module("onnx")
    except ImportError as error:
        raise ConfigError(
            "export: expected the package onnx, got none. pip install spikewright[onnx]"
        ) from error
    proto = model.proto(onnx)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _misfit(program: IntegerProgram, operation: Operation) -> str:
    """Say why a layer has no integer operator; nothing if it has, or is no layer."""
    weight = program.tensor(operation, "weight")
    if weight is None:
        return ""
    where, most = f"{operation.place} ({operation.name})", int(weight.abs().max())
    largest = 255 * int(weight.abs().flatten(1).sum(1).max())
    if most > 127:
        return f"{where}: weights up to {most}"
    return f"{where}: sums up to {largest}" if largest > _INT32 else ""


def kind_of(low: int, high: int) -> str:
    """Return the integer type for a range."""
    return "int64" if max(high, -low) > _INT32 else "int32"


class Model(Nodes):
    """The operators of a program."""

    def _from_outside(self, operation: Operation) -> str:
        source = operation.settings["source"]
        index = self.program.tensor(operation, "index")
        if source not in self.inputs:
            self.inputs[source] = tuple(operation.settings["source_shape"])
        held = self._cast(source, "float64")
        if index is not None:
            held = self._moved([held], operation.shape, index, "float64")
        for i in range(len(operation.tensors)):
            if f"gain{i}" in operation.tensors:
                held = self._add_node("Mul", held, self._own(operation, f"gain{i}", "float64"))
        return held

    def _input(self, operation: Operation) -> None:
        most = 1 << (operation.settings["bits"] - 1)
        held = self._add_node("Round", self._from_outside(operation))
        ends = (self._number(-most, "float64"), self._number(most - 1, "float64"))
        held = self._cast(self._add_node("Clip", held, *ends), "int32")
        self._keep(operation, held, "int32", self.top)

    def _encode(self, operation: Operation) -> None:
        v, pre = self._from_outside(operation), self._own(operation, "pre_bias", "float64")
        if operation.settings["signed"]:
            pre = self._add_node("Mul", self._add_node("Sign", v), pre)
        v = self._add_node("Add", v, pre)
        v = self._add_node("Div", v, self._own(operation, "threshold", "float64"))
        ends = (self._number(operation.low, "float64"), self._number(operation.high, "float64"))
        held = self._add_node("Clip", v, *ends)
        size = self._add_node("Floor", self._add_node("Abs", held))
        held = self._add_node("Mul", self._add_node("Sign", held), size)
        self._name(self._cast(held, "int32"), operation)

    def _fire(self, operation: Operation) -> None:
        kind = kind_of(*operation.settings["register"])
        v, pre = self._total(operation.inputs[0], kind), self._own(operation, "pre_bias", kind)
        if operation.settings["signed"]:
            pre = self._add_node("Mul", self._add_node("Sign", v), pre)
        v = self._add_node("Add", v, pre)
        if not operation.settings["signed"]:
            v = self._add_node("Max", v, self._number(0, kind))
        n = self._add_node("Div", v, self._own(operation, "threshold", kind))  # towards zero
        n = self._add_node("Min", n, self._number(operation.high, kind))
        if operation.settings["signed"]:
            n = self._add_node("Max", n, self._number(operation.low, kind))
        self._name(n if kind == "int32" else self._cast(n, "int32"), operation)

    def _readout(self, operation: Operation) -> None:
        kind = kind_of(operation.low, operation.high)
        self._name(self._total(operation.inputs[0], kind), operation, kind)
        value = self._cast(operation.name, "float64")
        unit = "unit" in operation.tensors
        factor = self._own(operation, "unit", "float64") if unit else self._number(1, "float64")
        name = f"{operation.name}/output"
        self._add_node("Mul", value, factor, name=name)
        self.outputs.append((name, "float64", operation.shape))

    def _max(self, operation: Operation) -> None:
        self._name(self._pooled(operation, self._total(operation.inputs[0], "int32")), operation)

    def _pooled(self, operation: Operation, held: str) -> str:
        """Return the maxima of a value, int32."""
        s = operation.settings
        x = self._cast(self._shaped(held, s["input"]), "float32")
        (above, below), (left, right) = s["padding"]
        pooled = self._add_node(
            "MaxPool",
            x,
            kernel_shape=s["kernel"],
            strides=s["stride"],
            dilations=s["dilation"],
            pads=[above, left, below, right],
        )
        return self._shaped(self._cast(pooled, "int32"), operation.shape)

    def _bytes(self, operation: Operation) -> list[tuple[str, int]]:
        """Return what a layer reads as bytes, and by what the sums of each are multiplied."""
        name = operation.inputs[0]
        source = self.program[name]
        held, factor, kind = self.value[name]
        found = []
        for sign, most in ((1, source.high // factor), (-1, -(source.low // factor))):
            if most <= 0:
                continue
            part = held if sign > 0 else self._add_node("Neg", held)
            if source.low < 0:
                part = self._add_node("Max", part, self._number(0, kind))
            count = max(1, (most.bit_length() + 7) // 8)
            for j in range(count):
                digit = part
                if j:
                    digit = self._add_node("Div", digit, self._number(256**j, kind))
                if j < count - 1:
                    digit = self._add_node("Mod", digit, self._number(256, kind))
                found.append((self._cast(digit, "uint8"), sign * factor * 256**j))
        return found

    def _summed(self, parts: Sequence[tuple[str, int]], kind: str) -> str:
        """Put the sums of a layer's bytes together."""
        total = ""
        for part, factor in parts:
            value = part if kind == "int32" else self._cast(part, kind)
            if factor != 1:
                value = self._add_node("Mul", value, self._number(factor, kind))
            total = self._add_node("Add", total, value) if total else value
        return total

    def _conv(self, operation: Operation) -> None:
        s, weight = operation.settings, self.program.tensors[operation.tensors["weight"]]
        (above, below), (left, right) = s["padding"]
        how = {
            "strides": s["stride"],
            "dilations": s["dilation"],
            "group": s["groups"],
            "pads": [above, left, below, right],
        }
        w = self._number(weight.numpy(), "int8")
        parts = [
            (self._add_node("ConvInteger", self._shaped(x, s["input"]), w, **how), factor)
            for x, factor in self._bytes(operation)
        ]
        self._biased(operation, parts, (-1, 1, 1))

    def _linear(self, operation: Operation) -> None:
        weight = self.program.tensors[operation.tensors["weight"]]
        w = self._number(weight.T.contiguous().numpy(), "int8")
        shape = (operation.settings["rows"], weight.shape[1])
        parts = [
            (self._add_node("MatMulInteger", self._shaped(x, shape), w), factor)
            for x, factor in self._bytes(operation)
        ]
        self._biased(operation, parts, (-1,))

    def _biased(
        self, operation: Operation, parts: Sequence[tuple[str, int]], shape: tuple[int, ...]
    ) -> None:
        kind = kind_of(operation.low, operation.high)
        held, bias = self._summed(parts, kind), self.program.tensor(operation, "bias")
        if bias is not None:
            total = (bias * self.top).reshape(shape).numpy()
            held = self._add_node("Add", held, self._constant(total, kind))
        self._keep(operation, self._shaped(held, operation.shape), kind)

    def _constant(self, value: Any, kind: str) -> str:  # noqa: ANN401 - what numpy takes
        """Return what a bias adds."""
        return self._number(value, kind)

    def _scale(self, operation: Operation) -> None:
        kind = kind_of(operation.low, operation.high)
        x = self._total(operation.inputs[0], kind)
        self._keep(operation, self._add_node("Mul", x, self._own(operation, "gain", kind)), kind)

    def _bias(self, operation: Operation) -> None:
        kind = kind_of(operation.low, operation.high)
        x, bias = self._total(operation.inputs[0], kind), self._own(operation, "bias", kind)
        bias = self._add_node("Mul", bias, self._constant(self.top, kind))
        self._keep(operation, self._add_node("Add", x, bias), kind)

    def _add(self, operation: Operation) -> None:
        kind = kind_of(operation.low, operation.high)
        read = [self._total(name, kind) for name in operation.inputs]
        self._keep(operation, self._add_node("Add", *read), kind)

    def _sum(self, operation: Operation) -> None:
        kind = kind_of(operation.low, operation.high)
        held = self._total(operation.inputs[0], kind)
        count = len(self.program[operation.inputs[0]].shape) + 1
        for axis in operation.settings["axes"]:
            order = list(range(count))
            order[axis + 1], order[-1] = order[-1], order[axis + 1]
            matrix = self.program.tensors[operation.tensors[f"axis{axis}"]].T.contiguous()
            held = self._add_node("Transpose", held, perm=order)
            held = self._add_node("MatMul", held, self._number(matrix.numpy(), kind))
            held = self._add_node("Transpose", held, perm=order)
        self._keep(operation, self._shaped(held, operation.shape), kind)

    def _reshape(self, operation: Operation) -> None:
        held, factor, kind = self.value[operation.inputs[0]]
        self._keep(operation, self._shaped(held, operation.shape), kind, factor)

    def _concat(self, operation: Operation) -> None:
        self._gather(operation)

    def _gather(self, operation: Operation) -> None:
        kind = kind_of(operation.low, operation.high)
        read = [self._total(name, kind) for name in operation.inputs]
        index = self.program.tensor(operation, "index")
        self._keep(operation, self._moved(read, operation.shape, index, kind), kind)

    def _moved(
        self, read: Sequence[str], shape: Sequence[int], index: Tensor | None, kind: str
    ) -> str:
        """Return elements of flattened values, and 0 where the index is -1."""
        flat = [self._add_node("Flatten", name, axis=1) for name in read]
        held = self._add_node("Concat", *flat, axis=1) if len(flat) > 1 else flat[0]
        if index is not None:
            at = index.flatten()
            places = self._number(at.clamp(min=0).numpy(), "int64")
            held = self._add_node("Gather", held, places, axis=1)
            if bool((at < 0).any()):
                there = (at >= 0).unsqueeze(0).numpy()
                held = self._add_node("Mul", held, self._number(there, kind))
        return self._shaped(held, shape)
