# SPDX-License-Identifier: Apache-2.0
"""Folding keeps the function: batch norms into layers, averages into sums, units into weights."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikewright import graph as passes
from spikewright.errors import ConfigError
from spikewright.graph import Graph, Program, capture, ops
from spikewright.graph.units import shape_value
from spikewright.graph.windows import to_sum
from tests.property.random_nets import Maker

NORM = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


def trained(model: nn.Module) -> nn.Module:
    """Give every batch norm statistics of its own, some gains negative."""
    for m in model.modules():
        if hasattr(m, "running_mean"):
            m.running_mean.normal_()
            m.running_var.uniform_(0.2, 2.0)
            if m.affine:
                nn.init.uniform_(m.weight, -1.0, 1.5)
                nn.init.normal_(m.bias)
    return model.eval()


def folded(model: nn.Module, x: Tensor) -> Graph:
    return passes.fold_batch_norm(passes.simplify(capture(model, x)))


def close(graph: Graph, model: nn.Module, x: Tensor) -> None:
    """Compare within what float32 sums in another order may differ by."""
    with torch.no_grad():
        torch.testing.assert_close(Program(graph)(x)[0], model(x), rtol=1e-4, atol=1e-5)


LAYERS: list[tuple[Callable[[], nn.Module], tuple[int, ...]]] = [
    (lambda: nn.Linear(6, 4), (6,)),
    (lambda: nn.Linear(6, 4, bias=False), (6,)),
    (lambda: nn.Conv1d(4, 6, 3, 2, 1, bias=False), (4, 9)),
    (lambda: nn.Conv2d(4, 6, (3, 2), padding=1, dilation=2, groups=2), (4, 7, 6)),
    (lambda: nn.Conv2d(4, 8, 3, groups=4, bias=False), (4, 5, 5)),
    (lambda: nn.Conv2d(4, 4, 3, padding="same"), (4, 5, 5)),
    (lambda: nn.Conv3d(2, 3, 2), (2, 3, 4, 3)),
    (lambda: nn.ConvTranspose1d(4, 6, 3, 2, groups=2), (4, 5)),
    (
        lambda: nn.ConvTranspose2d(4, 6, (2, 3), 2, 1, 1, groups=2, bias=False, dilation=2),
        (4, 4, 5),
    ),
    (lambda: nn.ConvTranspose3d(4, 2, 2, 2, groups=2), (4, 2, 3, 2)),
]


@pytest.mark.parametrize(("make", "shape"), LAYERS, ids=[str(f()) for f, _ in LAYERS])
@pytest.mark.parametrize("affine", [True, False])
def test_a_batch_norm_behind_a_layer_folds(
    make: Callable[[], nn.Module], shape: tuple[int, ...], affine: bool
) -> None:
    layer, x = make(), torch.randn(3, *shape)
    channels = layer(x).shape[1]
    model = trained(nn.Sequential(layer, NORM[x.ndim](channels, affine=affine)))
    graph = folded(model, x)
    close(graph, model, x)
    assert [n.op for n in graph if ops.weighted(n)] == [
        n.op for n in capture(layer, x) if ops.weighted(n)
    ]


def test_before_a_layer_it_stays_as_gain_and_bias() -> None:
    model = trained(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1)))
    x = torch.randn(2, 3, 5, 5)
    graph = folded(model, x)
    close(graph, model, x)
    assert [n.op for n in graph][1:] == [ops.AFFINE, "aten.conv2d.default"]


class Shared(nn.Module):
    """A convolution that is read with and without its batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) + y


def test_a_layer_with_another_reader_is_not_folded_into() -> None:
    model, x = trained(Shared()), torch.randn(2, 2, 3, 3)
    graph = folded(model, x)
    close(graph, model, x)
    assert ops.AFFINE in [n.op for n in graph]


def test_a_layer_that_is_called_twice_folds_once_for_each_call() -> None:
    conv = nn.Conv2d(2, 2, 1)
    model = trained(nn.Sequential(conv, nn.BatchNorm2d(2), conv, nn.BatchNorm2d(2)))
    x = torch.randn(2, 2, 3, 3)
    graph = folded(model, x)
    close(graph, model, x)
    assert ops.AFFINE not in [n.op for n in graph]


def test_a_linear_layer_over_sequences_keeps_its_batch_norm() -> None:
    """On (batch, tokens, features) the batch norm runs over tokens, not over features."""
    model = trained(nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(3)))
    x = torch.randn(2, 3, 4)
    graph = folded(model, x)
    close(graph, model, x)
    assert ops.AFFINE in [n.op for n in graph]


