# SPDX-License-Identifier: Apache-2.0
"""Maxima of what is no train, and populations without axes of their own."""

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw


class Pooled(nn.Module):
    """Takes maxima of the input, which layers read again later, and of what it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled = x.reshape(-1, 6, 2).amax(2)
        y = self.last(self.first(pooled).relu() + pooled)
        return y, y.amax(1)


@pytest.mark.parametrize(("method", "T"), [("spikeconverter", 12), ("burst", 32), ("casc", 16)])
def test_maxima_of_the_input_are_no_gates(method: str, T: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(16, 12)
    network = sw.convert(Pooled().eval(), method, calibration=x, T=T)
    assert sw.verify(network, x[:3]).agrees
    layers = sw.evaluate(network, [x[:4]]).lengths[0].layers
    assert "amax" not in [layer.name for layer in layers if layer.spikes]
