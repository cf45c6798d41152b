# SPDX-License-Identifier: Apache-2.0
"""Whether a graph that came out of a file may be run: checked as a whole, before it is run.

Every operator is one that a network may call, every argument is of the kind and in the range that
its signature says, and every value has the shape that the file declares. The last is found by
running the graph on PyTorch's ``meta`` device, which knows shapes and types but holds no numbers,
once with two and once with three inputs; so nothing is allocated whatever a file asks for.
"""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import FileFormatError
from spikewright.graph import ops
from spikewright.graph.batch import Shape, batch_axis, sizes
from spikewright.graph.index_range import IndexRanges
from spikewright.graph.ir import Arg, Graph, Node, Param, Ref
from spikewright.graph.program import resolve_operator
from spikewright.graph.signatures import Argument, Signature, operators, signature
from spikewright.graph.sites import flow, refusals

__all__ = ["DTYPES", "MOST_ELEMENTS", "validate"]

DTYPES = frozenset(
    {
        *(torch.float32, torch.float64, torch.bool),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    }
)
"""Types that a tensor of a network may have."""

MOST_ELEMENTS = 1 << 28
"""Most elements that the values of one input may hold at one time: 1 GiB in float32."""

_MOST_NODES = 100_000
_MOST_LIST = 4096
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
            raise _bad(node, f"operator {node.op!r}: not one that a network may call")
    _check_tensors(graph, dtype)
    for node in graph:
        if (node.op == ops.INPUT) is not (node.name in graph.inputs):
            raise _bad(node, "expected inputs to be those that the file lists, got others")
        if node.op == ops.INPUT and not _is_input_shape(node.shape):
            raise _bad(node, f"expected an input with the batch first, got shape {node.shape}")
    if all(batch_axis(graph[name].shape) is None for name in graph.inputs):
        raise FileFormatError("graph: expected an input that holds the batch, got none.")
    ranges = IndexRanges(graph)
    for batch in _BATCHES:
        _Trial(graph, dtype, batch, ranges).run()
    _check_roles(graph)


def _bad(node: Node, reason: str) -> FileFormatError:
    return FileFormatError(f"graph node {node.name!r}: {reason}. Convert the model again.")


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
                raise _bad(node, f"expected tensors of {dtype}, got {name!r} of {own}")


def _check_roles(graph: Graph) -> None:
    """Refuse a graph that is no spiking network: every weighted layer reads spikes, and so on."""
    values, users = flow(graph), graph.users()
    for refusal in refusals(graph):
        raise _bad(refusal.node, f"{ops.describe(refusal.node)} is {refusal.reason}")
    for node in graph:
        kind, value = ops.kind(node), values[node.name]
        before = [values[i] for i in node.inputs if ops.kind(graph[i]) != "shape"]
        if kind == "weighted" and not value.tail:
            _check_weighted(graph, node)
            if before[0].weighted:
                raise _bad(node, "expected spikes to read, got values that passed weights already")
        if kind == "site" and any(b.tail for b in before):
            raise _bad(node, "expected a population in front of the read-outs, got one behind")
        if node.op == ops.INPUT_SITE and not before[0].prefix:
            raise _bad(node, "expected neurons at the input, got them behind weights")
        if kind == "pool" and not value.tail and not before[0].prefix and not before[0].train:
            raise _bad(node, "expected spikes to take the maximum of, got values mixed already")
        if kind == "analog" and value.tail and any(not b.tail and not b.prefix for b in before):
            raise _bad(node, "expected a read-out in front of analog work, got spikes")
    if not any(n.op in ops.SPIKING_OPS and n.op != ops.INPUT_SITE for n in graph):
        raise FileFormatError(
            "graph: expected at least one population that spikes, got none. Convert the model again."
        )
    for name in graph.outputs:
        if not values[name].tail:
            raise _bad(graph[name], "expected outputs behind a read-out, got another value")
        if graph[name].shape is None:
            raise _bad(graph[name], "expected tensors as outputs, got something else")
    for node in graph:
        if node.op == ops.READOUT and any(not values[u.name].tail for u in users[node.name]):
            raise _bad(node, "expected nothing but analog work behind a read-out")


