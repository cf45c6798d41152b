# SPDX-License-Identifier: Apache-2.0
"""Staircases: every spelling is found with its numbers, near misses are left alone."""

import functools
import json
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.calibration.collect import Collector
from spikewright.functions.staircase import quantised
from spikewright.graph import (
    Graph,
    Node,
    capture,
    fold_batch_norm,
    normalise,
    ops,
    place_sites,
    simplify,
)
from spikewright.graph.activation import activate
from spikewright.graph.channels import channel_axes
from spikewright.graph.decode import decode_graph
from spikewright.graph.inspection import inspect_graph
from spikewright.graph.sites import find_activations
from spikewright.graph.staircase import MAX_LEVELS, find_staircases

THETA = 1.7
Fn = Callable[[Tensor, Any, int], Tensor]


class Floor(torch.autograd.Function):
    """A straight-through floor as published training code writes it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.floor()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class Levels(torch.autograd.Function):
    """The whole activation in one function, with what its gradient needs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, levels: int) -> Tensor:
        ctx.save_for_backward(x)
        return torch.floor(x.clamp(0, 1) * levels) / levels

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.clamp(-1, 1), None


class Act(nn.Module):
    """An activation with a learned threshold of one element."""

    def __init__(self, fn: Fn, theta: Any = THETA, levels: int = 8) -> None:
        super().__init__()
        self.fn, self.levels = fn, levels
        self.theta = nn.Parameter(torch.as_tensor(theta, dtype=torch.float32).reshape(-1))

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x, self.theta, self.levels)


def qcfs(x: Tensor, t: Any, n: int) -> Tensor:
    return torch.floor((x / t).clamp(0, 1) * n + 0.5) / n * t


def casc(x: Tensor, t: Any, n: int) -> Tensor:
    return torch.floor(x.clip(0, 1) * n) / n


def through(x: Tensor, q: Tensor) -> Tensor:
    return x + (q - x).detach()


def no_grad(x: Tensor, t: Any, n: int) -> Tensor:
    with torch.no_grad():
        q = qcfs(x, t, n)
    return (q - x).detach() + x


def through_the_middle(x: Tensor, t: Any, n: int) -> Tensor:
    y = (x / t).clamp(0, 1) * n + 0.5
    return (y + (y.floor() - y).detach()) / n * t


def in_place(x: Tensor, t: Any, n: int) -> Tensor:
    return x.div_(t).clamp_(0, 1).mul_(n).add_(0.5).floor_().div_(n).mul_(t)


