# SPDX-License-Identifier: Apache-2.0
"""Loops over cells of a fixed number of tokens are ordinary networks."""

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw


class Loop(nn.Module):
    """Three tokens, one after the other; the head reads the last state."""

    def __init__(self, kind: str, **options: object) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell: nn.Module = getattr(nn, kind)(4, 5, **options)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(x.shape[0], 5)
        for t in range(3):
            if isinstance(self.cell, nn.LSTMCell):
                h, c = self.cell(x[:, t], (h, c))
            else:
                h = self.cell(x[:, t], h)
        scores: Tensor = self.head(h)
        return scores


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTMCell", {}),
        ("GRUCell", {"bias": False}),
        ("RNNCell", {}),
        ("RNNCell", {"nonlinearity": "relu"}),
    ],
)
def test_a_loop_over_cells_is_unrolled_and_converted(kind: str, options: dict[str, object]) -> None:
    x = torch.randn(32, 3, 4, generator=torch.Generator().manual_seed(1))
    model = Loop(kind, **options).eval()
    snn = sw.convert(model, T=8, calibration=x)
    assert snn.provenance["equality"]["difference"] < 1e-4
    assert sw.verify(snn, x[:4]).agrees
    with torch.no_grad():
        wanted = model(x)
    assert float((snn(x) - wanted).norm() / wanted.norm()) < 0.03
