# SPDX-License-Identifier: Apache-2.0
"""Operators that are opened while a model is captured: what is in them, in plain operators.

Attention as one operator is softmax(q·kᵀ·scale + mask)·v, a gated linear unit a product with a
sigmoid, a cell of an LSTM gates of sums. The graph that comes of it is still compared with the
model itself.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

__all__ = ["FAR", "OPENED"]

FAR = -1e30
"""What stands for a masked score: its weight is 0, and it stays finite in whatever unit."""


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attend as `torch.nn.functional.scaled_dot_product_attention` does.

    Where a query may look at nothing the result is 0, as there.
    """
    if enable_gqa:
        key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value))
    query = query * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    scores = torch.matmul(query, key.transpose(-2, -1))
    kept = None
    if is_causal:
        kept = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = torch.where(kept, scores, FAR)
    elif attn_mask is not None and attn_mask.dtype == torch.bool:
        kept, scores = attn_mask, torch.where(attn_mask, scores, FAR)
    elif attn_mask is not None:
        kept, scores = attn_mask != -math.inf, scores + attn_mask.clamp(min=FAR)
    weights = torch.softmax(scores, -1)
    if kept is not None:
        weights = torch.where(kept.any(-1, keepdim=True), weights, 0.0)
    if dropout_p > 0:
        weights = torch.dropout(weights, dropout_p, True)
    return torch.matmul(weights, value)


def _glu(x: Tensor, dim: int = -1) -> Tensor:
    """Multiply one half by the sigmoid of the other."""
    half = x.shape[dim] // 2
    return x.narrow(dim, 0, half) * x.narrow(dim, half, half).sigmoid()


def _currents(
    x: Tensor,
    h: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return what a token and what the state before it add, as cells of torch.nn have it."""
    return linear(x, w_ih, b_ih), linear(h, w_hh, b_hh)


def _lstm_cell(x: Tensor, states: Sequence[Tensor], *weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return h and c after a token, as `torch.nn.LSTMCell` does."""
    h, c = states
    given, own = _currents(x, h, *weights)
    i, f, g, o = (given + own).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _gru_cell(x: Tensor, h: Tensor, *weights: Tensor) -> Tensor:
    """Return h after a token, as `torch.nn.GRUCell` does."""
    given, own = _currents(x, h, *weights)
    (r, z, n), (own_r, own_z, own_n) = given.chunk(3, 1), own.chunk(3, 1)
    n = torch.tanh(n + torch.sigmoid(r + own_r) * own_n)
    return n + torch.sigmoid(z + own_z) * (h - n)


def _rnn_cell(then: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """Return a cell that computes a function of W·x + U·h, as `torch.nn.RNNCell` does."""

    def cell(x: Tensor, h: Tensor, *weights: Tensor) -> Tensor:
        given, own = _currents(x, h, *weights)
        return then(given + own)

    return cell


OPENED: Mapping[Any, Callable[..., Any]] = {
    torch.ops.aten.scaled_dot_product_attention.default: _attention,
    torch.ops.aten.glu.default: _glu,
    torch.ops.aten.lstm_cell.default: _lstm_cell,
    torch.ops.aten.gru_cell.default: _gru_cell,
    torch.ops.aten.rnn_tanh_cell.default: _rnn_cell(torch.tanh),
    torch.ops.aten.rnn_relu_cell.default: _rnn_cell(torch.relu),
}
"""Operator to the function that takes its place."""
