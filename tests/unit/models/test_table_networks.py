# SPDX-License-Identifier: Apache-2.0
"""The networks of the papers' tables by name: their layers, their sizes, that all are taken."""

import itertools
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import spikewright as sw
from spikewright._vision import torchvision
from spikewright.errors import FileFormatError
from spikewright.models import mobilenetv2_cifar, names, resnet20_wide, resolve, vgg16_cifar
from spikewright.models.mobilenet_cifar import _InvertedResidual
from spikewright.models.resnet_cifar import WideCifarResNet, _WideBlock

TORCHVISION = {  # parameters as torchvision's own pages give them
    "mobilenet_v2": 3504872,
    "regnet_x_400mf": 5495976,
    "resnet34": 21797672,
    "resnext50_32x4d": 25028904,
    "vgg16": 138357544,
    "vgg16_bn": 138365992,
}


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def macs(model: nn.Module, *shape: int) -> int:
    """Multiply-adds of one input as torch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, *shape))
    total: int = counter.get_total_flops()
    return total // 2


# --- VGG-16; its column of the paper: test_networks


def test_vgg16_keeps_the_three_linear_layers() -> None:
    classifier = vgg16_cifar(classes=100).classifier
    kinds = [type(m) for m in classifier]
    assert kinds == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    widths = [(m.in_features, m.out_features) for m in classifier if isinstance(m, nn.Linear)]
    assert widths == [(512, 4096), (4096, 4096), (4096, 100)]


def test_vgg16_has_the_parameters_of_the_formula() -> None:
    channels = [3, *[64] * 2, *[128] * 2, *[256] * 3, *[512] * 6]
    convolutions = sum(9 * a * b for a, b in itertools.pairwise(channels))
    norms = 2 * sum(channels[1:])
    linear = sum((a + 1) * b for a, b in ((512, 4096), (4096, 4096), (4096, 10)))
    assert size(vgg16_cifar()) == convolutions + norms + linear
    assert vgg16_cifar(classes=7).eval()(torch.rand(2, 3, 32, 32)).shape == (2, 7)


# --- ResNet-20 of the conversion papers


def test_the_wide_resnet_has_twenty_layers_and_three_shortcut_convolutions() -> None:
    weighted = [m for m in resnet20_wide().modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    shortcuts = [m for m in weighted if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert (len(weighted) - len(shortcuts), len(shortcuts)) == (20, 3)
    plan = [m.out_channels for m in weighted if isinstance(m, nn.Conv2d) and m not in shortcuts]
    assert plan == [64] * 3 + [64] * 4 + [128] * 4 + [256] * 4 + [512] * 4


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_wide_resnet_has_the_parameters_of_the_formula(batch_norm: bool) -> None:
    three = [(3, 64), *[(64, 64)] * 2, *[(64, 64)] * 4]
    one = []
    for a, b in ((64, 128), (128, 256), (256, 512)):
        three += [(a, b), *[(b, b)] * 3]
        one.append((a, b))
    count = sum(9 * a * b for a, b in three) + sum(a * b for a, b in one) + (512 * 4 + 1) * 10
    norms = 2 * sum(b for _, b in three + one) if batch_norm else 0
    model = WideCifarResNet(batch_norm=batch_norm)
    assert size(model) == count + norms
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules()) == batch_norm


def test_the_stem_ends_in_an_average_pool_and_stages_begin_with_stride_two() -> None:
    model = resnet20_wide().eval()
    assert isinstance(model.stem[-1], nn.AvgPool2d)
    x = model.stem(torch.rand(1, 3, 32, 32))
    shapes = [tuple(x.shape[1:])]
    for block in model.blocks:
        x = block(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes[0] == (64, 16, 16)
    assert shapes[2::2] == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]
    assert model(torch.rand(3, 3, 32, 32)).shape == (3, 10)


def test_a_wide_block_rectifies_after_the_sum() -> None:
    block = _WideBlock(4, 6, 2, batch_norm=False).eval()
    x = torch.randn(2, 4, 8, 8)
    first, _, second = block.residual
    inner = F.conv2d(x, first.weight, stride=2, padding=1).relu()
    around = F.conv2d(x, block.identity[0].weight, stride=2)
    expected = (F.conv2d(inner, second.weight, padding=1) + around).relu()
    torch.testing.assert_close(block(x), expected)


# --- the small MobileNetV2


def test_the_small_mobilenet_is_small() -> None:
    model = mobilenetv2_cifar()
    assert 0.25e6 < size(model) < 0.35e6
    assert macs(model, 3, 32, 32) < 15e6
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_its_blocks_are_inverted_residuals() -> None:
    blocks = [m for m in mobilenetv2_cifar().modules() if isinstance(m, _InvertedResidual)]
    assert sum(block.keeps for block in blocks) == 6  # 1 of stem width, 1 + 2 + 2 repeats
    for block in blocks:
        *_, depthwise, project, _ = block.layers
        convolution = depthwise[0]
        assert convolution.groups == convolution.in_channels == convolution.out_channels
        assert isinstance(depthwise[2], nn.ReLU6)
        assert project.out_channels <= convolution.in_channels  # a bottleneck


def test_the_bottleneck_is_linear() -> None:
    """Values of both signs leave a block, and the shortcut adds the input as it is."""
    block = _InvertedResidual(8, 8, 4, 1).eval()
    nn.init.zeros_(block.layers[-1].weight)
    x = torch.randn(1, 8, 4, 4)
    assert torch.equal(block(x), x)
    nn.init.ones_(block.layers[-1].weight)
    assert (block(x) < 0).any()


# --- names


@pytest.mark.parametrize("name", TORCHVISION)
def test_a_short_name_is_torchvisions_network(name: str) -> None:
    # Without values, of which there are up to 138 million; RegNet reckons its widths with tensors.
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        model = resolve(name)
    assert isinstance(model, getattr(torchvision().models, type(model).__name__))
    assert size(model) == TORCHVISION[name]


def test_a_short_name_and_the_long_one_take_the_same_weights() -> None:
    short, long = resolve("resnet34"), resolve("torchvision:resnet34")
    long.load_state_dict(short.state_dict())
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(short(x), long(x))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(resnet20_wide().state_dict(), path)
    assert torch.equal(
        resolve("resnet20-wide", path).classifier.weight, torch.load(path)["classifier.weight"]
    )
    with pytest.raises(FileFormatError, match="of CifarMobileNetV2, got some missing"):
        resolve("mobilenetv2-cifar", path)


def takes(name: str, *shape: int) -> None:
    found = sw.inspect(resolve(name), torch.rand(1, *shape))
    assert found.is_convertible, found.reason
    assert "refused" not in found.counts()
    assert found.counts()["spiking"] > 3


ELSEWHERE = {"resnet20", "resnet56", "vit-cifar", "vit-mnist", "yolo-fastest-v2", "yolov8n-relu"}
"""Networks that other tests convert."""


@pytest.mark.parametrize("name", sorted({*names()} - {*TORCHVISION} - ELSEWHERE))
def test_inspect_takes_it(name: str) -> None:
    takes(name, *{"digits-cnn": (1, 8, 8)}.get(name, (3, 32, 32)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnext50_32x4d", "vgg16"])  # others: contract
def test_inspect_takes_torchvisions(name: str) -> None:
    takes(name, 3, 64, 64)
