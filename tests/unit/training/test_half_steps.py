# SPDX-License-Identifier: Apache-2.0
"""The half step: flooring with it in the bias is rounding without it."""

import torch
from torch import Tensor, nn

from spikewright.functions.staircase import quantised
from spikewright.training import TrainableNetwork, conversion_ready


class Shared(nn.Module):
    """Two sites on one layer, whose bias can hold the half step of neither alone."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 6), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return self.head(torch.cat([torch.relu(y), torch.relu(y - 1.0)], 1))


def sites(network: TrainableNetwork, x: Tensor) -> list[tuple[Tensor, Tensor, float]]:
    """Input, output and top of every site."""
    found: list[tuple[Tensor, Tensor, float]] = []
    for site in network.sites.values():
        site.register_forward_hook(
            lambda m, i, out: found.append((i[0].clone(), out, float(m.cap)))
        )
    with torch.no_grad():
        network.eval()(x)
    return found


def test_a_trained_network_starts_from_rounding() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 5, 3, bias=False),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(45, 8),
        nn.ReLU(),
        nn.Linear(8, 3),
    ).eval()
    x = torch.randn(40, 2, 5, 5)
    network = conversion_ready(model, x[:2], "casc", 4, calibration=x)
    with torch.no_grad():
        entered = model[1](model[0](x))
    floored, sent, cap = sites(network, x)[0]
    assert torch.allclose(floored, entered + cap / 8, atol=1e-6)
    # one level apart at most, and only where the sum lies within rounding error of an edge
    wanted = quantised(entered, cap, 4, 0.5)
    assert float((sent != wanted).float().mean()) < 1e-3
    assert torch.equal(model[1].bias, torch.zeros(5))  # the original is as it was


def test_from_scratch_nothing_is_added() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    network = conversion_ready(model, torch.zeros(2, 4), "casc", 4)
    assert torch.equal(network.state_dict()["0.bias"], model[0].bias)


def test_rounding_activations_get_no_half_step() -> None:
    model, x = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), torch.randn(20, 4)
    network = conversion_ready(model, x, "qcfs", 4, calibration=x)
    assert torch.equal(network.state_dict()["0.bias"], model[0].bias)


def test_a_bias_that_others_read_is_left_alone() -> None:
    torch.manual_seed(0)
    model, x = Shared(), torch.randn(20, 4)
    network = conversion_ready(model, x, "casc", 4, calibration=x)
    assert torch.equal(network.state_dict()["layer.bias"], model.layer.bias)


def test_a_shortcut_adds_it_once() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 6)
            self.head = nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.a(x))
            return self.head(torch.relu(self.b(x) + x))

    torch.manual_seed(0)
    model, x = Residual(), torch.randn(30, 4)
    network = conversion_ready(model, x, "casc", 4, calibration=x)
    (_, first, _), (entered, _, cap) = sites(network, x)
    with torch.no_grad():
        assert torch.allclose(entered, model.b(first) + first + cap / 8, atol=1e-6)
