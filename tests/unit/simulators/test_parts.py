# SPDX-License-Identifier: Apache-2.0
"""A batch in parts gives what it gives whole: outputs, and every count, to the last integer."""

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph.batch import join
from spikewright.network import SpikingNetwork
from spikewright.simulators import Collapsed, LayeredReference, SynchronousReference, Timefold
from spikewright.simulators.micro_batches import equal_parts, split_for_cache


@pytest.fixture
def network() -> SpikingNetwork:
    """A small network of integers, so that no order of sums can matter."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12 * 4, 5),
    )
    return sw.convert(model, T=6, calibration=torch.rand(16, 3, 8, 8)).to_integer()


def images(batch: int) -> Tensor:
    """Return random images."""
    return torch.rand(batch, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", [Collapsed, LayeredReference])
@pytest.mark.parametrize("elements", [1, 500, 1500])
def test_parts_give_the_same_outputs(
    network: SpikingNetwork, monkeypatch: pytest.MonkeyPatch, kind: type, elements: int
) -> None:
    simulator = kind(network)
    x = network.check_input(images(13))
    assert len(simulator.split(x)) == 1
    (whole,) = simulator(x)
    for name in ("collapsed.PART_ELEMENTS", "layered.PART_ELEMENTS"):
        monkeypatch.setattr(f"spikewright.simulators.{name}", elements)
    assert len(simulator.split(x)) > 1
    assert torch.equal(simulator(x)[0], whole)


def test_parts_give_the_same_counts(
    network: SpikingNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = [images(13), images(7)]
    whole = sw.evaluate(network, x).lengths[0]
    reference = sw.evaluate(network, x, simulator="reference").lengths[0]
    monkeypatch.setattr("spikewright.simulators.collapsed.PART_ELEMENTS", 1000)
    parts = sw.evaluate(network, x).lengths[0]
    assert whole == reference == parts
    assert sum(layer.additions for layer in parts.layers) > 0


@pytest.mark.parametrize(
    ("batch", "largest", "sizes"),
    [(13, 5, [5, 4, 4]), (13, 13, [13]), (13, 0, [1] * 13), (4, 2, [2, 2]), (0, 3, [0])],
)
def test_parts_are_equal_and_few(batch: int, largest: int, sizes: list[int]) -> None:
    parts = equal_parts(torch.arange(float(batch)), largest)
    assert [len(part) for part in parts] == sizes
    assert torch.equal(join(parts, (None,)), torch.arange(float(batch)))


class Transposed(nn.Module):
    """Scores with the inputs along the second axis."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 40), nn.Linear(40, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores, "class batch"."""
        return self.last(torch.relu(self.first(x))).transpose(0, 1)


@pytest.mark.parametrize("kind", [Collapsed, LayeredReference])
def test_outputs_that_do_not_start_with_the_batch_are_joined_where_it_is(
    monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    x = torch.rand(20, 5)
    simulator = kind(sw.convert(Transposed(), T=6, calibration=x))
    (whole,) = simulator(x)
    for module in ("collapsed", "layered"):
        monkeypatch.setattr(f"spikewright.simulators.{module}.PART_ELEMENTS", 1)
    assert whole.shape == (3, 20)
    assert len(simulator.split(x)) == 20
    torch.testing.assert_close(simulator(x)[0], whole)


def test_time_is_folded_into_a_batch_that_does_not_come_first() -> None:
    x = torch.rand(20, 5)
    network = sw.convert(Transposed(), "burst", T=6, calibration=x)
    for chunk in (1, 4, 6):
        found = Timefold(network, chunk=chunk)(x)[0]
        assert found.shape == (3, 20)
        torch.testing.assert_close(found, SynchronousReference(network)(x)[0])


def test_other_devices_take_a_batch_whole(network: SpikingNetwork) -> None:
    x = torch.empty(5000, 3, 8, 8, device="meta")
    assert split_for_cache(network, x, 1) == (x,)