# Spelling, top, offset. The formula that each must equal is `reference`.
SPELLINGS: dict[str, tuple[Fn, float, float]] = {
    "QCFS": (qcfs, THETA, 0.5),
    "QCFS, scalar threshold": (lambda x, t, n: qcfs(x, t.squeeze(), n), THETA, 0.5),
    "QCFS, clip behind": (
        lambda x, t, n: torch.clamp(torch.floor(x / t * n + 0.5), 0, n) * t / n,
        THETA,
        0.5,
    ),
    "QCFS, step first": (
        lambda x, t, n: (x / (t / n) + 0.5).floor().clamp(0, n) * (t / n),
        THETA,
        0.5,
    ),
    "custom function": (
        lambda x, t, n: Floor.apply((x / t).clamp(0, 1) * n + 0.5) / n * t,
        1.7,
        0.5,
    ),
    "custom function for all": (lambda x, t, n: Levels.apply(x, n), 1.0, 0.0),
    "straight through": (lambda x, t, n: through(x, qcfs(x, t, n)), THETA, 0.5),
    "straight through, no grad": (no_grad, THETA, 0.5),
    "straight through, subtracted": (lambda x, t, n: x - (x - qcfs(x, t, n)).detach(), THETA, 0.5),
    "straight through the middle": (through_the_middle, THETA, 0.5),
    "in place": (in_place, THETA, 0.5),
    "round": (lambda x, t, n: torch.round((x / t).clamp(0, 1) * n) / n * t, THETA, 0.5),
    "ceil": (lambda x, t, n: torch.ceil((x / t).clamp(0, 1) * n - 0.5) / n * t, THETA, 0.5),
    "trunc": (lambda x, t, n: torch.trunc((x / t).relu().clamp(max=1) * n + 0.5) / n * t, 1.7, 0.5),
    "whole numbers": (lambda x, t, n: (x.clamp(0, 1) * n).int().float() / n, 1.0, 0.0),
    "floor division": (lambda x, t, n: (x.clamp(0, 1) + 0.0) // 0.125 / 8, 1.0, 0.0),
    "rounding mode": (
        lambda x, t, n: torch.div(x.clamp(0, 1), 0.125, rounding_mode="floor") / 8,
        1.0,
        0.0,
    ),
    "CASC": (casc, 1.0, 0.0),
    "min and relu": (
        lambda x, t, n: torch.floor(torch.minimum(x.relu(), torch.ones_like(x)) * n) / n,
        1.0,
        0.0,
    ),
    "min and max": (
        lambda x, t, n: (
            torch.floor(torch.max(torch.min(x, t), torch.zeros_like(x)) / t * n) / n * t
        ),
        THETA,
        0.0,
    ),
    "expanded threshold": (
        lambda x, t, n: torch.floor(torch.min(x.relu(), t.expand_as(x)) / t * n) / n * t,
        THETA,
        0.0,
    ),
    "tensor bounds": (
        lambda x, t, n: torch.floor(torch.clamp(x, torch.zeros(1), t) / t * n) / n * t,
        THETA,
        0.0,
    ),
    "number from a tensor": (
        lambda x, t, n: torch.floor(x.clamp(0, t.item()) / t.item() * n) / n * t.item(),
        THETA,
        0.0,
    ),
    "where": (
        lambda x, t, n: torch.where(
            x > t, t, torch.where(x < 0, 0.0, torch.floor(x / t * n) / n * t)
        ),
        THETA,
        0.0,
    ),
    "relu6": (lambda x, t, n: torch.round(F.relu6(x) * n / 6) * 6 / n, 6.0, 0.5),
    "hardtanh": (lambda x, t, n: torch.floor(F.hardtanh(x, 0.0, 1.0) * n) / n, 1.0, 0.0),
    "hardsigmoid": (lambda x, t, n: torch.floor(F.hardsigmoid(6 * x - 3) * n) / n, 1.0, 0.0),
    "two relus": (lambda x, t, n: t - F.relu(t - qcfs(x.relu(), t, n)), THETA, 0.5),
    "softplus of the threshold": (
        lambda x, t, n: qcfs(x, F.softplus(t), n),
        math.log1p(math.exp(THETA)),
        0.5,
    ),
    "a relu before and behind": (lambda x, t, n: qcfs(x.relu(), t, n).relu(), THETA, 0.5),
    "another slope of the threshold": (lambda x, t, n: qcfs(x, 3 * t, n), 3 * THETA, 0.5),
}


def reference(x: Tensor, cap: float, levels: int, offset: float) -> Tensor:
    """The formula in exact arithmetic, one number after the other."""

    def one(value: float) -> float:
        level = math.floor(levels * Fraction(value) / Fraction(cap) + Fraction(offset))
        return float(Fraction(cap) * min(max(level, 0), levels) / levels)

    return torch.tensor([one(v) for v in x.flatten().tolist()]).reshape(x.shape)


def graph_of(model: nn.Module, x: Tensor) -> Graph:
    return simplify(capture(model, x))


def staircases(graph: Graph) -> list[Node]:
    return [n for n in graph if n.op == ops.RECTIFY and "levels" in n.kwargs]


def between(act: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 4, 3), act, nn.Flatten(), nn.Linear(36, 3)).eval()


def calibrated(graph: Graph, x: Tensor) -> Tensor:
    """Return a network's output as calibration computes it."""
    placed = place_sites(find_activations(fold_batch_norm(normalise(graph))))
    return Collector(placed, channel_axes(placed)).add(x, 0)[0]


DATA = torch.randn(32, 2, 5, 5, generator=torch.Generator().manual_seed(1)) * 3


