# SPDX-License-Identifier: Apache-2.0
"""The axis of channels is followed through whatever moves it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from spikewright.graph import capture, find_activations, ops, simplify
from spikewright.graph.channels import channel_axes


class Pictures(nn.Module):
    """A convolution to 4 channels, something that moves them, ReLU, and something behind it."""

    def __init__(
        self,
        move: Callable[[Tensor], Tensor],
        behind: Callable[[Tensor], Tensor] = Tensor.clone,
        layer: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.layer = layer or nn.Conv2d(3, 4, 1)
        self.move, self.behind = move, behind

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(self.move(self.layer(x)).relu())


def axis_of(model: nn.Module) -> int | None:
    graph = find_activations(simplify(capture(model.eval(), torch.rand(2, 3, 5, 6))))
    (site,) = [n.name for n in graph if n.op == ops.RECTIFY]
    return channel_axes(graph)[site]


@pytest.mark.parametrize(
    ("move", "axis"),
    [
        (lambda y: y, 1),
        (lambda y: y * 2 + 1, 1),
        (lambda y: y.permute(0, 2, 3, 1), 3),
        (lambda y: y.permute(0, 3, 1, 2), 2),
        (lambda y: y.permute(1, 0, 2, 3), 0),
        (lambda y: y.permute(0, 2, 3, 1) + y.permute(0, 2, 3, 1), 3),
        (lambda y: y.permute(0, 2, 3, 1).mean((1, 2)), 1),
        (lambda y: y.permute(0, 2, 3, 1).mean((1, 2), keepdim=True), 3),
        (lambda y: 2 * y.permute(0, 2, 3, 1).amax(1), 2),
        (lambda y: y.mean((1, 2)), 1),
        (lambda y: y.mean((1, 2, 3)), None),
        (lambda y: y.unsqueeze(1), 2),
        (lambda y: y.permute(0, 2, 3, 1).flatten(1, 2), 2),
        (lambda y: y.permute(1, 0, 2, 3).flatten(0, 1), None),
        (
            lambda y: (y.permute(1, 0, 2, 3).flatten(0, 1) * 2).unflatten(0, (4, -1)).movedim(0, 3),
            3,
        ),
        (lambda y: y.permute(0, 2, 3, 1).chunk(2, 3)[1], 3),
        (lambda y: y.unflatten(1, (2, 2)).transpose(2, 4), 1),
        (lambda y: y.unflatten(1, (1, 2, 2)), None),
    ],
)
def test_channels_are_found_where_they_went(
    move: Callable[[Tensor], Tensor], axis: int | None
) -> None:
    assert axis_of(Pictures(move)) == axis


@pytest.mark.parametrize(
    ("behind", "axis"),
    [
        (lambda y: y.amax(1), None),
        (lambda y: y.permute(0, 2, 3, 1).amax(3), None),
        (lambda y: y.amax((2, 3)), 1),
        (lambda y: y.permute(0, 2, 3, 1).amax(1), 1),
    ],
)
def test_channels_that_are_compared_share_one_scale(
    behind: Callable[[Tensor], Tensor], axis: int | None
) -> None:
    assert axis_of(Pictures(Tensor.clone, behind)) == axis


def test_a_linear_layer_has_its_channels_last() -> None:
    assert axis_of(Pictures(Tensor.clone, layer=nn.Linear(6, 7))) == 3


@pytest.mark.parametrize(("move", "axis"), [(Tensor.neg, 1), (lambda y: -y.permute(0, 2, 3, 1), 3)])
def test_channels_of_the_input(move: Callable[[Tensor], Tensor], axis: int | None) -> None:
    assert axis_of(Pictures(move, layer=nn.Identity())) == axis


def test_channels_are_compared_wherever_the_input_was_moved() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.flip(3)).relu().amax(1)

    assert axis_of(Turned()) is None
