# SPDX-License-Identifier: Apache-2.0
"""The real ResNet-20: integer spikes agree bit for bit, and accuracy is the ANN's."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import spikewright as sw
from benchmarks._data import Case, case
from spikewright.methods import Prepared

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def resnet20(data_dir: Path) -> Case:
    return case("resnet20", data_dir)


@pytest.fixture(scope="module")
def prepared(resnet20: Case) -> Prepared:
    return sw.calibrate(resnet20.model, resnet20.calibration(128))


@pytest.fixture(scope="module")
def images(resnet20: Case) -> Tensor:
    return torch.cat([x for x, _ in resnet20.test(16)])


def test_in_integers_no_spike_differs(prepared: Prepared, images: Tensor) -> None:
    found = sw.api.verify(sw.convert(prepared, T=8).to_integer(), images)
    assert found.agrees
    assert found.samples == 16
    assert (found.mismatches, found.near_ties, found.spikes_differ, found.output_gap) == (
        0,
        0,
        0,
        0,
    )


def test_in_float_trains_differ_at_near_ties_only(prepared: Prepared, images: Tensor) -> None:
    found = sw.api.verify(sw.convert(prepared, T=8), images)
    assert found.agrees, found.table()
    assert found.near_ties <= 1e-4 * sum(s.values for s in found.sites)


@pytest.mark.parametrize("integer", [False, True])
def test_accuracy_at_eight_steps_is_the_networks(
    resnet20: Case, prepared: Prepared, integer: bool
) -> None:
    """Within 0.6 points of the ANN on 200 images: one image is 0.5."""
    network = sw.convert(prepared, T=8)
    network = network.to_integer() if integer else network
    result = sw.evaluate(network, resnet20.test(200), reference=resnet20.model, counting=False)
    assert result.lengths[0].samples == 200
    assert abs(result.accuracy - result.reference_accuracy) <= 0.006
