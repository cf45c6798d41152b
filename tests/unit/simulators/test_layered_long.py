# SPDX-License-Identifier: Apache-2.0
"""Trains that are longer than a float32 register of base 2 holds: gates and delay lines."""

import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.methods.spikeconverter import SpikeConverter
from spikewright.simulators import simulator


class Pooled(nn.Module):
    """A max pool, and a shortcut that waits for a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.pool, self.last = nn.MaxPool2d(2), nn.Linear(4 * 9, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.first(x).relu())
        y = self.inner(x).relu()
        y = self.inner(y).relu() + x
        scores: Tensor = self.last(y.flatten(1))
        return scores


def test_forty_steps_of_a_small_ratio_agree_in_float32() -> None:
    """T = 40 needs 40 bits in base 2, whatever k is; 1,448 trains differed before."""
    torch.manual_seed(0)
    model, x = Pooled().eval(), torch.rand(4, 1, 6, 6)
    snn = sw.convert(model, SpikeConverter(T=40, k=1.2), calibration=x)
    checked = sw.verify(snn, x)
    assert checked.mismatches == 0
    assert checked.agrees
    (outputs,) = simulator(snn, "reference")(x)
    assert outputs.dtype is torch.float32
    torch.testing.assert_close(outputs, simulator(snn)(x)[0], rtol=1e-3, atol=1e-4)
