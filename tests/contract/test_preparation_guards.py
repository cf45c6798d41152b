# SPDX-License-Identifier: Apache-2.0
"""Preparation on calibration images that are wrong or few does not make the real ResNet-8 worse."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from benchmarks._data import Case, case
from spikewright.data import Preprocess, from_npz, loader
from spikewright.methods import Prepared
from spikewright.preparation import Reconstruct, Step

pytestmark = [pytest.mark.data, pytest.mark.slow]

WAYS = ("bias", "refit", "scales", Reconstruct(steps=40))


@pytest.fixture(scope="module")
def resnet8(data_dir: Path) -> Case:
    return case("resnet8", data_dir)


def _dark(folder: Path) -> Tensor:
    """Return photographs of ImageNet, as small as the network's own images, a quarter as bright."""
    images = from_npz(
        folder / "imagenet_sample_1000.npz", preprocess=Preprocess(size=32, scale=1.0)
    )
    return torch.cat([x for x, _ in loader(images, 64, limit=64)]) / 4.0


def _few(folder: Path) -> Tensor:
    return torch.cat([x for x, _ in case("resnet8", folder).calibration(16)])


GIVEN: dict[str, Callable[[Path], Tensor]] = {"dark photographs": _dark, "16 images": _few}


@pytest.fixture(scope="module", params=list(GIVEN))
def given(request: pytest.FixtureRequest, resnet8: Case, data_dir: Path) -> tuple[Prepared, float]:
    """Return what was calibrated badly, and the accuracy with nothing prepared."""
    prepared = sw.calibrate(resnet8.model, GIVEN[request.param](data_dir))
    return prepared, _agreement(resnet8, resnet8.model, sw.convert(prepared, T=3))[0]


@pytest.mark.parametrize("way", WAYS)
def test_no_step_costs_more_than_half_a_point(
    resnet8: Case, given: tuple[Prepared, float], way: str | Step
) -> None:
    prepared, plain = given
    snn = sw.convert(prepared, T=3, prepare=way)
    assert _agreement(resnet8, resnet8.model, snn)[0] >= plain - 0.005


@pytest.fixture(scope="module")
def dead(resnet8: Case, data_dir: Path) -> tuple[nn.Module, Prepared, float]:
    """Switch off two channels of every convolution; nothing prepared, see how it agrees."""
    model = case("resnet8", data_dir).model
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.ndim == 4:
                tensor[:2] = 0.0
                model.get_parameter(name.removesuffix("weight") + "bias")[:2] = -1.0
    prepared = sw.calibrate(model, resnet8.calibration(64))
    return model, prepared, _agreement(resnet8, model, sw.convert(prepared, T=3))[1]


@pytest.mark.parametrize("way", WAYS[1::2])
def test_dead_channels_cost_no_more_than_half_a_point(
    resnet8: Case, dead: tuple[nn.Module, Prepared, float], way: str | Step
) -> None:
    model, prepared, plain = dead
    snn = sw.convert(prepared, T=3, prepare=way)
    assert _agreement(resnet8, model, snn)[1] >= plain - 0.005


def _agreement(resnet8: Case, model: nn.Module, snn: sw.SpikingNetwork) -> tuple[float, float]:
    """Return the accuracy on all test images, and how many agree with a network."""
    result = sw.evaluate(snn, resnet8.test(), reference=model, counting=False)
    return float(result.accuracy or 0.0), float(result.lengths[-1].agreement() or 0.0)
