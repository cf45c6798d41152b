# SPDX-License-Identifier: Apache-2.0
"""Detectors: their maps, their sizes, published weights, and that spikes compute them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import ConfigError
from spikewright.models import resolve
from spikewright.models.detection import (
    casc_yolo_resnet50,
    casc_yolo_vgg16,
    yolo_fastest_v2,
    yolov8n_relu,
)
from spikewright.models.detection.fastest_v2 import _split
from spikewright.simulators import settle
from spikewright.training import conversion_ready


def alive(model: nn.Module, x: Tensor) -> nn.Module:
    """Weights that keep values at their size, no biases, and statistics of batch norms that fit."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.requires_grad:
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean
    with torch.no_grad():
        model.train()(x)
    return model.eval()


def shapes(maps: tuple[Tensor, ...]) -> list[tuple[int, ...]]:
    return [tuple(m.shape) for m in maps]


@pytest.mark.parametrize("build", [casc_yolo_vgg16, casc_yolo_resnet50])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_one_map_of_the_stride(build: Callable[..., nn.Module], stride: int) -> None:
    model = build(5, 1 / 16, stride=stride).eval()
    h, w = 64 // stride, 96 // stride
    with torch.no_grad():
        maps = model(torch.rand(2, 3, 64, 96))
    assert shapes(maps) == [(2, 1, h, w), (2, 5, h, w), (2, 4, h, w)]
    # Before training almost nothing is an object, 1 in 100, and classes are equally likely.
    assert float(maps[0].sigmoid().mean()) == pytest.approx(0.01, abs=0.005)
    assert float(maps[1].sigmoid().mean()) == pytest.approx(1 / 5, abs=0.05)


def test_the_backbones_are_the_papers() -> None:
    """Parameters of VGG-16's features with batch norm (no biases) and of ResNet-50 without fc."""

    def size(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    assert size(casc_yolo_vgg16().backbone) == 14_723_136 - 4_224
    assert size(casc_yolo_resnet50().backbone) == 25_557_032 - 2_049_000


def test_stages_keep_channels_and_widths_scale_them() -> None:
    narrow = casc_yolo_vgg16(3, 1 / 8)
    found = [m.out_channels for m in narrow.backbone.modules() if isinstance(m, nn.Conv2d)]
    assert found == [8, 8, 16, 16, *[32] * 3, *[64] * 6]
    dilations = [
        m.dilation[0]
        for m in casc_yolo_resnet50(3, 1 / 16).encoder.modules()
        if isinstance(m, nn.Conv2d) and m.dilation[0] > 1
    ]
    assert dilations == [2, 4, 6, 8]


def test_yolo_fastest_v2_splits_even_and_odd_channels() -> None:
    """The authors' way through the batch against slices."""
    x = torch.rand(3, 8, 2, 2)
    even, odd = _split(x)
    assert torch.equal(even, x[:, 0::2])
    assert torch.equal(odd, x[:, 1::2])


def test_six_maps() -> None:
    x = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        fastest = yolo_fastest_v2(7).eval()(x)
        raw = yolov8n_relu(7).eval()(x)
    assert shapes(fastest) == [(1, c, 64 // s, 96 // s) for s in (16, 32) for c in (12, 3, 7)]
    assert shapes(raw) == [(1, c, 64 // s, 96 // s) for s in (8, 16, 32) for c in (64, 7)]


def test_yolov8_decodes_its_own_maps() -> None:
    """Each anchor by hand: the centre of its cell, minus and plus the mean of the bins."""
    torch.manual_seed(0)
    model = yolov8n_relu(3, decode=True).eval()
    x = torch.rand(1, 3, 64, 32)
    with torch.no_grad():
        boxes, scores = model(x)
        model.model[-1].decode = False
        maps = model(x)
    anchor = 0
    for level, stride in enumerate((8, 16, 32)):
        of_boxes, of_classes = maps[2 * level : 2 * level + 2]
        for row in range(64 // stride):
            for column in range(32 // stride):
                shares = of_boxes[0, :, row, column].view(4, 16).softmax(1)
                left, top, right, bottom = (shares * torch.arange(16.0)).sum(1)
                expected = torch.stack(
                    [column + 0.5 - left, row + 0.5 - top, column + 0.5 + right, row + 0.5 + bottom]
                )
                torch.testing.assert_close(boxes[0, :, anchor], expected * stride)
                torch.testing.assert_close(
                    scores[0, :, anchor], of_classes[0, :, row, column].sigmoid()
                )
                anchor += 1
    assert boxes.shape[2] == anchor == 32 + 8 + 2


@pytest.mark.data
def test_published_weights_load(data_dir: Path) -> None:
    model = resolve("yolo-fastest-v2", data_dir / "coco_yolo_fastestv2.safetensors")
    with torch.no_grad():
        maps = model(torch.rand(1, 3, 352, 352))
    assert shapes(maps)[3:] == [(1, 12, 11, 11), (1, 3, 11, 11), (1, 80, 11, 11)]
    assert 0.0 < float(maps[1].sigmoid().max()) < 0.5  # there is nothing to see in noise


NETWORKS = {
    "vgg16": lambda: casc_yolo_vgg16(3, 1 / 16, stride=8),
    "resnet50": lambda: casc_yolo_resnet50(3, 1 / 32),
    "fastest-v2": lambda: yolo_fastest_v2(3),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_spikes_compute_it(name: str) -> None:
    """Codes of 16 bits leave less than a tenth after up to 67 layers of random weights."""
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    model = alive(NETWORKS[name](), x)
    snn = sw.convert(model, "spikeconverter", T=16, calibration=[x])
    with torch.no_grad():
        for spiking, original in zip(snn(x), model(x), strict=True):
            error = (spiking - original).norm() / original.norm()
            assert float(error) < 0.1


@pytest.mark.slow
def test_quantised_it_converts_without_loss() -> None:
    """Settled, the spiking network is the trained one to the last bit, as CASC says."""
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()
    model = alive(casc_yolo_vgg16(3, 1 / 16, stride=16).double(), x)
    ready = conversion_ready(model, x[:2], "casc", 8, calibration=[x]).eval()
    snn = sw.convert(ready, "casc", T=8, calibration=[x])
    with torch.no_grad():
        for spiking, quantised in zip(settle(snn, x).outputs, ready(x), strict=True):
            torch.testing.assert_close(spiking, quantised, rtol=1e-9, atol=1e-9)
            assert float(quantised.std()) > 0


def test_misuse() -> None:
    for build in (casc_yolo_vgg16, casc_yolo_resnet50):
        with pytest.raises(ConfigError, match=r"width: expected at least 1/64 and finite, got 0"):
            build(3, 0.0)
        with pytest.raises(ConfigError, match=r"stride: expected 8, 16 or 32, got 4"):
            build(3, stride=4)
        with pytest.raises(ConfigError, match=r"classes: expected at least 1, got 0"):
            build(0, 1 / 16)
    with pytest.raises(ConfigError, match=r"classes: expected at least 1, got 0"):
        yolov8n_relu(0)
