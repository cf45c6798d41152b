# SPDX-License-Identifier: Apache-2.0
"""Whether what a file gives to an operator is what its signature takes."""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import FileFormatError
from spikewright.graph import ops
from spikewright.graph.ir import Node
from spikewright.graph.signatures import Argument, Signature

__all__ = ["DTYPES", "check_arguments", "check_weight", "misfit"]

DTYPES = frozenset(
    {
        *(torch.float32, torch.float64, torch.bool),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    }
)
"""Types that a tensor of a network may have."""

_MOST_LIST = 4096


def misfit(node: Node, reason: str) -> FileFormatError:
    """Return the error for a node of a file that does not fit."""
    return FileFormatError(f"graph node {node.name!r}: {reason}. Convert the model again.")


def check_arguments(
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
            raise misfit(node, f"{node.op}: {argument.name}: {problem}")


def check_weight(node: Node, args: list[Any]) -> None:
    """Refuse weights and biases of another size than the value and the groups ask for.

    Args:
        node: A node whose arguments have been checked.
        args: Its positional arguments.
    """
    spec = ops.weighted(node)
    if spec is None or spec.out_axis is None or spec.in_axis is None:
        return
    x, weight, bias = [*args[:3], None][:3]
    groups = args[spec.groups] if spec.groups and len(args) > spec.groups else 1
    if not isinstance(x, Tensor) or not isinstance(weight, Tensor):
        raise misfit(node, "expected a value and a weight, got numbers")
    fits = x.ndim >= 1 if spec.channel_axis == -1 else x.ndim == weight.ndim
    if weight.ndim < 2 or 0 in weight.shape or not fits:
        shape = tuple(weight.shape)
        raise misfit(node, f"expected a weight for values of {x.ndim} axes, got shape {shape}")
    entering, leaving = weight.shape[spec.in_axis], weight.shape[spec.out_axis]
    whole = entering if spec.transposed else entering * groups
    made = leaving * groups if spec.transposed else leaving
    channels = x.shape[spec.channel_axis]
    if channels != whole or made % groups or whole % groups:
        raise misfit(
            node,
            f"expected a weight for {channels} channels in {groups} groups, got "
            f"shape {tuple(weight.shape)}",
        )
    if bias is not None and (not isinstance(bias, Tensor) or tuple(bias.shape) != (made,)):
        got = tuple(bias.shape) if isinstance(bias, Tensor) else bias
        raise misfit(node, f"expected a bias of {made} channels, got shape {got}")


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
        raise misfit(node, f"{node.op}: expected up to {len(plain)} arguments, got {len(args)}")
    by_name = {a.name: a for a in found.arguments if a.keyword}
    for name in kwargs:
        if name not in by_name:
            raise misfit(node, f"{node.op}: expected no argument {name!r} by keyword")
    missing = [a.name for a in plain[len(args) :] if a.required]
    missing += [a.name for a in by_name.values() if a.required and a.name not in kwargs]
    if missing:
        raise misfit(node, f"{node.op}: expected {', '.join(missing)}, got none")
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
