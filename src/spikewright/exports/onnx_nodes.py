# SPDX-License-Identifier: Apache-2.0
"""An ONNX model under construction: nodes, constants, inputs and outputs by name."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikewright import __version__
from spikewright.integers.program import IntegerProgram, Operation

__all__ = ["OPSET", "Nodes"]

OPSET = 17


class Nodes:
    """Nodes and constants so far; a class of operators adds to them, one method a kind.

    Attributes:
        value: Name of a value to the tensor that holds it, by what that is to be multiplied, and
            the tensor's type.
    """

    def __init__(self, program: IntegerProgram) -> None:
        self.program = program
        self.nodes: list[tuple[str, list[str], str, dict[str, Any]]] = []
        self.constants: dict[str, np.ndarray[Any, Any]] = {}
        self.value: dict[str, tuple[str, int, str]] = {}
        self.top = (1 << program.steps) - 1
        self.inputs: dict[str, tuple[int, ...]] = {}
        self.states: list[tuple[str, str, tuple[int, ...]]] = []
        self.outputs: list[tuple[str, str, tuple[int, ...]]] = []
        for operation in program.operations:
            getattr(self, f"_{operation.kind}")(operation)

    def proto(self, onnx: Any) -> Any:  # noqa: ANN401 - the package and its message
        """Return the model as the package's message."""
        helper, kinds = onnx.helper, onnx.TensorProto
        numbers = {
            "int32": kinds.INT32,
            "int64": kinds.INT64,
            "float64": kinds.DOUBLE,
            "float32": kinds.FLOAT,
        }

        def info(name: str, kind: str, shape: Sequence[int]) -> Any:  # noqa: ANN401
            return helper.make_tensor_value_info(name, numbers[kind], ["batch", *shape])

        graph = helper.make_graph(
            [helper.make_node(op, read, [out], **how) for op, read, out, how in self.nodes],
            "spikewright",
            [
                *(info(name, "float32", shape) for name, shape in self.inputs.items()),
                *(info(*state) for state in self.states),
            ],
            [info(*output) for output in self.outputs],
            [onnx.numpy_helper.from_array(value, n) for n, value in self.constants.items()],
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=9,
            producer_name="spikewright",
            producer_version=__version__,
        )

    def _add_node(self, op: str, *read: str, name: str = "", **how: Any) -> str:  # noqa: ANN401
        name = name or f"v{len(self.nodes)}"
        self.nodes.append((op, list(read), name, how))
        return name

    def _number(self, value: Any, kind: str = "int32") -> str:  # noqa: ANN401 - what numpy takes
        array = np.asarray(value, kind)
        key = f"c{len(self.constants)}"
        self.constants[key] = array
        return key

    def _cast(self, name: str, to: str) -> str:
        kinds = {"uint8": 2, "int32": 6, "int64": 7, "float32": 1, "float64": 11}
        return self._add_node("Cast", name, to=kinds[to])

    def _shaped(self, name: str, shape: Sequence[int]) -> str:
        return self._add_node("Reshape", name, self._number((-1, *shape), "int64"))

    def _total(self, name: str, kind: str) -> str:
        """Return a value itself in a type: what holds it, multiplied where it stands for more."""
        held, factor, own = self.value[name]
        held = held if own == kind else self._cast(held, kind)
        return held if factor == 1 else self._add_node("Mul", held, self._number(factor, kind))

    def _keep(self, operation: Operation, held: str, kind: str, factor: int = 1) -> None:
        self.value[operation.name] = (held, factor, kind)

    def _own(self, operation: Operation, role: str, kind: str) -> str:
        """Return a tensor that broadcasts, with as many axes as the value and one for the batch."""
        tensor = self.program.tensors[operation.tensors[role]]
        axes = (1,) * (len(operation.shape) + 1 - tensor.ndim)
        return self._number(tensor.reshape(axes + tuple(tensor.shape)).numpy(), kind)

    def _name(self, held: str, operation: Operation, kind: str = "int32") -> None:
        """Make a value an output under its own name."""
        self._add_node("Identity", held, name=operation.name)
        self.outputs.append((operation.name, kind, operation.shape))
        self._keep(operation, operation.name, kind)