def _check_weighted(graph: Graph, node: Node) -> None:
    """Refuse a layer whose tensors are not its own, not in their places, or of another size."""
    tensors = [*node.args[1:3], None][:2]
    plain = isinstance(node.args[0], Ref) and isinstance(tensors[0], Param)
    if not plain or not isinstance(tensors[1], Param | None) or set(node.kwargs):
        raise _bad(node, "expected a value, a weight and a bias in their places, got others")
    spec = ops.weighted(node)
    if spec is None or spec.out_axis is None or spec.in_axis is None:
        return
    weight = graph.params[tensors[0].name].shape
    bias = None if tensors[1] is None else tuple(graph.params[tensors[1].name].shape)
    groups = node.args[spec.groups] if spec.groups and len(node.args) > spec.groups else 1
    x = graph[node.args[0].name].shape or ()
    if len(weight) < 2 or (spec.channel_axis == 1 and len(weight) != len(x)):
        raise _bad(node, f"expected a weight for values of {len(x)} axes, got {tuple(weight)}")
    entering, leaving = weight[spec.in_axis], weight[spec.out_axis]
    whole = entering if spec.transposed else entering * groups
    made = leaving * groups if spec.transposed else leaving
    channels = x[spec.channel_axis]
    if channels != whole or made % groups or whole % groups or min(weight) < 1:
        raise _bad(
            node,
            f"expected a weight for {channels} channels in {groups} groups, got {tuple(weight)}",
        )
    if bias not in (None, (made,)):
        raise _bad(node, f"expected a bias of {made} channels, got shape {bias}")


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
        _check_arguments(node, found, args, kwargs)
        if node.op == ops.INPUT:
            return torch.empty(
                sizes(node.shape or (), self._batch), dtype=self._dtype, device="meta"
            )
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
            raise _bad(node, f"its arguments do not fit {node.op} ({reason})") from error

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
            raise _bad(
                node,
                f"expected values of at most {MOST_ELEMENTS:,} elements an input at one time, got "
                f"{self._held // self._batch:,}",
            )
        for tensor in result if isinstance(result, tuple) else (result,):
            if isinstance(tensor, Tensor) and tensor.dtype not in DTYPES:
                raise _bad(node, f"expected real numbers, got {tensor.dtype}")
        if not isinstance(result, Tensor):
            if node.shape is not None:
                raise _bad(node, f"expected no shape of what is no tensor, got {node.shape}")
            _check_number(node, result)
            return
        declared = None if node.shape is None else sizes(node.shape, self._batch)
        if declared != tuple(result.shape):
            raise _bad(
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
            raise _bad(node, "expected tensors, got something else")
    elif type(value) not in (int, float, bool) or not abs(value) < 1 << 62:
        raise _bad(node, f"expected a number below 2^62, got {str(value)[:40]}")


def _check_arguments(
    node: Node, found: Signature, args: list[Any], kwargs: Mapping[str, Any]
) -> None:
    """Refuse arguments that are missing, too many, of another kind or out of range."""
    axes = _axes(args)
    for argument, value in _bound(node, found, args, kwargs):
        if argument.kind == "axis":
            ends = max(1, axes + int(argument.high))
            argument = dataclasses.replace(argument, kind="int", low=-ends, high=ends - 1)
        problem = _problem(argument, value)
        if problem:
            raise _bad(node, f"{node.op}: {argument.name}: {problem}")


def _axes(args: Any) -> int:  # noqa: ANN401 - arguments
    """Return how many axes the first tensor has."""
    for arg in args:
        if isinstance(arg, Tensor):
            return arg.ndim
        if isinstance(arg, list) and arg and isinstance(arg[0], Tensor):
            return arg[0].ndim
    return 0


def _bound(
    node: Node, found: Signature, args: list[Any], kwargs: Mapping[str, Any]
) -> Iterator[tuple[Argument, Any]]:
    """Yield every argument that is given with its value."""
    plain = [a for a in found.arguments if not a.keyword]
    if len(args) > len(plain) and found.rest is None:
        raise _bad(node, f"{node.op}: expected up to {len(plain)} arguments, got {len(args)}")
    by_name = {a.name: a for a in found.arguments if a.keyword}
    for name in kwargs:
        if name not in by_name:
            raise _bad(node, f"{node.op}: expected no argument {name!r} by keyword")
    missing = [a.name for a in plain[len(args) :] if a.required]
    missing += [a.name for a in by_name.values() if a.required and a.name not in kwargs]
    if missing:
        raise _bad(node, f"{node.op}: expected {', '.join(missing)}, got none")
    yield from zip(plain, args, strict=False)
    yield from ((found.rest, a) for a in args[len(plain) :] if found.rest is not None)
    yield from ((by_name[k], v) for k, v in kwargs.items())


def _problem(argument: Argument, value: Any) -> str:  # noqa: ANN401 - any argument
    """Say what is wrong with the value of an argument; empty if nothing is."""
    if argument.kind == "tuple":
        return "" if isinstance(value, tuple) else "expected several tensors"
    if value is None and argument.optional:
        return ""
    if argument.many:
        if not isinstance(value, list):
            return _one(argument, value) if argument.alone else "expected a list"
        lengths = (1, argument.times)
        if len(value) > _MOST_LIST or (argument.times and value and len(value) not in lengths):
            return f"expected {argument.times or 'fewer'} values, got {len(value)}"
        if not value and not argument.empty:
            return f"expected {argument.times} values, got none"
        return next(filter(None, (_problem_in_list(argument, v) for v in value)), "")
    return _one(argument, value)


def _problem_in_list(argument: Argument, value: Any) -> str:  # noqa: ANN401 - an element
    return "" if value is None and argument.optional else _one(argument, value)


def _one(argument: Argument, value: Any) -> str:  # noqa: ANN401 - any argument
    shown = f"got {str(value)[:40]!r}" if not isinstance(value, Tensor) else "got a tensor"
    match argument.kind:
        case "tensor":
            number = type(value) in (int, float, bool) and math.isfinite(value)
            return "" if isinstance(value, Tensor) or number else f"expected a tensor, {shown}"
        case "bool":
            return "" if isinstance(value, bool) else f"expected true or false, {shown}"
        case "text":
            fits = isinstance(value, str) and re.fullmatch(argument.pattern, value)
            return "" if fits else f"expected a text like {argument.pattern}, {shown}"
        case "dtype":
            return "" if value in DTYPES else f"expected a type of real numbers, {shown}"
        case "fixed":
            same = type(value) is type(argument.fixed) and value == argument.fixed
            return "" if same else f"expected {argument.fixed}, {shown}"
        case _:
            return _number(argument, value, shown)


def _number(argument: Argument, value: Any, shown: str) -> str:  # noqa: ANN401 - any argument
    kinds = {"int": (int,), "float": (int, float), "number": (int, float, bool)}[argument.kind]
    if type(value) not in kinds or math.isnan(value):
        return f"expected a{' whole' if argument.kind == 'int' else ''} number, {shown}"
    if not argument.low <= value <= argument.high:
        return f"expected {argument.low:g} to {argument.high:g}, {shown}"
    return ""
