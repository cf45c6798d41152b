# SPDX-License-Identifier: Apache-2.0
"""Weights times windows are what PyTorch's layers compute, of every kind that is unfolded."""

import pytest
import torch
from torch import nn

from spikewright.graph import capture
from spikewright.graph.ops import kind
from spikewright.preparation.windows import can_unfold, groups_of, outputs_by_row, windows

LAYERS = {
    "linear": (nn.Linear(6, 4, bias=False), (5, 6)),
    "linear on tokens": (nn.Linear(6, 4, bias=False), (5, 3, 6)),
    "plain": (nn.Conv2d(4, 6, 3, bias=False), (2, 4, 7, 8)),
    "stride and padding": (nn.Conv2d(4, 6, 3, 2, 1, bias=False), (2, 4, 7, 8)),
    "dilated": (nn.Conv2d(4, 6, (3, 2), dilation=(2, 1), bias=False), (2, 4, 9, 8)),
    "grouped": (nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False), (2, 4, 7, 8)),
    "depthwise": (nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4, bias=False), (2, 4, 7, 8)),
    "same": (nn.Conv2d(4, 6, (3, 2), padding="same", bias=False), (2, 4, 7, 8)),
    "one axis": (nn.Conv1d(4, 6, 3, stride=2, padding=2, groups=2, bias=False), (2, 4, 9)),
    "three axes": (nn.Conv3d(2, 3, 2, stride=(1, 2, 1), bias=False), (2, 2, 4, 5, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_weights_times_windows_are_the_outputs(name: str) -> None:
    layer, shape = LAYERS[name]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    (node,) = (n for n in capture(layer.eval(), x) if kind(n) == "weighted")
    weight = layer.weight.detach()
    groups = groups_of(node)
    assert can_unfold(node)
    rows = windows(node, weight, x)
    found = weight.reshape(groups, weight.shape[0] // groups, -1) @ rows
    torch.testing.assert_close(
        found, outputs_by_row(node, layer(x).detach(), groups), rtol=1e-4, atol=1e-5
    )


def test_transposed_convolutions_are_not_unfolded() -> None:
    layer, x = nn.ConvTranspose2d(2, 3, 2), torch.randn(2, 2, 4, 4)
    (node,) = (n for n in capture(layer.eval(), x) if kind(n) == "weighted")
    assert not can_unfold(node)
