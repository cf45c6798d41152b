# SPDX-License-Identifier: Apache-2.0
"""The layers a graph file may name: one small module per operator, activation included."""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["OPERATORS", "Node", "Operator"]


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
    """What a graph file must and may say about an operator, and how its layer is built."""

    build: Callable[[Node, Mapping[str, Tensor]], nn.Module]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()

    def parameter_names(self, node: Node) -> tuple[str, ...]:
        """Return the full names of the tensors that the weights file must hold for this node."""
        without = set() if node.settings.get("bias", True) else {"bias"}
        return tuple(f"{node.name}.{key}" for key in self.parameters if key not in without)


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        "conv2d": Operator(
            _Conv, ("stride", "pad_lrtb", "groups"), ("shape", "bias"), ("weight", "bias")
        ),
        "batchnorm": Operator(
            _Norm, ("eps",), (), ("weight", "bias", "running_mean", "running_var")
        ),
        "linear": Operator(_Linear, (), ("bias",), ("weight", "bias")),
        "maxpool": Operator(_MaxPool, ("kernel", "stride", "ceil_mode")),
        "add": Operator(lambda node, _: _Join(_add, node)),
        "concat": Operator(lambda node, _: _Join(_concat, node)),
        "global_avgpool": Operator(lambda node, _: _Join(_global_average, node)),
    }
)