def test_the_activation_is_the_formula_and_leaves_its_input_alone() -> None:
    x = torch.linspace(-4.0, 8.0, 769)  # dyadic, so that many values lie exactly on edges
    for cap, levels, offset in [(2.0, 4, 0.5), (1.0, 8, 0.0), (4.0, 1, 0.25), (0.5, 16, 0.75)]:
        before = x.clone()
        assert torch.equal(quantised(x, cap, levels, offset), reference(x, cap, levels, offset))
        assert torch.equal(x, before)
    edge = torch.tensor([0.25])  # L·x/θ + φ = 1: a tie belongs to the upper level
    assert quantised(edge, 2.0, 4, 0.5).tolist() == [0.5]
    assert quantised(torch.tensor([math.inf, -math.inf]), 2.0, 4, 0.5).tolist() == [2.0, 0.0]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_becomes_one_site(spelling: str) -> None:
    fn, cap, offset = SPELLINGS[spelling]
    model = between(Act(fn))
    captured = graph_of(model, DATA)
    graph = find_staircases(captured)
    (site,) = staircases(graph)
    assert site.kwargs["cap"] == pytest.approx(cap, rel=1e-6)
    assert site.kwargs["levels"] == 8
    assert site.kwargs["offset"] == offset
    kinds = [ops.kind(n) for n in graph if n.shape is not None]
    assert kinds == ["input", "weighted", "site", "layout", "weighted"]
    assert graph[site.inputs[0]].op == "aten.conv2d.default"
    with torch.no_grad():
        torch.testing.assert_close(calibrated(captured, DATA), model(DATA), rtol=0.0, atol=1e-6)
        given_to_it = model[0](DATA)
        expected = reference(given_to_it, site.kwargs["cap"], 8, offset)
        torch.testing.assert_close(model[1](given_to_it.clone()), expected, rtol=1e-6, atol=1e-6)


def early(y: Tensor) -> Tensor:
    return torch.floor(y + 0.0005 * ((y - 4).abs() < 0.5))


MISSES: dict[str, Fn] = {
    "signed, with a gap at zero": lambda x, t, n: torch.trunc((x / t).clamp(-1, 1) * n) / n * t,
    "no top": lambda x, t, n: torch.floor(x.relu() * n) / n,
    "no bottom": lambda x, t, n: torch.floor(x.clamp(max=1) * n) / n,
    "top between levels": lambda x, t, n: (torch.floor(x.relu() * n) / n).clamp(max=0.8),
    "uneven steps": lambda x, t, n: torch.floor(torch.sigmoid(x) * n) / n,
    "powers of two": lambda x, t, n: torch.exp2(torch.round(torch.log2(x.clamp(0.01, 1.0)))),
    "first step at zero": lambda x, t, n: torch.ceil(x.clamp(0, 1) * n) / n,
    "first step too late": lambda x, t, n: torch.floor(x.clamp(0, 1) * n - 1).clamp(min=0) / n,
    "too fine": lambda x, t, n: casc(x, t, MAX_LEVELS + 1),
    "another slope": lambda x, t, n: torch.floor(x.clamp(0, 1) * n),
    "one level is twice as wide": lambda x, t, n: (
        torch.floor(x.clamp(0, 1) * n) + torch.floor(x.clamp(0, 1) * n - 3).clamp(-1, 0)
    ),
    "one edge a little early": lambda x, t, n: early(x.clamp(0, 1) * n) / n,
    "copies": lambda x, t, n: (
        torch.floor(x.clamp(0, 1) * n + torch.zeros(2, 1, 1, 1, 1)) / n
    ).mean(0),
    "two values": lambda x, t, n: torch.floor(x.clamp(0, 1) * x.mean((2, 3), True) * n) / n,
    "neighbours": lambda x, t, n: torch.floor((x + x.flip(1)).clamp(0, 1) * n * x.clamp(0, 1)) / n,
    "a threshold per channel": lambda x, t, n: (
        torch.floor(torch.min(x.relu(), torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(4, 1, 1)) * n)
        / n
    ),
}


@pytest.mark.parametrize("miss", MISSES)
def test_near_misses_are_left_alone_and_refused(miss: str) -> None:
    # With neurons behind it, or it would stay analog with all that follows the last ones.
    spiking = nn.Sequential(between(Act(MISSES[miss])), nn.ReLU(), nn.Linear(3, 2))
    graph = graph_of(spiking, DATA)
    assert find_staircases(graph).nodes == graph.nodes
    found = inspect_graph(find_activations(normalise(graph)))
    assert not found.is_convertible
    refused = {r.operator for r in found.rows if r.becomes == "refused"}
    assert refused & {"floor", "ceil", "round", "trunc"}


