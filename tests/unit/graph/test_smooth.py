# SPDX-License-Identifier: Apache-2.0
"""Smooth activations written out become the operator of their name; others stay products."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikewright.graph import ops
from tests.unit.graph.spellings import check_rewritten

Fn = Callable[[Tensor], Tensor]

WRITTEN: dict[str, tuple[str, Fn]] = {
    "SiLU": ("silu", lambda x: x * torch.sigmoid(x)),
    "SiLU by exp": ("silu", lambda x: (1 / (1 + torch.exp(-x))) * x),
    "quick GELU": ("silu", lambda x: x * torch.sigmoid(1.702 * x)),
    "GELU": ("gelu", lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))),
    "GELU of GPT-2": (
        "gelu",
        lambda x: (
            0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))
        ),
    ),
    "Mish": ("mish", lambda x: x * torch.tanh(F.softplus(x))),
    "Hardswish": ("hardswish", lambda x: x * F.relu6(x + 3) / 6),
}


class Net(nn.Module):
    def __init__(self, fn: Fn) -> None:
        super().__init__()
        self.first, self.last, self.fn = nn.Linear(6, 8), nn.Linear(8, 3), fn

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.fn(3 * self.first(x)))
        return y


@pytest.mark.parametrize("name", WRITTEN)
def test_an_activation_that_is_written_out_gets_its_name(name: str) -> None:
    op, fn = WRITTEN[name]
    graph = check_rewritten(Net(fn), torch.randn(5, 6))
    (found,) = (n for n in graph if ops.kind(n) in ("analog", "site"))
    assert found.op == f"aten.{op}.default"
    assert found.kwargs == ({"approximate": "tanh"} if name == "GELU of GPT-2" else {})


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x * torch.sigmoid(1.5 * x),
        lambda x: x * (torch.sigmoid(x) + 1e-3),
        lambda x: x * torch.exp(-x.abs()),
        lambda x: x * torch.sigmoid(x.flip(1)),
        lambda x: x * torch.sigmoid(x.mean(1, keepdim=True)),
    ],
)
def test_what_is_no_known_activation_stays_a_product(fn: Fn) -> None:
    graph = check_rewritten(Net(fn), torch.randn(5, 6))
    assert "aten.mul.Tensor" in [n.op for n in graph]
    assert not {f"aten.{op}.default" for op, _ in WRITTEN.values()} & {n.op for n in graph}


def test_a_clip_inside_of_a_norm_takes_no_neurons() -> None:
    """``F.normalize`` divides by max(‖x‖, ε): between functions of values, no population."""

    class Cosine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.last(F.normalize(self.first(x), dim=1))
            return y

    graph = check_rewritten(Cosine(), torch.randn(5, 6))
    assert [n.op for n in graph if ops.kind(n) in ("analog", "site")] == [
        "aten.linalg_vector_norm.default",
        "aten.clamp_min.default",
        "aten.div.Tensor",
    ]
