# SPDX-License-Identifier: Apache-2.0
"""Directly trained networks: the run network is the trained one, written out as plain equations."""

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import UnsupportedModuleError


class Net(nn.Module):
    """Max pooling and a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(6 * 9, 3)
        self.sites = nn.ModuleList([nn.ReLU(), nn.ReLU()])

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.sites[0](self.a(x)))
        return self.head(self.sites[1](self.b(x) + x).flatten(1))


class Leaky(nn.Module):
    """v ← τ·v·(1 - s') + I;  s = [v ≥ θ], as in Wu et al. 2018, equation by equation."""

    def __init__(self, tau: float, theta: float) -> None:
        super().__init__()
        self.tau, self.theta = tau, theta
        self.v: Tensor | float = 0.0
        self.s: Tensor | float = 0.0

    def forward(self, current: Tensor) -> Tensor:
        self.v = self.tau * self.v * (1.0 - self.s) + current
        self.s = (self.v >= self.theta).to(current.dtype)
        return self.s


@pytest.mark.parametrize(("tau", "theta", "T"), [(0.5, 1.0, 4), (0.25, 0.5, 6), (1.0, 1.0, 3)])
@pytest.mark.parametrize("name", ["timefold", "reference"])
def test_it_runs_what_was_trained(tau: float, theta: float, T: int, name: str) -> None:
    torch.manual_seed(0)
    model, x = Net().double().eval(), torch.rand(16, 2, 6, 6).double() * 3
    settings = {"T": T, "leak": tau, "threshold": theta}
    snn = sw.convert(model, "stbp", calibration=x, **settings)
    model.sites = nn.ModuleList([Leaky(tau, theta), Leaky(tau, theta)])
    with torch.no_grad():
        wanted = torch.stack([model(x) for _ in range(T)]).mean(0)
    found = sw.simulate(snn, x, simulator=name)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-12)
    assert float(found.std()) > 0.01


def test_values_without_neurons_are_refused_and_may_stay_analog() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.rand(8, 4)
    with pytest.raises(UnsupportedModuleError, match="stbp: expected an activation between all"):
        sw.convert(model, "stbp", calibration=x)
    assert sw.convert(model, "stbp", calibration=x, analog_relays=("all",)).T == 4
