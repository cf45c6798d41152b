# SPDX-License-Identifier: Apache-2.0
"""Attention in one operator is opened into products and a softmax, with the model's numbers."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikewright.graph import capture, ops
from tests.unit.graph.spellings import check_rewritten

BIAS = torch.randn(5, 5, generator=torch.Generator().manual_seed(1))
TRIANGLE = torch.ones(5, 5, dtype=torch.bool).tril()

OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "causal": {"is_causal": True},
    "a scale": {"scale": 0.3},
    "a bias": {"attn_mask": BIAS},
    "a mask": {"attn_mask": TRIANGLE},
    "a mask of infinities": {"attn_mask": torch.zeros(5, 5).masked_fill(~TRIANGLE, -torch.inf)},
    "a mask with an empty row": {"attn_mask": TRIANGLE.roll(1, 0) & TRIANGLE},
    "shared heads": {"enable_gqa": True},
}


class Attention(nn.Module):
    def __init__(self, heads: int = 4, shared: int = 4, **options: Any) -> None:
        super().__init__()
        self.q, self.k, self.v = (
            nn.Linear(8, 4 * heads),
            *(nn.Linear(8, 4 * shared) for _ in range(2)),
        )
        self.options = options

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = (f(x).unflatten(-1, (-1, 4)).transpose(1, 2) for f in (self.q, self.k, self.v))
        options = self.options if mask is None else {**self.options, "attn_mask": mask}
        y = F.scaled_dot_product_attention(q, k, v, **options)
        return y.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("option", OPTIONS)
def test_attention_is_two_products_and_a_softmax(option: str) -> None:
    model = Attention(shared=2 if option == "shared heads" else 4, **OPTIONS[option])
    graph = check_rewritten(model, torch.randn(4, 5, 8))
    assert [n.op for n in graph if ops.kind(n) == "analog"] == [
        "aten.matmul.default",
        "aten.softmax.int",
        "aten.matmul.default",
    ]


@pytest.mark.parametrize("kind", ["truth", "float", "infinite"])
def test_a_mask_that_comes_with_the_input(kind: str) -> None:
    """Tokens that are padding are left out; a query with nothing to look at gives 0."""
    kept = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]])
    mask = kept[:, None, None, :].bool()
    if kind != "truth":
        low = -torch.inf if kind == "infinite" else -5.0
        mask = torch.zeros(mask.shape).masked_fill(~mask, low)
    x, model = torch.randn(4, 5, 8), Attention()
    graph = check_rewritten(model, x, mask)
    with torch.no_grad():
        empty = model(x, mask)[3]
    assert bool((empty == 0).all()) == (kind != "float")
    assert [n.op for n in graph].count("aten.matmul.default") == 2


def test_attention_of_padding_and_a_causal_mask_together() -> None:
    """With padding on the left its queries see nothing at all."""

    class Padded(Attention):
        def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
            return super().forward(x, TRIANGLE & (mask > 0)[:, None, None, :])

    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]])
    check_rewritten(Padded(), torch.randn(3, 5, 8), mask)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("weights", [True, False])
def test_pytorchs_own_attention_is_seen_layer_by_layer(first: bool, weights: bool) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=first)

        def forward(self, x: Tensor) -> Tensor:
            x = x if first else x.transpose(0, 1)
            y: Tensor = self.attention(x, x, x, need_weights=weights)[0]
            return y if first else y.transpose(0, 1)

    graph = check_rewritten(Own(), torch.randn(4, 5, 8))
    assert [n.op for n in graph if ops.kind(n) in ("analog", "weighted")] == [
        "aten.linear.default",
        "aten.matmul.default",
        "aten.softmax.int",
        "aten.matmul.default",
        "aten.linear.default",
    ]


def test_an_encoder_layer_is_seen_layer_by_layer_and_its_fast_path_is_left_on() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    assert torch.backends.mha.get_fastpath_enabled()
    graph = check_rewritten(nn.TransformerEncoder(layer, 2), torch.randn(4, 5, 8))
    assert torch.backends.mha.get_fastpath_enabled()
    found = [n.op for n in graph]
    assert found.count("aten.matmul.default") == 4
    assert found.count("aten.layer_norm.default") == 4
    assert not any("_native" in op or "_transformer" in op for op in found)


def test_dropout_in_attention_that_is_always_on_stays_visible() -> None:
    graph = capture(Attention(dropout_p=0.5).eval(), torch.randn(4, 5, 8))
    assert any("dropout" in n.op or "bernoulli" in n.op for n in graph)


@pytest.mark.parametrize(
    "masked",
    [
        lambda s, scores: scores + s.mask,
        lambda s, scores: scores.masked_fill(s.mask < 0, float("-inf")),
        lambda s, scores: torch.where(s.mask == 0, scores, -torch.inf),
    ],
)
def test_infinity_in_a_mask_written_by_hand_becomes_a_finite_number(masked: Any) -> None:
    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(8, 8)
            self.register_buffer("mask", torch.zeros(5, 5).masked_fill(~TRIANGLE, -torch.inf))

        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x)
            return masked(self, y @ y.mT).softmax(-1) @ y

    graph = check_rewritten(ByHand(), torch.randn(4, 5, 8))
    assert all(bool(t.isfinite().all()) for t in graph.params.values())
