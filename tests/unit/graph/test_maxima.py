# SPDX-License-Identifier: Apache-2.0
"""Maxima and minima of any spelling: the gate's numbers are the model's."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.graph import ops
from tests.unit.graph.spellings import Middle, Net, check_equal, inputs, prepared

SPELLINGS: dict[str, tuple[int, Middle]] = {
    "max over tokens": (2, lambda s, x: torch.max(x, 1)[0]),
    "max over features, kept": (2, lambda s, x: x.max(2, keepdim=True).values),
    "max over channels": (3, lambda s, x: x.max(1)[0]),
    "amax over pixels": (3, lambda s, x: x.amax((2, 3))),
    "amax over channels and rows": (3, lambda s, x: x.amax((1, -2), keepdim=True)),
    "min over tokens": (2, lambda s, x: x.min(1)[0]),
    "amin over pixels": (3, lambda s, x: x.amin((2, 3))),
    "aminmax": (2, lambda s, x: torch.cat(x.aminmax(dim=1), 1)),
    "topk": (2, lambda s, x: x.topk(1, 1)[0]),
    "topk over the last": (2, lambda s, x: x.topk(1)[0]),
    "topk, the least": (2, lambda s, x: x.topk(1, largest=False)[0]),
    "maximum of two": (3, lambda s, x: torch.maximum(x, 2 * x.flip(1))),
    "max of two": (3, lambda s, x: torch.max(x, x.flip(2))),
    "minimum of two": (3, lambda s, x: torch.minimum(x, x.flip(3))),
    "minimum with a mean": (3, lambda s, x: torch.min(x, x.mean((2, 3), keepdim=True))),
    "maxout": (3, lambda s, x: x.view(x.shape[0], 4, 2, 6, 6).max(2)[0]),
    "pool with places": (3, lambda s, x: F.max_pool2d(x, 2, return_indices=True)[0]),
    "adaptive pool with places": (
        3,
        lambda s, x: F.adaptive_max_pool2d(x, 2, return_indices=True)[0],
    ),
}


@pytest.mark.parametrize("signed", [False, True], ids=["of spikes", "of signed values"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_maximum_is_a_gate(spelling: str, signed: bool) -> None:
    axes, middle = SPELLINGS[spelling]
    graph = check_equal(Net(axes, lambda s, x: middle(s, x).relu(), act=not signed), inputs(axes))
    assert any(ops.kind(n) == "pool" for n in graph)


def test_a_maximum_whose_places_are_read_stays() -> None:
    def middle(s: object, x: Tensor) -> Tensor:
        values, places = x.max(1)
        return values * places

    model, x = nn.Sequential(Net(2, middle), nn.ReLU()).eval(), inputs(2)
    assert not sw.inspect(model, x).is_convertible
    assert "aten.amax.default" in [n.op for n in prepared(model, x)]


def test_the_two_largest_are_no_maximum() -> None:
    model, x = nn.Sequential(Net(2, lambda s, x: x.topk(2, 1)[0]), nn.ReLU()).eval(), inputs(2)
    assert not sw.inspect(model, x).is_convertible
