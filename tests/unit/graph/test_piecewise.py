# SPDX-License-Identifier: Apache-2.0
"""Activations by what they compute: every spelling becomes the rectifiers that it is."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.graph import Graph, capture, normalise, ops, simplify
from spikewright.graph.chains import chains
from spikewright.graph.piecewise import MAX_KINKS, Lines, find_piecewise, lines_of
from tests.property.random_nets import Call
from tests.unit.graph.spellings import Net, check_equal, inputs, prepared

Act = Callable[[Tensor], Tensor]


def put(mask: Act, value: float) -> Act:
    """Write a number wherever a mask is true, in place."""

    def act(y: Tensor) -> Tensor:
        y = y.clone()
        y[mask(y)] = value
        return y

    return act


def both(first: Act, second: Act) -> Act:
    return lambda y: second(first(y))


# Spellings of a clip to [0, cap], cap None for ReLU.
CLIPS: dict[str, tuple[Act, float | None]] = {
    "where": (lambda y: torch.where(y > 0, y, torch.zeros_like(y)), None),
    "where with a number": (lambda y: torch.where(y >= 0, y, 0.0), None),
    "where with a whole number": (lambda y: torch.where(y.ge(0), y, 0), None),
    "where with a tensor": (lambda y: torch.where(y < 0, torch.tensor(0.0), y), None),
    "masked_fill": (lambda y: y.masked_fill(y < 0, 0), None),
    "masked_fill in place": (lambda y: y.clone().masked_fill_(y.lt(0), 0), None),
    "times its sign": (lambda y: y * (y > 0), None),
    "times its sign as a number": (lambda y: y * (y > 0).float(), None),
    "times its sign as the same type": (lambda y: y * y.gt(0).type_as(y), None),
    "heaviside": (lambda y: y * torch.heaviside(y, torch.tensor(0.0)), None),
    "max with zeros": (lambda y: torch.max(y, torch.zeros_like(y)), None),
    "maximum with zeros of its size": (
        lambda y: torch.maximum(y.new_zeros(y.shape[0], 8), y),
        None,
    ),
    "fmax": (lambda y: torch.fmax(y, torch.tensor(0.0)), None),
    "clip": (lambda y: y.clip(0, 1), 1.0),
    "clip from below": (lambda y: y.clip(min=0), None),
    "clamp with tensors": (lambda y: y.clamp(torch.tensor(0.0), torch.tensor(2.0)), 2.0),
    "minimum of relu": (lambda y: torch.minimum(y.relu(), torch.tensor(2.0)), 2.0),
    "relu of minimum": (lambda y: torch.min(y, torch.full_like(y, 3.0)).relu(), 3.0),
    "half of the sum": (lambda y: (y + y.abs()) / 2, None),
    "half times the sum": (lambda y: 0.5 * (torch.abs(y) + y), None),
    "by a root": (lambda y: (y + torch.sqrt(y * y)) / 2, None),
    "threshold": (lambda y: F.threshold(y, 0, 0), None),
    "assigned": (put(lambda y: y < 0, 0), None),
    "assigned twice": (both(put(lambda y: y > 6, 6.0), put(lambda y: y < 0, 0)), 6.0),
    "nested where": (
        lambda y: torch.where(
            y < 0, torch.zeros_like(y), torch.where(y > 1, torch.ones_like(y), y)
        ),
        1.0,
    ),
    "difference of two": (lambda y: F.relu(y.abs() + y - 0.0) / 2, None),
    "no numbers": (lambda y: y.nan_to_num().absolute().add(y).div(2), None),
}


@pytest.mark.parametrize("spelling", CLIPS)
def test_every_spelling_of_a_clip_is_one_population(spelling: str) -> None:
    fn, cap = CLIPS[spelling]
    graph = check_equal(Net(1, lambda s, y: fn(y), act=False), inputs(1))
    (site,) = [n for n in graph if ops.kind(n) == "site"]
    assert (site.op, site.kwargs) == (ops.RECTIFY, {"cap": cap})


# Other functions of straight lines, and how many populations they take.
LINES: dict[str, tuple[Act, int]] = {
    "abs": (torch.abs, 2),
    "LeakyReLU": (nn.LeakyReLU(0.1), 2),
    "LeakyReLU by maximum": (lambda y: torch.maximum(y, 0.2 * y), 2),
    "LeakyReLU by where": (lambda y: torch.where(y > 0, y, 0.2 * y), 2),
    "PReLU": (nn.PReLU(), 2),
    "RReLU": (nn.RReLU(), 2),
    "minus relu of minus": (lambda y: -F.relu(-y), 1),
    "hardtanh": (lambda y: F.hardtanh(y, -1, 2), 1),
    "hardtanh, even": (nn.Hardtanh(), 1),
    "hardtanh by where, steeper and moved": (
        lambda y: 0.5 + 2 * torch.where(y > 1, 1.0, torch.where(y < -1, -1.0, y)),
        1,
    ),
    "hardsigmoid": (F.hardsigmoid, 1),
    "clip above zero": (lambda y: y.clamp(0.5, 2), 1),
    "only above": (lambda y: y.clamp(max=0.5), 1),
    "softshrink": (F.softshrink, 2),
    "tent": (lambda y: (1 - y.abs()).relu(), 2),
    "hat of three": (lambda y: F.relu(y) - 2 * F.relu(y - 1) + (y - 2).abs() * (y > 2), 2),
    "crelu": (lambda y: torch.cat([y.relu(), (-y).relu()], 1), 2),
}


@pytest.mark.parametrize("spelling", LINES)
def test_functions_of_straight_lines_are_sums_of_populations(spelling: str) -> None:
    fn, populations = LINES[spelling]
    act = fn if isinstance(fn, nn.Module) else Call(fn, "")
    model = Net(1, lambda s, y: s.act_of(y), act=False, act_of=act)  # type: ignore[arg-type]
    graph = check_equal(model, inputs(1))
    assert len([n for n in graph if ops.kind(n) == "site"]) == populations


CHANNELS: dict[str, tuple[int, Act]] = {
    "PReLU": (3, nn.PReLU(8, init=0.3)),
    "PReLU of features": (1, nn.PReLU(8)),
    "clamp": (3, Call(lambda y: y.clamp(torch.full((8, 1, 1), -0.5), torch.rand(8, 1, 1)), "")),
    "maximum": (3, Call(lambda y: torch.maximum(torch.linspace(-1, 1, 8).view(8, 1, 1), y), "")),
    "minimum": (1, Call(lambda y: torch.min(y, torch.linspace(-1, 1, 8)), "")),
}


@pytest.mark.parametrize("spelling", CHANNELS)
def test_bounds_and_slopes_of_every_channel(spelling: str) -> None:
    axes, fn = CHANNELS[spelling]
    torch.manual_seed(3)
    if isinstance(fn, nn.PReLU):
        with torch.no_grad():
            fn.weight.copy_(torch.linspace(-0.2, 0.5, 8))
    bound = torch.rand(8, 1, 1)
    if spelling == "clamp":
        fn = Call(lambda y: y.clamp(-bound, bound), "")
    check_equal(Net(axes, lambda s, y: s.act_of(y), act=False, act_of=fn), inputs(axes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "fn"),
    [
        ("threshold", lambda y: F.threshold(y, 1.0, 0.0)),
        ("le", F.hardshrink),
        ("sign", torch.sign),
    ],
)
def test_jumps_are_refused(name: str, fn: Act) -> None:
    model, x = nn.Sequential(Net(1, lambda s, y: fn(y)), nn.ReLU()), inputs(1)
    found = sw.inspect(model.eval(), x)
    assert name in {r.operator for r in found.rows if r.becomes == "refused"}


@pytest.mark.parametrize(
    ("name", "fn"), [("GELU", F.gelu), ("Tanh", torch.tanh), ("Hardswish", F.hardswish)]
)
def test_curves_are_functions_of_potentials(name: str, fn: Act) -> None:
    model, x = nn.Sequential(Net(1, lambda s, y: fn(y)), nn.ReLU()), inputs(1)
    found = sw.inspect(model.eval(), x)
    assert any(name in r.operator for r in found.rows if r.becomes == "function")
    assert found.is_convertible


def lines(fn: Act) -> Lines | None:
    """Return what is found of a function of one value."""
    graph = normalise_only_names(fn)
    order = {n: i for i, n in enumerate(graph.nodes)}
    found = list(chains(graph, graph.outputs[0], order, lambda n: True))
    source, chain = found[-1]
    return lines_of(graph, source, chain)


def normalise_only_names(fn: Act) -> Graph:
    return simplify(capture(Call(fn, ""), torch.rand(2, 3)))


def test_kinks_and_slopes_are_exact() -> None:
    found = lines(lambda y: F.relu(y + 0.25) - 3 * F.relu(y - 0.5) + 0.5)
    assert found == Lines(kinks=(-0.25, 0.5), slopes=(0.0, 1.0, -2.0), value=0.5)
    x = torch.linspace(-3, 3, 997, dtype=torch.float64)
    wanted = F.relu(x + 0.25) - 3 * F.relu(x - 0.5) + 0.5
    torch.testing.assert_close(found(x), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("kinks", "slopes", "value", "known"),
    [
        ((0.0,), (0.0, 1.0), 0.0, True),
        ((0.0, 2.0), (0.0, 1.0, 0.0), 0.0, True),
        ((0.0,), (-1.0, 1.0), 0.0, False),
        ((0.5,), (0.0, 1.0), 0.0, False),
        ((0.0,), (0.0, 1.0), 0.5, False),
        ((), (1.0,), 0.0, False),
    ],
)
def test_relu_and_clips_from_zero_are_known_by_their_lines(
    kinks: tuple[float, ...], slopes: tuple[float, ...], value: float, known: bool
) -> None:
    assert Lines(kinks, slopes, value).is_relu == known


@pytest.mark.parametrize("far", [1e-3, 1.0, 1e3])
def test_kinks_are_found_at_any_size(far: float) -> None:
    found = lines(lambda y: F.hardtanh(y, -far, 2 * far).abs())
    assert found is not None
    assert found.kinks == pytest.approx((-far, 0.0, 2 * far), rel=1e-6)
    assert found.slopes == (0.0, -1.0, 1.0, 0.0)


def test_too_many_lines_are_left_alone() -> None:
    def teeth(y: Tensor) -> Tensor:
        return sum((y - 0.5 * i).abs() for i in range(MAX_KINKS + 1))  # type: ignore[return-value]

    assert lines(teeth) is None
    assert lines(torch.sin) is None
    assert lines(lambda y: torch.where(y > 0, y + 1e-3, y)) is None


class Ends(nn.Module):
    """Straight lines in front of the first layer and behind the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.b(self.a(F.leaky_relu(x)).relu()))


