# SPDX-License-Identifier: Apache-2.0
"""Products of two values: every spelling is ``matmul`` or ``mul``, with the right numbers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikewright.graph import Node, Ref, ops
from tests.unit.graph.spellings import check_rewritten

PRODUCTS = ("aten.matmul.default", "aten.mul.Tensor")
Fn = Callable[[Tensor, Tensor], Tensor]  # both "batch 3 4 6"

MATRICES: dict[str, Fn] = {
    "@": lambda x, y: x @ y.mT,
    "matmul with an axis more": lambda x, y: x.unsqueeze(1) @ y.mT.unsqueeze(2),
    "bmm of batch and heads": lambda x, y: torch.bmm(x.flatten(0, 1), y.flatten(0, 1).mT),
    "bmm of heads and batch": lambda x, y: torch.bmm(
        x.transpose(0, 1).flatten(0, 1), y.transpose(0, 1).flatten(0, 1).mT
    ).unflatten(0, (3, -1)),
    "baddbmm to a constant": lambda x, y: torch.baddbmm(
        torch.ones(4, 4), x.flatten(0, 1), y.flatten(0, 1).mT, beta=0.5, alpha=0.25
    ),
    "baddbmm to nothing": lambda x, y: torch.baddbmm(
        torch.empty(1, 4, 4).fill_(7), x.flatten(0, 1), y.flatten(0, 1).mT, beta=0
    ),
    "baddbmm to a value": lambda x, y: torch.baddbmm(
        y.flatten(0, 1)[:, :, :4], x.flatten(0, 1), y.flatten(0, 1).mT, alpha=2.0
    ),
    "einsum of attention": lambda x, y: torch.einsum("bhqd,bhkd->bhqk", x, y),
    "einsum into another order": lambda x, y: torch.einsum("bhqd,bhkd->kbqh", x, y),
    "einsum over two axes": lambda x, y: torch.einsum("bhqd,bhkd->bqk", x, y),
    "einsum over everything": lambda x, y: torch.einsum("bhqd,bhqd->b", x, y),
    "einsum with an axis of one alone": lambda x, y: torch.einsum("bhqd,bhkd->bhq", x, y),
    "einsum with dots": lambda x, y: torch.einsum("...qd,...kd->...qk", x, y),
    "einsum of rows and a vector": lambda x, y: torch.einsum("bhqd,bd->bhq", x, y[:, 0, 0]),
}

ELEMENTS: dict[str, Fn] = {
    "*": lambda x, y: x * y,
    "a gate for each channel": lambda x, y: x * y.mean((2, 3), keepdim=True),
    "einsum that gates": lambda x, y: torch.einsum("bhqd,bh->bhqd", x, y.mean((2, 3))),
    "einsum without a sum": lambda x, y: torch.einsum("bhqd,bhk->bkhqd", x, y[:, :, :, 0]),
    "addcmul": lambda x, y: torch.addcmul(torch.ones(6), x, y, value=0.5),
    "addcmul to a value": lambda x, y: torch.addcmul(x, x, y, value=2.0),
    "glu": lambda x, y: F.glu(x + y),
    "glu of channels": lambda x, y: F.glu(torch.cat([x, y], 1), 1),
    "SwiGLU": lambda x, y: F.silu(x) * y,
}


class Two(nn.Module):
    """Two layers, whose results a function multiplies."""

    def __init__(self, fn: Fn) -> None:
        super().__init__()
        self.one, self.two, self.fn = nn.Linear(6, 6), nn.Linear(6, 6), fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self.one(x), self.two(x))


def products(nodes: object) -> list[Node]:
    return [n for n in nodes if n.op in PRODUCTS]  # type: ignore[attr-defined]


@pytest.mark.parametrize("spelling", [*MATRICES, *ELEMENTS])
def test_a_product_of_two_values_has_one_spelling(spelling: str) -> None:
    graph = check_rewritten(Two((MATRICES | ELEMENTS)[spelling]), torch.randn(5, 3, 4, 6))
    (product,) = products(graph)
    assert product.op == PRODUCTS[spelling in ELEMENTS]
    assert all(isinstance(a, Ref) for a in product.args)
    left = {n.op for n in graph if ops.kind(n) == "analog"}
    assert left <= {*PRODUCTS, "aten.sigmoid.default", "aten.silu.default"}


@pytest.mark.parametrize(
    "fn", [lambda x: x * x, lambda x: x**2, lambda x: x.pow(2.0), torch.square]
)
def test_a_value_times_itself_is_no_product_of_two(fn: Callable[[Tensor], Tensor]) -> None:
    graph = check_rewritten(Two(lambda x, y: fn(x)), torch.randn(5, 3, 4, 6))
    assert [n.op for n in graph if ops.kind(n) == "analog"] == ["aten.square.default"]


def test_layers_with_constants_stay_layers() -> None:
    """The other factor of ``bmm`` is an expanded parameter."""
    weight = torch.randn(6, 5)
    graph = check_rewritten(
        Two(lambda x, y: torch.bmm(x[:, 0], weight.expand(x.shape[0], -1, -1))),
        torch.randn(5, 3, 4, 6),
    )
    assert not products(graph)


RMS: dict[str, Callable[[Tensor], Tensor]] = {
    "as in T5": lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-3),
    "as in Llama": lambda x: (x * x).mean(-1, keepdim=True).add(1e-3).rsqrt() * x.float(),
}


@pytest.mark.parametrize("name", RMS)
def test_a_norm_by_the_root_mean_square_is_a_function_of_a_group(name: str) -> None:
    graph = check_rewritten(Two(lambda x, y: RMS[name](x)), torch.randn(5, 3, 4, 6))
    assert [n.op for n in graph if ops.kind(n) == "analog"] == ["aten.rms_norm.default"]


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, y: x * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-3),
        lambda x, y: x * torch.rsqrt(x.pow(2).mean(-2, keepdim=True) + 1e-3),
    ],
)
def test_another_factor_of_that_kind_is_no_norm(fn: Fn) -> None:
    graph = check_rewritten(Two(fn), torch.randn(5, 3, 4, 6))
    assert len(products(graph)) == 1
