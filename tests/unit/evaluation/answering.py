# SPDX-License-Identifier: Apache-2.0
"""Small networks with every kind of outputs, and inputs for them."""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.methods import Prepared

Outputs = Callable[[Tensor, Tensor], Any]

FORMS: Mapping[str, tuple[Outputs, str]] = MappingProxyType(
    {
        "batch": (lambda _, v: v.squeeze(-1), "one number an input"),
        "batch_1": (lambda _, v: v, "one number an input"),
        "sequence": (lambda s, _: s.reshape(-1, 2, 3), "numbers (batch, 2, 3)"),
        "map": (lambda s, _: s.reshape(-1, 2, 3, 1), "numbers (batch, 2, 3, 1)"),
        "argmax": (lambda s, _: s.argmax(1), "integers, one an input"),
        "argmax_map": (lambda s, _: s.reshape(-1, 2, 3).argmax(1), "integers (batch, 3)"),
        "indices": (lambda s, _: s.topk(3)[1], "integers (batch, 3)"),
        "mask": (lambda s, _: s > 0, "true or false (batch, 6)"),
        "dict": (lambda s, v: {"logits": s, "value": v}, "2 outputs"),
        "tuple": (lambda s, _: (s, s.argmax(1)), "2 outputs"),
        "list": (lambda s, v: [s, v], "2 outputs"),
        "nested": (lambda s, v: {"x": [s, (v, s > 0)]}, "3 outputs"),
        "many": (lambda s, v: [s, v, s.argmax(1), s > 0, s.reshape(-1, 3, 2)], "5 outputs"),
    }
)
"""Name to what is made of six scores and one value, and what that is called."""


class Net(nn.Module):
    """Two layers, six scores and one value, of which something is made."""

    def __init__(self, outputs: Outputs, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Linear(8, 16), nn.ReLU())
        self.scores, self.value = nn.Linear(16, 6), nn.Linear(16, 1)
        self.outputs = outputs

    def forward(self, x: Tensor) -> Any:
        """Return what is made of scores and value."""
        h = self.body(x)
        return self.outputs(self.scores(h), self.value(h))


def inputs(count: int = 24) -> Tensor:
    """Return inputs, always the same."""
    return torch.rand(count, 8, generator=torch.Generator().manual_seed(3))


@cache
def calibrated(outputs: Outputs) -> tuple[Net, Prepared]:
    """Return a network and its statistics, which all methods have in common."""
    model = Net(outputs).eval()
    return model, sw.calibrate(model, inputs())


@cache
def converted(
    outputs: Outputs, method: str = "spikeconverter", T: int = 3
) -> tuple[Net, sw.SpikingNetwork]:
    """Return a network and what it is converted to."""
    model, prepared = calibrated(outputs)
    return model, sw.convert(prepared, method, T=T)
