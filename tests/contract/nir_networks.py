# SPDX-License-Identifier: Apache-2.0
"""Networks whose sums are exact in float32, exported to NIR, and every spike that they send."""

import dataclasses
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.exports import Exported
from spikewright.network import SpikingNetwork
from spikewright.simulators import SynchronousReference

T = 12


class Chain(nn.Module):
    """Convolutions, one with a stride, and linear layers, one behind the other."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.c, self.d = nn.Linear(64, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.d(F.relu(self.c(F.relu(self.b(F.relu(self.a(x)))).flatten(1))))
        return y


class Shortcut(nn.Module):
    """A shortcut with its factor, average pooling, a value that is added to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.c = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.a(x))
        b = F.relu(self.b(a) + a)
        b = F.relu(F.avg_pool2d(b, 2) + F.avg_pool2d(b, 2))
        y: Tensor = self.c(b.mean((2, 3)))
        return y


def network(model: type[nn.Module], **options: object) -> tuple[SpikingNetwork, Tensor]:
    """Convert, and round weights and inputs to fractions of a power of two.

    Then no order of additions changes a sum, and potentials meet thresholds exactly.
    """
    torch.manual_seed(0)
    x = (torch.rand(8, 2, 8, 8) * 8).round() / 8
    snn = sw.convert(model().eval(), "rueckauer", calibration=x, T=T, **options)
    graph = snn.graph.copy()
    graph.params = {n: (t * 64).round() / 64 for n, t in graph.params.items()}
    return dataclasses.replace(snn, graph=graph), x


def spikes(snn: SpikingNetwork, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return the train of every population, "step batch *neuron", and the output."""
    found: dict[str, list[Tensor]] = {}
    steps = SynchronousReference(snn).over_time(
        snn.check_input(x), lambda name, t, s: found.setdefault(name, []).append(s[0].clone())
    )
    *_, (y,) = steps
    return {name: torch.stack(train) for name, train in found.items()}, y


def exported(snn: SpikingNetwork, folder: Path) -> tuple[Exported, str]:
    """Write a network as NIR; return what was written and the file's name."""
    found = sw.export(snn, folder / "out", to="nir")
    return found, str(folder / "out" / "network.nir")