SIGNED: dict[str, tuple[Fn, float]] = {
    "rounded": (lambda x, t, n: torch.round((x / t).clamp(-1, 1) * n) / n * t, 0.5),
    "floored and lifted": (lambda x, t, n: torch.floor(x / t * n + 0.5).clamp(-n, n) / n * t, 0.5),
    "floored": (lambda x, t, n: torch.floor((x / t).clamp(-1, 1) * n) / n * t, 0.0),
}


@pytest.mark.parametrize("spelling", SIGNED)
@pytest.mark.parametrize("levels", [1, 4, 8])
def test_signed_staircases_become_relays_with_levels(spelling: str, levels: int) -> None:
    fn, offset = SIGNED[spelling]
    graph = find_staircases(graph_of(between(Act(fn, levels=levels)), DATA))
    (site,) = [n for n in graph if n.op == ops.RELAY]
    assert site.kwargs["cap"] == pytest.approx(THETA, rel=1e-6)
    assert site.kwargs["levels"] == levels
    assert site.kwargs["offset"] == pytest.approx(offset, abs=1e-5)
    x = torch.linspace(-3.0, 3.0, 997) * THETA
    wanted = fn(x, torch.tensor([THETA]), levels)
    torch.testing.assert_close(activate(site, x), wanted, rtol=1e-6, atol=1e-6)
    assert float(wanted.min()) == pytest.approx(-THETA)


INNER: dict[str, tuple[Fn, set[str]]] = {
    "levels squared": (lambda x, t, n: qcfs(x, t, n).square(), set()),
    "a wrinkle": (lambda x, t, n: qcfs(x, t, n) + 0.01 * torch.sign(x - 0.3), {"sign"}),
    "lifted": (lambda x, t, n: qcfs(x, t, n) + 0.1, set()),
    "upside down": (lambda x, t, n: t - qcfs(x, t, n), set()),
    "twice as high": (lambda x, t, n: 2 * qcfs(x, t, n), set()),
    "clipped from below": (lambda x, t, n: qcfs(x, t, n).clamp(min=0.1), set()),
    "clipped between levels": (lambda x, t, n: qcfs(x, t, n).clamp(max=1.0), set()),
}


@pytest.mark.parametrize("name", INNER)
def test_what_follows_a_staircase_stays_and_is_judged_by_itself(name: str) -> None:
    fn, refused = INNER[name]
    # With neurons behind it, or a curve would stay analog with all that follows the last ones.
    model = nn.Sequential(between(Act(fn)), nn.ReLU(), nn.Linear(3, 2))
    graph = graph_of(model, DATA)
    (site,) = staircases(find_staircases(graph))
    assert site.inputs == ("0.0/conv2d",)
    assert site.kwargs == {"cap": float(torch.tensor(THETA)), "levels": 8, "offset": 0.5}
    found = inspect_graph(find_activations(normalise(graph)))
    assert {r.operator for r in found.rows if r.becomes == "refused"} == refused
    if not refused:
        with torch.no_grad():
            torch.testing.assert_close(calibrated(graph, DATA), model(DATA), rtol=0.0, atol=1e-6)


def test_a_clip_at_a_level_gives_a_shorter_staircase() -> None:
    model = between(Act(lambda x, t, n: casc(x, t, n).clamp(max=0.375)))
    (site,) = staircases(find_staircases(graph_of(model, DATA)))
    assert site.kwargs == {"cap": 0.375, "levels": 3, "offset": 0.0}


def test_scales_in_front_and_behind_stay_and_so_does_a_threshold_per_channel() -> None:
    """Divided first and multiplied last: the part between is one staircase for all channels."""
    theta = torch.tensor([0.5, 1.0, 1.5, 2.0]).reshape(4, 1, 1)
    model = between(Act(lambda x, t, n: qcfs(x, theta, n)))
    captured = graph_of(model, DATA)
    graph = normalise(captured)
    (site,) = staircases(graph)
    assert site.kwargs == {"cap": 1.0, "levels": 8, "offset": 0.5}
    assert [n.op for n in graph if n.shape][1:5] == [
        "aten.conv2d.default",
        ops.SCALE,
        ops.RECTIFY,
        ops.SCALE,
    ]
    with torch.no_grad():
        torch.testing.assert_close(calibrated(captured, DATA), model(DATA), rtol=0.0, atol=1e-6)


