# SPDX-License-Identifier: Apache-2.0
"""Whether a graph that came out of a file may be run: checked as a whole, before it is run.

Every operator is one that a network may call, every argument is of the kind and in the range that
its signature says, and every value has the shape that the file declares. The last is found by
running the graph on PyTorch's ``meta`` device, which knows shapes and types but holds no numbers,
once with two and once with three inputs; so nothing is allocated whatever a file asks for.
"""

import re
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import FileFormatError
from spikewright.graph import ops
from spikewright.graph.arguments import DTYPES, check_arguments, check_weight, misfit
from spikewright.graph.batch import Shape, batch_axis, sizes
from spikewright.graph.index_range import IndexRanges
from spikewright.graph.ir import Arg, Graph, Node, Param, Ref
from spikewright.graph.program import resolve_operator
from spikewright.graph.roles import check_roles
from spikewright.graph.signatures import operators, signature
from spikewright.graph.sites import flow

__all__ = ["MOST_ELEMENTS", "validate"]

MOST_ELEMENTS = 1 << 28
"""Most elements that the values of one input may hold at one time: 1 GiB in float32."""

_MOST_NODES = 100_000
_BATCHES = (2, 3)


def validate(graph: Graph, dtype: torch.dtype) -> None:
    """Refuse a graph that is not safe or not possible to run.

    Args:
        graph: Of a file; its references are known to be there.
        dtype: Floating type of the inputs that it will be run with.

    Raises:
        FileFormatError: Naming the first node that does not fit, and why.
    """
    if not 0 < len(graph.nodes) <= _MOST_NODES:
        raise FileFormatError(
            f"graph: expected 1 to {_MOST_NODES} nodes, got {len(graph.nodes)}. Save it again."
        )
    for node in graph:
        if node.op not in operators():
            raise misfit(node, f"operator {node.op!r}: not one that a network may call")
    _check_tensors(graph, dtype)
    for node in graph:
        if (node.op == ops.INPUT) is not (node.name in graph.inputs):
            raise misfit(node, "expected inputs to be those that the file lists, got others")
        if node.op == ops.INPUT and not _is_input_shape(node.shape):
            raise misfit(node, f"expected an input with the batch first, got shape {node.shape}")
    if all(batch_axis(graph[name].shape) is None for name in graph.inputs):
        raise FileFormatError("graph: expected an input that holds the batch, got none.")
    ranges = IndexRanges(graph)
    for batch in _BATCHES:
        _Trial(graph, dtype, batch, ranges).run()
    check_roles(graph)


def _is_input_shape(shape: Shape | None) -> bool:
    """Tell whether samples come first, or the input is one number for all of them."""
    return shape is not None and (
        not shape or (shape[0] is None and all(isinstance(s, int) for s in shape[1:]))
    )


def _check_tensors(graph: Graph, dtype: torch.dtype) -> None:
    """Refuse types that no network has, and numbers that are none."""
    values = flow(graph)
    masks = {p for n in graph if values[n.name].tail or values[n.name].prefix for p in n.params} - {
        p for n in graph if not (values[n.name].tail or values[n.name].prefix) for p in n.params
    }
    for name, tensor in graph.params.items():
        if tensor.dtype not in DTYPES:
            raise FileFormatError(
                f"tensor {name!r}: expected float32, float64 or whole numbers, got "
                f"{str(tensor.dtype).removeprefix('torch.')}. Convert the model again."
            )
        wrong = tensor.isnan() if name in masks else ~tensor.isfinite()
        if tensor.is_floating_point() and bool(wrong.any()):
            raise FileFormatError(
                f"tensor {name!r}: expected finite numbers, got NaN or infinity. "
                "Convert the model again, from a sound checkpoint."
            )
    for node in graph:
        between = not (values[node.name].tail or values[node.name].prefix)
        if node.op == ops.WINDOW_SUM or not between:
            continue
        for name in node.params:
            own = graph.params[name].dtype
            if own != dtype and (own.is_floating_point or ops.weighted(node) is not None):
                raise misfit(node, f"expected tensors of {dtype}, got {name!r} of {own}")


