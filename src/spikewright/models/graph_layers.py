# SPDX-License-Identifier: Apache-2.0
"""The layers a graph file may name: one small module per operator, activation included."""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["OPERATORS", "Node", "Operator", "Setting"]


def _leaky_relu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1)


ACTIVATIONS: Mapping[str | None, Callable[[Tensor], Tensor] | None] = MappingProxyType(
    {None: None, "relu": F.relu, "relu6": F.relu6, "leaky_relu_0.1": _leaky_relu}
)


@dataclasses.dataclass(frozen=True)
class Node:
    """One node of a graph file.

    Args:
        op: Key of ``OPERATORS``.
        name: Under which its weights are stored; without weights, the name of its output.
        inputs: Names of the values it takes.
        out: Name of the value it makes.
        act: Key of ``ACTIVATIONS``, applied last.
        settings: What else the operator needs.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    out: str
    act: str | None
    settings: Mapping[str, Any]


_MOST = 1 << 16


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a graph file may say about one thing of an operator.

    Args:
        name: Its key.
        kind: ``int``, ``float`` or ``bool``.
        low: Least number.
        high: Largest number.
        counts: How many numbers it may have; 0 stands for one that is in no list.
        optional: Whether it may be left out.
    """

    name: str
    kind: type = int
    low: float = 1
    high: float = _MOST
    counts: tuple[int, ...] = (0,)
    optional: bool = False

    def problem(self, value: object) -> str:
        """Say what is wrong with a value; empty if nothing is."""
        values = value if isinstance(value, list) else [value]
        count = len(values) if isinstance(value, list) else 0
        if count not in self.counts or not all(map(self._fits, values)):
            lists = [str(c) if c else "one" for c in self.counts]
            what = "true or false" if self.kind is bool else f"{self.low:g} to {self.high:g}"
            return f"{self.name} {str(value)[:40]!r}, expected {' or '.join(lists)}: {what}"
        return ""

    def _fits(self, value: object) -> bool:
        if self.kind is bool:
            return isinstance(value, bool)
        kinds = (int, float) if self.kind is float else (int,)
        return type(value) in kinds and self.low <= value <= self.high  # type: ignore[operator]


class _Conv(nn.Conv2d):
    """Convolution whose zero padding may differ from side to side."""

    def __init__(self, node: Node, weights: Mapping[str, Tensor]) -> None:
        left, right, top, bottom = pads = tuple(node.settings["pad_lrtb"])
        even = left == right and top == bottom
        shape = tuple(weights["weight"].shape)
        said = tuple(node.settings.get("shape", shape))
        if shape != said:
            raise ValueError(f"{node.name}.weight has shape {shape}, the graph says {said}")
        out_channels, in_channels, height, width = shape
        groups = node.settings["groups"]
        super().__init__(
            in_channels * groups,
            out_channels,
            (height, width),
            stride=tuple(node.settings["stride"]),
            padding=(top, left) if even else 0,
            groups=groups,
            bias=node.settings.get("bias", True),
        )
        self.uneven = None if even else pads
        self.act = ACTIVATIONS[node.act]

    def forward(self, x: Tensor) -> Tensor:
        if self.uneven is not None:
            x = F.pad(x, self.uneven)
        return _activated(super().forward(x), self.act)


class _Norm(nn.BatchNorm2d):
    def __init__(self, node: Node, weights: Mapping[str, Tensor]) -> None:
        super().__init__(len(weights["weight"]), eps=node.settings["eps"])
        self.act = ACTIVATIONS[node.act]

    def forward(self, x: Tensor) -> Tensor:
        return _activated(super().forward(x), self.act)


class _Linear(nn.Linear):
    def __init__(self, node: Node, weights: Mapping[str, Tensor]) -> None:
        outputs, inputs = weights["weight"].shape
        super().__init__(inputs, outputs, bias=node.settings.get("bias", True))
        self.act = ACTIVATIONS[node.act]

    def forward(self, x: Tensor) -> Tensor:
        return _activated(super().forward(x.flatten(1)), self.act)


class _MaxPool(nn.MaxPool2d):
    def __init__(self, node: Node, _: Mapping[str, Tensor]) -> None:
        settings = node.settings
        super().__init__(settings["kernel"], settings["stride"], ceil_mode=settings["ceil_mode"])
        self.act = ACTIVATIONS[node.act]

    def forward(self, x: Tensor) -> Tensor:
        return _activated(super().forward(x), self.act)


class _Join(nn.Module):
    """Operators without weights or settings: a function of the inputs, then the activation."""

    def __init__(self, function: Callable[..., Tensor], node: Node) -> None:
        super().__init__()
        self.function = function
        self.act = ACTIVATIONS[node.act]

    def forward(self, *inputs: Tensor) -> Tensor:
        return _activated(self.function(*inputs), self.act)


def _add(*inputs: Tensor) -> Tensor:
    total = inputs[0]
    for value in inputs[1:]:
        total = total + value
    return total


def _concat(*inputs: Tensor) -> Tensor:
    return torch.cat(inputs, dim=1)


def _global_average(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3))


def _activated(x: Tensor, act: Callable[[Tensor], Tensor] | None) -> Tensor:
    return x if act is None else act(x)


@dataclasses.dataclass(frozen=True)
class Operator:
    """What a graph file must and may say about an operator, and how its layer is built.

    Args:
        build: Makes the layer from its node and its weights.
        settings: What may be said.
        parameters: Last parts of the names of its tensors; the first one is its weight.
        axes: Of its weight.
        inputs: How many values it takes; 0 for one or more.
    """

    build: Callable[[Node, Mapping[str, Tensor]], nn.Module]
    settings: tuple[Setting, ...] = ()
    parameters: tuple[str, ...] = ()
    axes: int = 0
    inputs: int = 1

    def parameter_names(self, node: Node) -> tuple[str, ...]:
        """Return the full names of the tensors that the weights file must hold for this node."""
        without = set() if node.settings.get("bias", True) else {"bias"}
        return tuple(f"{node.name}.{key}" for key in self.parameters if key not in without)


_BIAS = Setting("bias", bool, optional=True)

OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        "conv2d": Operator(
            _Conv,
            (
                Setting("stride", counts=(2,)),
                Setting("pad_lrtb", low=0, counts=(4,)),
                Setting("groups"),
                Setting("shape", counts=(4,), optional=True),
                _BIAS,
            ),
            ("weight", "bias"),
            axes=4,
        ),
        "batchnorm": Operator(
            _Norm,
            (Setting("eps", float, low=1e-30, high=1e3),),
            ("weight", "bias", "running_mean", "running_var"),
            axes=1,
        ),
        "linear": Operator(_Linear, (_BIAS,), ("weight", "bias"), axes=2),
        "maxpool": Operator(
            _MaxPool,
            (
                Setting("kernel", counts=(0, 2)),
                Setting("stride", counts=(0, 2)),
                Setting("ceil_mode", bool),
            ),
        ),
        "add": Operator(lambda node, _: _Join(_add, node), inputs=0),
        "concat": Operator(lambda node, _: _Join(_concat, node), inputs=0),
        "global_avgpool": Operator(lambda node, _: _Join(_global_average, node)),
    }
)