AVERAGES: list[tuple[nn.Module, tuple[int, ...]]] = [
    (nn.AvgPool1d(3, 2, 1), (2, 8)),
    (nn.AvgPool2d(2), (2, 6, 4)),
    (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (2, 6, 7)),
    (nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (2, 6, 7)),
    (nn.AvgPool2d((3, 2), (1, 2), (1, 0), count_include_pad=False), (2, 5, 6)),
    (nn.AvgPool2d((2, 3), divisor_override=5), (2, 5, 6)),
    (nn.AvgPool3d(2, 1, 1, ceil_mode=True), (2, 3, 4, 3)),
    (nn.AdaptiveAvgPool1d(3), (2, 7)),
    (nn.AdaptiveAvgPool2d((3, 2)), (2, 7, 5)),
    (nn.AdaptiveAvgPool2d(1), (2, 7, 5)),
    (nn.AdaptiveAvgPool3d((1, 2, 3)), (2, 4, 3, 5)),
]


@pytest.mark.parametrize(("pool", "shape"), AVERAGES, ids=[str(p) for p, _ in AVERAGES])
def test_averages_are_whole_sums_over_one_divisor(pool: nn.Module, shape: tuple[int, ...]) -> None:
    """On integers the sum is an integer, and the sum over its divisor is PyTorch's average."""
    x = torch.randint(-9, 10, (2, *shape)).double()
    graph = passes.simplify(capture(pool, x))
    (node,) = [n for n in graph if ops.kind(n) == "mixing"]
    divisor = to_sum(graph, node)
    (total,) = Program(graph)(x)
    assert torch.equal(total, total.round())
    torch.testing.assert_close(total / divisor, pool(x), rtol=1e-12, atol=1e-12)


def test_linear_upsampling_has_no_whole_sum() -> None:
    x = torch.rand(1, 2, 3, 3)
    graph = passes.simplify(capture(nn.Upsample(scale_factor=2, mode="bilinear"), x))
    (node,) = [n for n in graph if ops.kind(n) == "mixing"]
    with pytest.raises(ConfigError, match="no form in whole numbers"):
        to_sum(graph, node)


class Mixed(nn.Module):
    """Every way for a unit: grouped and transposed weights, concat, residual, pools, affine."""

    def __init__(self) -> None:
        super().__init__()
        make = Maker(2, 0)
        self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.norm, self.up = make.norm(8), nn.ConvTranspose2d(8, 4, 2, 2, groups=2)
        self.out = nn.Linear(4 * 9, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x).relu()
        b = (self.b(a) + a).relu()
        c = self.norm(torch.cat([b, nn.functional.max_pool2d(a, 3, 1, 1)], 1)).relu()
        d = nn.functional.avg_pool2d(self.up(c).relu(), 4)
        return self.out(d.flatten(1))


def _run(graph: Graph, x: Tensor, units: dict[str, Tensor]) -> Tensor:
    """Sites rectify without rounding; the folded graph works in units, so its cut is at 0 too."""
    program = Program(graph, site=lambda n, v, _: v.relu() if n.op == ops.RECTIFY else v, params={})
    return program(x)[0]


@pytest.mark.parametrize("per_channel", [True, False])
def test_units_fold_into_weights_without_changing_the_function(per_channel: bool) -> None:
    model, x = Mixed().eval(), torch.randn(3, 2, 6, 6)
    graph = passes.place_sites(passes.find_activations(folded(model, x)))
    units = {}
    for n in graph:
        if n.op in ops.SPIKING_OPS:
            channels = (n.shape or ())[1]
            units[n.name] = (
                torch.rand(channels, 1, 1) + 0.5 if per_channel else torch.rand(()) + 0.5
            )
    again = passes.fold_units(graph, units)
    with torch.no_grad():
        torch.testing.assert_close(_run(again, x, units), model(x), rtol=1e-4, atol=1e-5)
    if not per_channel:
        return
    for name, unit in units.items():  # what a site receives is in its own unit
        before = Program(graph, outputs=(graph[name].inputs[0],), site=lambda n, v, _: v.relu())
        after = Program(again, outputs=(again[name].inputs[0],), site=lambda n, v, _: v.relu())
        with torch.no_grad():
            torch.testing.assert_close(after(x)[0] * unit, before(x)[0], rtol=1e-4, atol=1e-5)


class Between(nn.Module):
    """A layer, ReLU, something that moves, averages or normalises, and a layer."""

    def __init__(self, middle: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.middle = nn.Conv2d(2, 4, 1), middle
        self.four, self.six = nn.BatchNorm2d(4), nn.BatchNorm1d(6)
        trained(self)
        self.last = nn.Linear(self.inner(torch.rand(1, 2, 6, 5)).shape[1], 3)

    def inner(self, x: Tensor) -> Tensor:
        return self.middle(self, self.first(x).relu()).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.inner(x))