def test_at_the_ends_of_a_network_they_stay_analog() -> None:
    x = inputs(1)
    kinds = [(n.op, ops.kind(n)) for n in prepared(Ends(), x)]
    assert kinds.count(("aten.leaky_relu.default", "analog")) == 2
    with torch.no_grad():
        model = Ends().eval()
        found = sw.simulate(sw.convert(model, calibration=x, T=14), x)
        torch.testing.assert_close(found, model(x), rtol=0.0, atol=5e-3)


class Shared(nn.Module):
    """An activation that is read by two layers, and scaled for one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.a(x), 0.2)
        return self.b(y) + self.c(y * 0.5 + 1)


def test_what_is_read_twice_is_one_pair_of_populations() -> None:
    graph = check_equal(Shared(), inputs(1))
    assert len([n for n in graph if n.op == ops.RECTIFY]) == 2


def test_a_known_activation_is_not_touched() -> None:
    graph = normalise(simplify(capture(nn.Sequential(nn.Linear(6, 8), nn.ReLU6()), inputs(1))))
    before = dict(graph.nodes)
    find_piecewise(graph)
    assert graph.nodes == before


@pytest.mark.parametrize(
    "behind",
    [
        lambda s, y: y.max(1)[0].unsqueeze(1),
        lambda s, y: torch.maximum(y, y.flip(1)),
        lambda s, y: torch.minimum(y, y.flip(1)),
        lambda s, y: s.norm(y),
    ],
    ids=["max", "maximum", "minimum", "batch norm"],
)
@pytest.mark.parametrize("act", [torch.abs, nn.LeakyReLU(0.1), nn.Hardtanh(-1, 2)])
def test_lines_are_taken_in_front_of_whatever_becomes_a_layer(
    behind: Callable[[nn.Module, Tensor], Tensor], act: Act
) -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Linear(6, 8), nn.BatchNorm1d(8)

        def forward(self, x: Tensor) -> Tensor:
            return behind(self, act(self.first(x)))

    torch.manual_seed(2)
    model, x = Last().eval(), inputs(1)
    network = sw.convert(model, calibration=x, T=12)
    with torch.no_grad():
        torch.testing.assert_close(network(x), model(x), rtol=0.01, atol=0.01)


@pytest.mark.parametrize(
    "function",
    [
        F.hardsigmoid,
        lambda x: F.hardsigmoid(torch.sin(x)),
        lambda x: x.clamp(-0.3, 0.7),
        lambda x: F.gelu(x).clamp(-0.1, 1 / 3),
        lambda x: F.leaky_relu(torch.sin(x), 0.1),
    ],
    ids=["hardsigmoid", "of a sine", "odd bounds", "odd bounds of a GELU", "leaky"],
)
def test_double_precision_stays_double(function: Callable[[Tensor], Tensor]) -> None:
    """Hardsigmoid's own gradient is 1/6 in single precision."""
    x = torch.rand(24, 6, dtype=torch.float64) * 8 - 4
    model = nn.Sequential(nn.Linear(6, 8), Call(function, "f"), nn.Linear(8, 3)).double().eval()
    snn = sw.convert(model, T=6, calibration=x)
    assert snn.provenance["equality"]["difference"] < 1e-14
