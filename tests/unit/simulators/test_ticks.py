# SPDX-License-Identifier: Apache-2.0
"""What every tick needs is computed once and repeated for the ticks that are folded together."""

import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.simulators import SynchronousReference, Timefold


class Beside(nn.Module):
    """The input enters a layer beside spikes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(5, 7), nn.Linear(12, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores."""
        y = torch.cat([self.first(x).relu(), x], 1)
        scores: Tensor = self.last(self.second(y).relu())
        return scores


def test_an_input_beside_spikes_comes_in_every_tick() -> None:
    x = torch.rand(9, 5)
    network = sw.convert(Beside(), "burst", T=6, calibration=x, input="analog")
    (wanted,) = SynchronousReference(network)(x)
    for chunk in (1, 4, 6):
        torch.testing.assert_close(Timefold(network, chunk=chunk)(x)[0], wanted)
