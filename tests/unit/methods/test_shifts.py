# SPDX-License-Identifier: Apache-2.0
"""What methods add to the currents in every step, neuron by neuron, by the papers' equations."""

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph import ops
from spikewright.simulators import simulator

DATA = torch.randn(24, 6, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 5)).eval()


def sent(network: sw.SpikingNetwork) -> tuple[Tensor, Tensor]:
    """Return the values of the hidden neurons, θ·N/T "batch neuron", and θ."""
    (node,) = (n for n in network.spiking_nodes() if n.op == ops.RECTIFY)
    trains = list[Tensor]()

    def watch(name: str, t: int, train: Tensor) -> None:
        if name == node.name:
            trains.append(train.clone())

    for _ in simulator(network, "reference").over_time(network.check_input(DATA), watch):
        pass
    scale = network.sites[node.name].scale
    return torch.cat(trains).sum(0) / network.T * scale, scale


def floored(a: Tensor, theta: Tensor, T: int) -> Tensor:
    """θ/T·clip(floor(a·T/θ), 0, T), the value of a soft-reset neuron."""
    return theta / T * (a * T / theta).floor().clamp(0, T)


@pytest.mark.parametrize("T", [1, 3, 16])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("threshold-relu", {}),
        ("snn-calibration", {"correct_bias": False, "scale": sw.Max()}),
        ("snn-calibration", {"correct_bias": False, "scale": sw.Percentile(90.0)}),
        ("snn-calibration", {"correct_bias": False, "per_channel": True, "scale": sw.Max()}),
    ],
)
def test_a_shift_of_half_a_threshold_over_all_steps(
    model: nn.Module, name: str, options: dict[str, object], T: int
) -> None:
    """Current a + θ/(2T): every neuron's count is a·T/θ rounded to the nearest."""
    network = sw.convert(model, name, T=T, calibration=DATA, **options)
    found, theta = sent(network)
    with torch.no_grad():
        a = model[0](DATA)
    nearest = floored(a + theta / (2 * T), theta, T)
    assert 0.05 < float((nearest != floored(a, theta, T)).float().mean()) < 0.8
    torch.testing.assert_close(found, nearest, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("T", [2, 5])
@pytest.mark.parametrize("samples", [8, 24])
def test_a_correction_takes_each_channels_mean_error_away(
    model: nn.Module, T: int, samples: int
) -> None:
    """Current a + θ/(2T) - e, e the mean of θ·N/T - max(a, 0) over the inputs looked at."""
    network = sw.convert(
        model, "snn-calibration", T=T, calibration=DATA, scale=sw.Max(), samples=samples
    )
    found, theta = sent(network)
    with torch.no_grad():
        a = model[0](DATA)
    some, shift = a[:samples], theta / (2 * T)
    mean_error = floored(some + shift, theta, T).mean(0) - some.relu().mean(0)
    assert float(mean_error.abs().max()) > 0.01
    expected = floored(a + shift - mean_error, theta, T)
    assert bool((expected != floored(a + shift, theta, T)).any())
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