def turned(s: Any, y: Tensor) -> Tensor:
    """A batch norm of channels while the batch is on axis 2."""
    return s.four(y.permute(2, 1, 0, 3)).permute(2, 1, 0, 3)


def merged(s: Any, y: Tensor) -> Tensor:
    """A batch norm of rows while channels stand in front of the batch, on one axis with it."""
    y = s.six(y.permute(1, 0, 2, 3).flatten(0, 1))
    return y.unflatten(0, (4, -1)).permute(1, 0, 2, 3)


# What lies between, and how many factors of their own a unit for every channel needs.
BETWEEN: dict[str, tuple[Callable[[Any, Tensor], Tensor], int]] = {
    "mean of pixels": (lambda s, y: y.mean((2, 3)), 0),
    "mean of pixels, kept": (lambda s, y: y.mean((-1, -2), keepdim=True), 0),
    "mean of rows": (lambda s, y: y.sum(2), 0),
    "mean of channels": (lambda s, y: y.mean(1), 1),
    "mean of channels last": (lambda s, y: y.permute(0, 2, 3, 1).mean(3, keepdim=True), 1),
    "sum with its rows turned": (lambda s, y: y + y.flip(2), 0),
    "sum with its channels turned": (lambda s, y: y + y.flip(1), 2),
    "rows of every channel": (lambda s, y: y.reshape(y.shape[0] * 4, 30).unflatten(0, (-1, 4)), 0),
    "batch norm, the batch third": (turned, 0),
    "batch norm, the batch behind channels": (merged, 1),
}


@pytest.mark.parametrize("case", BETWEEN)
def test_a_unit_for_every_channel_goes_through_what_keeps_them_apart(case: str) -> None:
    middle, factors = BETWEEN[case]
    model = Between(middle).eval()
    for batch in (1, 3):
        x = torch.randn(batch, 2, 6, 5)
        graph = passes.place_sites(passes.find_activations(folded(model, x)))
        (site,) = [n.name for n in graph if n.op == ops.RECTIFY]
        again = passes.fold_units(graph, {site: torch.rand(4, 1, 1) + 0.5})
        with torch.no_grad():
            torch.testing.assert_close(_run(again, x, {}), model(x), rtol=1e-4, atol=1e-5)
        added = [n for n in again if n.op == ops.SCALE]
        assert len(added) == factors


def test_no_unit_is_left_at_the_output() -> None:
    model, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU()).eval(), torch.randn(2, 3)
    graph = passes.find_activations(folded(model, x))
    (site,) = [n.name for n in graph if n.op == ops.RECTIFY]
    with pytest.raises(RuntimeError, match="a unit is left at the output"):
        passes.fold_units(graph, {site: torch.tensor(2.0)})


class Scaled(nn.Module):
    """ReLU of the input times a factor for every channel, which others may read as well."""

    def __init__(self, twice: bool) -> None:
        super().__init__()
        self.gain, self.twice = nn.Parameter(torch.tensor([0.5, -2.0, 3.0])), twice
        self.last = nn.Linear(6 if twice else 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = x * self.gain
        parts = [y.relu(), (y.flip(1) + 1).relu()] if self.twice else [y.relu()]
        return self.last(torch.cat(parts, 1))


@pytest.mark.parametrize("twice", [False, True])
def test_a_unit_goes_into_a_factor_that_nobody_else_reads(twice: bool) -> None:
    model, x = Scaled(twice).eval(), torch.randn(4, 3)
    graph = passes.place_sites(passes.find_activations(passes.normalise(folded(model, x))))
    units = {n.name: torch.rand(3) + 0.5 for n in graph if n.op == ops.RECTIFY}
    again = passes.fold_units(graph, units)
    with torch.no_grad():
        torch.testing.assert_close(_run(again, x, units), model(x), rtol=1e-4, atol=1e-5)
    factors = [n for n in again if n.op == ops.SCALE]
    assert len(factors) == (3 if twice else 1)


class Pairs(nn.Module):
    """Pairs of numbers as samples of their own, by arithmetic on the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0] * 2, 2).relu().reshape(-1, x.shape[1])


@pytest.mark.parametrize("batch", [1, 5])
def test_arithmetic_on_sizes_is_done_for_a_batch(batch: int) -> None:
    graph = capture(Pairs(), torch.rand(2, 4))
    found = {n.op: shape_value(graph, n, batch) for n in graph if ops.kind(n) == "shape"}
    assert found == {"aten.sym_size.int": batch, "operator.mul": 2 * batch}