def test_equal_thresholds_of_all_channels_are_one_threshold() -> None:
    theta = torch.full((4, 1, 1), 0.75)
    model = between(Act(lambda x, t, n: torch.floor(torch.min(x.relu(), theta) * n) / n))
    (site,) = staircases(find_staircases(graph_of(model, DATA)))
    assert site.kwargs == {"cap": 0.75, "levels": 6, "offset": 0.0}


class Net(nn.Module):
    """Batch norm, a shared activation, a residual sum, max and average pools."""

    def __init__(self, fn: Fn = qcfs) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.body = nn.Conv2d(4, 4, 3, padding=1)
        self.shared, self.last = Act(fn, 1.25, 8), Act(fn, 0.8, 4)
        self.pool, self.drop = nn.MaxPool2d(2), nn.Dropout()
        self.out = nn.Linear(4, 3)
        with torch.no_grad():
            self.norm.running_mean.normal_(0.0, 0.3)
            self.norm.running_var.uniform_(0.5, 2.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(self.norm(self.conv(x)))
        x = self.shared(x + self.body(x))
        x = self.last(self.pool(self.drop(x + self.body(x))))
        return self.out(x.mean((2, 3)))


def test_networks_give_the_same_numbers_and_every_call_its_own_site() -> None:
    for fn in (qcfs, no_grad):
        model = Net(fn).eval()
        captured = graph_of(model, DATA)
        graph = find_activations(fold_batch_norm(captured))
        sites = staircases(graph)
        numbers = [(n.kwargs["cap"], n.kwargs["levels"], n.kwargs["offset"]) for n in sites]
        assert numbers == [(1.25, 8, 0.5), (1.25, 8, 0.5), (float(torch.tensor(0.8)), 4, 0.5)]
        pool = next(n for n in graph if ops.kind(n) == "pool")
        assert graph[pool.inputs[0]] == sites[2]  # maxima of spikes: the staircase went before it
        again = decode_graph(json.loads(json.dumps(graph.to_dict())), graph.params)
        assert again.nodes == graph.nodes
        assert find_staircases(graph).nodes == graph.nodes
        with torch.no_grad():
            torch.testing.assert_close(calibrated(captured, DATA), model(DATA), rtol=0.0, atol=1e-6)


def test_different_staircases_behind_one_pool_stay_behind_it() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.out = nn.Conv2d(2, 4, 3), nn.Linear(72, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = F.max_pool2d(self.conv(x), 1)
            return self.out(torch.cat([casc(x, None, 8), casc(x, None, 4)], 1).flatten(1))

    model = Two().eval()
    graph = graph_of(model, DATA)
    with torch.no_grad():
        torch.testing.assert_close(calibrated(graph, DATA), model(DATA), rtol=0.0, atol=1e-6)
    assert [n.kwargs["levels"] for n in staircases(find_activations(graph))] == [8, 4]


def test_a_value_read_half_way_is_the_same_site() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            half = casc(self.a(x), None, 8)
            return self.c(casc(self.b(half), None, 8) + half.relu())

    model, x = Both().eval(), torch.randn(64, 4)
    graph = graph_of(model, x)
    assert len(staircases(find_staircases(graph))) == 2
    with torch.no_grad():
        torch.testing.assert_close(calibrated(graph, x), model(x), rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("high", [0.7, 1.0, 5.0])
def test_a_second_rectifier_never_changes_a_staircase(high: float) -> None:
    """Merged where it does nothing, a site of its own where it does."""
    model = between(Act(lambda x, t, n: F.hardtanh(casc(x, t, n), 0.0, high)))
    graph = graph_of(model, DATA)
    with torch.no_grad():
        torch.testing.assert_close(calibrated(graph, DATA), model(DATA), rtol=0.0, atol=1e-6)
    sites = [dict(n.kwargs) for n in find_activations(graph) if n.op == ops.RECTIFY]
    stairs = {"cap": 1.0, "levels": 8, "offset": 0.0}
    assert sites == ([stairs, {"cap": high}] if high < 1.0 else [stairs])


def test_plain_activations_keep_their_arguments() -> None:
    graph = find_activations(graph_of(between(nn.ReLU6()), DATA))
    assert [dict(n.kwargs) for n in graph if n.op == ops.RECTIFY] == [{"cap": 6.0}]


def test_inspection_says_how_the_neurons_were_trained() -> None:
    found = sw.inspect(between(Act(qcfs)), DATA)
    (row,) = [r for r in found.rows if r.becomes == "spiking"]
    assert (row.operator, row.note) == ("8 levels up to 1.7", "trained with 8 levels")
    assert found.is_convertible


# The second argument holds θ, φ and L, all of them parameters, so that one capture serves them all.
ANY_SPELLING: list[Fn] = [
    lambda x, t, n: torch.floor((x / t[0]).clamp(0, 1) * t[2] + t[1]) / t[2] * t[0],
    lambda x, t, n: torch.floor(x / t[0] * t[2] + t[1]).relu().minimum(t[2]) * t[0] / t[2],
    lambda x, t, n: torch.floor(torch.min(x.relu(), t[0]) / t[0] * t[2] + t[1]) / t[2] * t[0],
    lambda x, t, n: torch.floor(x.clamp(0, t[0].item()) * (t[2] / t[0]) + t[1]) * (t[0] / t[2]),
    lambda x, t, n: through(
        x, (torch.floor(x.relu() / (t[0] / t[2]) + t[1]) * (t[0] / t[2])).minimum(t[0])
    ),
]


@functools.cache
def any_graph(spelling: int) -> Graph:
    act = Act(ANY_SPELLING[spelling], [1.0, 0.5, 8.0])
    return capture(nn.Sequential(nn.Conv2d(1, 1, 1), act).eval(), torch.rand(2, 1, 1, 1))


@pytest.mark.slow
@settings(max_examples=80)
@given(
    theta=st.floats(0.0078125, 64.0, width=32),
    levels=st.integers(1, 256),
    offset=st.sampled_from([0.0, 0.5]) | st.floats(0.125, 0.9375, width=32),
    spelling=st.integers(0, len(ANY_SPELLING) - 1),
    seed=st.integers(0, 2**31 - 1),
)
def test_whatever_the_numbers_they_are_recovered(
    theta: float, levels: int, offset: float, spelling: int, seed: int
) -> None:
    """θ, L and φ come back to 1e-6, and away from edges the outputs are the trained ones."""
    graph = any_graph(spelling).copy()
    graph.params["1.theta"] = torch.tensor([theta, offset, float(levels)])
    (site,) = staircases(find_staircases(simplify(graph)))
    assert site.kwargs["cap"] == pytest.approx(theta, rel=1e-6)
    assert site.kwargs["levels"] == levels
    assert site.kwargs["offset"] == pytest.approx(offset, rel=1e-6)
    x = torch.randn(256, generator=torch.Generator().manual_seed(seed)) * theta
    level = x.double() / theta * levels + offset
    x = x[(level - level.round()).abs() > 1e-5 * (1.0 + level.abs())]
    trained = ANY_SPELLING[spelling](x.clone(), graph.params["1.theta"], 0)
    near = functools.partial(torch.testing.assert_close, rtol=1e-6, atol=1e-6 * theta)
    near(quantised(x, **site.kwargs), trained)
    near(reference(x, theta, levels, offset), trained)


def test_spikeconverter_sends_every_level_of_such_networks() -> None:
    model = Net().eval().double()
    x = torch.randn(64, 2, 6, 6, dtype=torch.float64)
    network = sw.convert(model, "spikeconverter", calibration=x, T=12)
    tops = [n.kwargs["cap"] for n in network.spiking_nodes() if n.op == ops.RECTIFY]
    assert tops == pytest.approx([1.25, 1.25, 0.8])
    assert sw.verify(network, x).agrees
    with torch.no_grad():
        torch.testing.assert_close(sw.simulate(network, x), model(x), rtol=0.0, atol=1e-6)
