# SPDX-License-Identifier: Apache-2.0
"""A top for every channel: the same function, finer levels, and a conversion without loss."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import spikewright as sw
from spikewright.errors import ConfigError
from spikewright.models.detection import yolo_fastest_v2
from spikewright.simulators import settle
from spikewright.training import Imitation, TrainConfig, conversion_ready, load_trained, train
from spikewright.training.activations import ClipFloor
from tests.unit.training.nets import Residual, spread_out


class Uneven(nn.Module):
    """Channels of very different sizes, a linear bottleneck, a pool, a split, a shared layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)  # reads a signed value
        self.wide = nn.Sequential(nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.depthwise(self.stem(x)))
        x = nn.functional.max_pool2d(x, 2)
        y = torch.cat((x[:, 0::2], self.wide(x[:, 1::2])[:, :4]), 1)
        return self.head(x), self.head(y)


class Added(nn.Module):
    """Two populations that are added before weights read them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(2, 4, 1) for _ in range(3))
        self.out = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.out(torch.relu(self.a(x)) + torch.relu(self.b(x)))
        return y


def network(kind: type[nn.Module]) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(2)
    model = spread_out(kind()).double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            with torch.no_grad():
                module.weight *= torch.logspace(-1, 1, len(module.weight))
                module.bias *= torch.logspace(-1, 1, len(module.weight))
    return model, torch.randn(12, 2, 8, 8, generator=torch.Generator().manual_seed(0)).double()


def outputs(model: nn.Module, x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        found = model.eval()(x)
    return list(found) if isinstance(found, tuple) else [found]


def error(model: nn.Module, original: nn.Module, x: Tensor) -> float:
    pairs = zip(outputs(model, x), outputs(original, x), strict=True)
    return sum(float((a - b).norm() / b.norm()) for a, b in pairs)


KINDS = (Residual, Uneven, Added)


@pytest.mark.parametrize("kind", KINDS)
def test_with_many_levels_it_computes_the_original(kind: type[nn.Module]) -> None:
    model, x = network(kind)
    ready = conversion_ready(model, x[:2], "casc", 512, calibration=[x], per_channel=True)
    assert error(ready, model, x) < 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_it_converts_without_loss(kind: type[nn.Module]) -> None:
    """At rest the spiking network is the quantised one to the last bit."""
    model, x = network(kind)
    ready = conversion_ready(model, x[:2], "casc", 8, calibration=[x], per_channel=True).eval()
    snn = sw.convert(ready, "casc", T=8, calibration=[x])
    for spiking, quantised in zip(settle(snn, x).outputs, outputs(ready, x), strict=True):
        torch.testing.assert_close(spiking, quantised, rtol=1e-9, atol=1e-9)


def test_tops_are_one_as_in_the_paper() -> None:
    model, x = network(Uneven)
    ready = conversion_ready(model, x[:2], "casc", 8, calibration=[x], per_channel=True)
    assert {float(s.cap) for s in ready.sites.values()} == {1.0}
    assert sum(isinstance(s, ClipFloor) for s in ready.sites.values()) == 2
    assert ready.settings["per_channel"] is True
    assert "per_channel" not in conversion_ready(model, x[:2]).settings  # as it ever was
    # Where populations are added, their spikes must be worth the same: they keep their own tops.
    model, x = network(Added)
    added = conversion_ready(model, x[:2], "casc", 8, calibration=[x], per_channel=True)
    assert all(float(s.cap) != 1.0 for s in added.sites.values())


def test_it_starts_nearer_to_the_original() -> None:
    model, x = network(Uneven)
    one, many = (
        conversion_ready(model, x[:2], "casc", 8, calibration=[x], per_channel=p)
        for p in (False, True)
    )
    assert error(many, model, x) < 0.7 * error(one, model, x)


def test_it_trains_and_loads_again(tmp_path: Path) -> None:
    model, x = network(Uneven)
    model, x = model.float(), x.float()
    ready = conversion_ready(model, x[:2], "casc", 4, calibration=[x], per_channel=True)
    settings = TrainConfig(epochs=4, batch_size=4, lr=1e-3, optimizer="adamw", weight_decay=0.0)
    result = train(
        ready, TensorDataset(x), objective=Imitation(model), config=settings, folder=tmp_path
    )
    assert error(result.model, model, x) < error(ready, model, x)
    loaded = load_trained(tmp_path / "last.safetensors", model)
    for one, other in zip(outputs(loaded, x), outputs(result.model, x), strict=True):
        assert torch.equal(one, other)


def test_train_takes_the_setting() -> None:
    model, x = network(Uneven)
    settings = TrainConfig(epochs=1, batch_size=4, lr=1e-3)
    result = train(
        model,
        TensorDataset(x),
        calibration=[x],
        per_channel=True,
        objective=Imitation(model),
        config=settings,
    )
    assert result.model.settings["per_channel"] is True


@pytest.mark.slow
def test_a_published_detector_keeps_its_populations() -> None:
    """Every population of YOLO-FastestV2, whose channels are shuffled, gets tops of its own."""
    torch.manual_seed(0)
    model, x = spread_out(yolo_fastest_v2(3)).eval(), torch.rand(2, 3, 64, 64)
    ready = conversion_ready(model, x, "casc", 8, calibration=[x], per_channel=True)
    assert len(ready.sites) == 46 + 27
    assert {float(s.cap) for s in ready.sites.values()} == {1.0}


def test_misuse() -> None:
    model, x = network(Uneven)
    with pytest.raises(ConfigError, match=r"per_channel: expected calibration inputs"):
        conversion_ready(model, x[:2], per_channel=True)
    with pytest.raises(ConfigError, match=r"per_channel: expected activation 'casc' or 'qcfs'"):
        conversion_ready(model, x[:2], "relu", calibration=[x], per_channel=True)
    with pytest.raises(ConfigError, match=r"got 'casc' without\."):
        conversion_ready(model, x[:2], calibration=[x], per_channel=True, relays=False)