class _Trial:
    """One run on the meta device.

    Args:
        graph: The graph.
        dtype: Floating type of the inputs.
        batch: Number of inputs.
        ranges: What is known of whole numbers that choose elements.
    """

    def __init__(self, graph: Graph, dtype: torch.dtype, batch: int, ranges: IndexRanges) -> None:
        self._graph, self._dtype, self._batch, self._ranges = graph, dtype, batch, ranges
        self._params = {n: t.to("meta") for n, t in graph.params.items()}
        self._values: dict[str, Any] = {}
        position = {name: i for i, name in enumerate(graph.nodes)}
        self._last = {i: at for name, at in position.items() for i in graph[name].inputs}
        self._last |= dict.fromkeys(graph.outputs, len(position))
        self._held = 0

    def run(self) -> None:
        """Compute the shape of every value, in order."""
        dying: dict[int, list[str]] = {}
        for name, at in self._last.items():
            dying.setdefault(at, []).append(name)
        for at, node in enumerate(self._graph):
            result = self._call(node)
            self._values[node.name] = result
            self._check_result(node, result)
            self._ranges.learn(node, self._values)
            for name in dying.get(at, ()):
                self._held -= _elements(self._values[name])

    def _call(self, node: Node) -> Any:  # noqa: ANN401 - a tensor, several, or a number
        args = [self._value(a) for a in node.args]
        kwargs = {k: self._value(v) for k, v in node.kwargs.items()}
        found = signature(node.op)
        check_arguments(node, found, args, kwargs)
        check_weight(node, args)
        if node.op == ops.INPUT:
            dtype = kwargs.get("dtype", self._dtype)
            if "dtype" in kwargs and dtype.is_floating_point:
                raise misfit(node, f"expected a type of whole numbers, got {dtype}")
            return torch.empty(sizes(node.shape or (), self._batch), dtype=dtype, device="meta")
        if node.op in ops.SITE_OPS:
            return args[0]
        if any(a.name == "device" for a in found.arguments):
            kwargs["device"] = "meta"
        try:
            self._ranges.check(node, self._values)
            result = resolve_operator(node.op)(*args, **kwargs)
            result = tuple(result) if isinstance(result, list | tuple) else result
            return result if node.pick is None else result[node.pick]
        except FileFormatError:
            raise
        except Exception as error:  # what does not fit fails in many ways, none of them ours
            lines = str(error).strip().splitlines() or [type(error).__name__]
            reason = re.sub(r"\s+", " ", lines[0])[:160].rstrip(". ")
            raise misfit(node, f"its arguments do not fit {node.op} ({reason})") from error

    def _value(self, arg: Arg) -> Any:  # noqa: ANN401 - tensors or data
        if isinstance(arg, Ref):
            return self._values[arg.name]
        if isinstance(arg, Param):
            return self._params[arg.name]
        if isinstance(arg, tuple):
            return [self._value(a) for a in arg]
        return arg

    def _check_result(self, node: Node, result: Any) -> None:  # noqa: ANN401 - see _call
        self._held += _elements(result)
        if self._held > MOST_ELEMENTS * self._batch:
            raise misfit(
                node,
                f"expected values of at most {MOST_ELEMENTS:,} elements an input at one time, got "
                f"{self._held // self._batch:,}",
            )
        for tensor in result if isinstance(result, tuple) else (result,):
            if isinstance(tensor, Tensor) and tensor.dtype not in DTYPES:
                raise misfit(node, f"expected real numbers, got {tensor.dtype}")
        if not isinstance(result, Tensor):
            if node.shape is not None:
                raise misfit(node, f"expected no shape of what is no tensor, got {node.shape}")
            _check_number(node, result)
            return
        declared = None if node.shape is None else sizes(node.shape, self._batch)
        if declared != tuple(result.shape):
            raise misfit(
                node,
                f"expected shape {tuple(result.shape)} for {self._batch} inputs, got {declared}",
            )


def _elements(value: Any) -> int:  # noqa: ANN401 - whatever an operator gives
    if isinstance(value, Tensor):
        return value.numel()
    return sum(map(_elements, value)) if isinstance(value, tuple) else 0


def _check_number(node: Node, value: Any) -> None:  # noqa: ANN401 - a number or a tuple
    if isinstance(value, tuple):
        if not all(isinstance(v, Tensor) for v in value):
            raise misfit(node, "expected tensors, got something else")
    elif type(value) not in (int, float, bool) or not abs(value) < 1 << 62:
        raise misfit(node, f"expected a number below 2^62, got {str(value)[:40]}")
