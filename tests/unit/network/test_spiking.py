# SPDX-License-Identifier: Apache-2.0
"""A converted network's populations, tensors and inputs."""

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.codes import Rate
from spikewright.graph import ops
from spikewright.network import Site, SpikingNetwork


@pytest.fixture
def network() -> SpikingNetwork:
    """A network with a rectified population and one of ON/OFF pairs, scaled by channel."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.Hardtanh(), nn.Flatten()
    )
    model = nn.Sequential(*model, nn.Linear(3 * 4 * 5, 2)).eval()
    return sw.convert(model, T=6, per_channel=True, calibration=torch.randn(16, 2, 4, 5))


def test_pairs_are_two_neurons(network: SpikingNetwork) -> None:
    counted = {network.graph[name].op: number for name, number in network.neurons().items()}
    assert counted == {ops.RECTIFY: 4 * 4 * 5, ops.RELAY: 2 * 3 * 4 * 5}
    assert all(type(number) is int for number in counted.values())


def test_every_tensor_goes_to_another_device(network: SpikingNetwork) -> None:
    there = network.to("meta")
    assert there.device.type == "meta"
    tensors = [*there.graph.params.values(), *there.graph.stands_for.values()]
    for site in there.sites.values():
        tensors += [v for v in vars(site).values() if isinstance(v, Tensor)]
    assert len(tensors) > 4 * len(there.sites)
    assert {t.device.type for t in tensors} == {"meta"}
    assert network.device.type == "cpu"


def test_maps_are_laid_out_channels_last(network: SpikingNetwork) -> None:
    x = torch.randn(3, 2, 4, 5)
    given = network.check_input(x.double())
    assert isinstance(given, Tensor)
    assert given.dtype == torch.float32
    assert given.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(given, x)


def test_one_number_is_a_number_to_its_neurons() -> None:
    one, three = torch.tensor([2.0]), torch.tensor([1.0, 2.0, 3.0])
    firing = Site(
        name="a", code=Rate(T=4), scale=one, threshold=one, pre_bias=three, gamma=2, leak=0.5
    ).firing()
    assert firing.threshold == 2.0
    assert type(firing.threshold) is float
    assert firing.v_init is three
    assert (firing.gamma, firing.leak) == (2, 0.5)
