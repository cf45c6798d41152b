# SPDX-License-Identifier: Apache-2.0
"""Networks as people have them: torchvision's classes convert and verify, or are refused."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright._vision import torchvision
from spikewright.graph import inspect_graph, ops

pytestmark = pytest.mark.slow

SIZE = 32  # five halvings

NAMES = (
    "resnet18",
    "mobilenet_v2",
    "squeezenet1_1",
    "DenseNet",
    "googlenet",
    "RegNet",
)


def regnet(se_ratio: float | None) -> nn.Module:
    """RegNet's blocks, of each stage of X-400MF some: 8 of 22."""
    room = torchvision().models.regnet
    widths = [32, 64, 160, 384]
    params = room.BlockParams([1, 2, 3, 2], widths, [16] * 4, [1.0] * 4, [2] * 4, se_ratio)
    model: nn.Module = room.RegNet(params, num_classes=10)
    return model


def build(name: str) -> nn.Module:
    """A network with random weights, and batch norms whose statistics are those of noise."""
    torch.manual_seed(0)
    if name.startswith("RegNet"):
        return with_statistics(regnet(0.25 if name == "RegNet with gates" else None))
    options: dict[str, Any] = {"weights": None}
    if name == "mobilenet_v2":  # every kind of block twice at most: 10 of 17
        kinds = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 2, 2), (6, 64, 2, 2), (6, 96, 1, 1)]
        options["inverted_residual_setting"] = [*kinds, (6, 160, 1, 2), (6, 320, 1, 1)]
    if name == "googlenet":
        options.update(aux_logits=False, init_weights=False)
    if name == "DenseNet":  # a small one: densenet121 has the same blocks, 58 of them
        options = {"growth_rate": 8, "block_config": (2, 3, 2, 2), "num_init_features": 16}
    return with_statistics(getattr(torchvision().models, name)(num_classes=10, **options))


def with_statistics(model: nn.Module) -> nn.Module:
    """Let batch norms see noise."""
    model.train()
    with torch.no_grad():
        model(torch.randn(16, 3, SIZE, SIZE))  # untrained running statistics let values vanish
    return model.eval()


@pytest.mark.parametrize("name", NAMES)
def test_it_converts_and_both_simulators_agree(name: str) -> None:
    """Every wire but the image's carries spikes, and the simulators agree on all of them."""
    model, x = build(name), torch.randn(2, 3, SIZE, SIZE)
    prepared = sw.calibrate(model, x)
    found = inspect_graph(prepared.graph)  # what sw.inspect says, without capturing again
    assert found.is_convertible
    counts = found.counts()
    network = sw.convert(prepared, T=4, scale=sw.Max())
    analog = [r for r in found.rows if r.note == "analog input: multiply-adds"]
    assert len(analog) == 1  # the first layer; spikes feed all others
    assert counts["spiking"] + counts.get("relay", 0) == len(network.spiking_nodes())
    verified = sw.api.verify(network, x)
    assert verified.agrees, verified.table()
    assert verified.mismatches == 0


def test_with_more_steps_it_comes_close_to_the_network() -> None:
    model, x = build("resnet18"), torch.randn(2, 3, SIZE, SIZE)
    network = sw.convert(model, calibration=x, T=12, scale=sw.Max())
    with torch.no_grad():
        expected: Tensor = model(x)
    gap = (sw.api.simulate(network, x) - expected).abs().max() / expected.abs().max()
    assert float(gap) < 0.02


def test_squeeze_and_excitation_multiplies_spikes_in_every_block() -> None:
    model, x = build("RegNet with gates"), torch.randn(2, 3, SIZE, SIZE)
    blocks = [n for n, m in model.named_modules() if type(m).__name__ == "SqueezeExcitation"]
    assert blocks
    network = sw.convert(model, calibration=x, T=8)
    products = [n.module for n in network.graph if ops.kind(n) == "product"]
    assert products == blocks
    assert sw.verify(network, x).agrees
