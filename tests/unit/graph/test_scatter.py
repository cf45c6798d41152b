# SPDX-License-Identifier: Apache-2.0
"""Assignments that move no elements within a sample are refused; the others are in test_affine."""

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import UnsupportedModuleError
from tests.unit.graph.spellings import Net, inputs


def test_samples_are_no_places_of_a_value() -> None:
    def middle(s: object, x: Tensor) -> Tensor:
        return x.index_put((torch.tensor([1, 0]),), torch.tensor(1.0))

    with pytest.raises(UnsupportedModuleError, match="index_put"):
        sw.convert(nn.Sequential(Net(2, middle), nn.ReLU()).eval(), calibration=inputs(2))
