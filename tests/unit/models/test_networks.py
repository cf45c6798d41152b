# SPDX-License-Identifier: Apache-2.0
"""The networks that the package builds: their form, and that the digits one learns."""

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spikewright.data import load_digits, loader
from spikewright.errors import ConfigError
from spikewright.models import (
    digits_cnn,
    resnet20,
    resnet56,
    vgg11_cifar,
    vgg11_half_cifar,
    vgg16_cifar,
)
from spikewright.models.vgg_cifar import CifarVGG


@pytest.mark.parametrize(("build", "layers"), [(resnet20, 20), (resnet56, 56)])
def test_the_depth_is_that_of_the_name(build: type[nn.Module], layers: int) -> None:
    weighted = [m for m in build().modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == layers


def test_parameters_have_the_names_of_the_public_weights() -> None:
    names = set(resnet20().state_dict())
    assert {
        "conv1.weight",
        "layer2.0.conv1.weight",
        "layer3.2.bn2.running_var",
        "linear.bias",
    } <= names
    assert not [name for name in names if "shortcut" in name or name.endswith("conv1.bias")]


def test_the_shortcut_has_as_many_zero_channels_before_as_after() -> None:
    block = resnet20().layer2[0].eval()
    nn.init.zeros_(block.bn2.weight)  # nothing but the shortcut is left
    x = torch.rand(2, 16, 8, 8)
    y = block(x)
    assert y.shape == (2, 32, 4, 4)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert y[:, :8].abs().sum() == 0
    assert y[:, 24:].abs().sum() == 0


def test_a_block_is_relu_after_the_first_norm_and_after_the_sum() -> None:
    block = resnet20().layer1[0].eval()
    x = torch.randn(1, 16, 8, 8)
    inner = F.relu(block.bn1(block.conv1(x)))
    torch.testing.assert_close(block(x), F.relu(block.bn2(block.conv2(inner)) + x))


def test_other_numbers_of_classes_and_image_sizes() -> None:
    assert resnet20(classes=100).eval()(torch.rand(2, 3, 40, 24)).shape == (2, 100)


@pytest.mark.parametrize("width", [0.0, -1.0, 0.015, float("inf"), float("nan")])
def test_a_vgg_without_channels_is_refused(width: float) -> None:
    with pytest.raises(ConfigError, match=f"width: expected at least 1/64 and finite, got {width}"):
        CifarVGG(width=width)


COLUMNS = {  # of the paper's table; "M" is a max pool
    vgg11_cifar: [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    vgg16_cifar: [
        *(64, 64, "M", 128, 128, "M", 256, 256, 256, "M"),
        *(512, 512, 512, "M", 512, 512, 512, "M"),
    ],
}


@pytest.mark.parametrize("build", COLUMNS)
def test_a_vgg_is_a_column_of_the_paper(build: Callable[[], CifarVGG]) -> None:
    """With a norm and a ReLU behind every convolution."""
    plan = []
    features = list(build().features)
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            assert (layer.kernel_size, layer.padding, layer.bias) == ((3, 3), (1, 1), None)
            plan.append(layer.out_channels)
        elif isinstance(layer, nn.MaxPool2d):
            plan.append("M")
    assert plan == COLUMNS[build]
    kinds = [type(m) for m in features if not isinstance(m, nn.MaxPool2d)]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * (len(plan) - 5)


def test_vgg11_has_one_linear_layer() -> None:
    assert vgg11_cifar().classifier.in_features == 512


def test_the_half_vgg_has_half_the_channels() -> None:
    whole, half = (
        [m.out_channels for m in build().modules() if isinstance(m, nn.Conv2d)]
        for build in (vgg11_cifar, vgg11_half_cifar)
    )
    assert [2 * channels for channels in half] == whole


def test_vgg_scores_are_one_row_per_image() -> None:
    """Also when so few channels are left that they are rounded: 64 / 48 is one."""
    for model in (vgg11_half_cifar(classes=100), CifarVGG(100, width=1 / 48)):
        assert model.eval()(torch.rand(2, 3, 32, 32)).shape == (2, 100)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Several threads wait for each other longer than such a small network takes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_the_digits_network_reaches_98_percent_in_8_epochs() -> None:
    images, labels = next(iter(loader(load_digits("train"), 2000)))
    model, epochs, size = digits_cnn(), 8, 64
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=1e-2)
    steps = epochs * -(-len(images) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, steps)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(size):
            optimiser.zero_grad()
            F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimiser.step()
            schedule.step()
    test_images, test_labels = next(iter(loader(load_digits("test"), 2000)))
    accuracy = (model.eval()(test_images).argmax(dim=1) == test_labels).float().mean()
    assert accuracy >= 0.98
