# SPDX-License-Identifier: Apache-2.0
"""The equality law: conversions made wrong on purpose are caught, and the operator is named."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.errors import VerificationError
from spikewright.graph import Graph, capture, ops, units
from spikewright.methods import configure, layered, methods, synchronous
from spikewright.network.twin import check_equality, compare_original, twin_outputs

DATA = torch.rand(32, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Every way a unit goes: convolutions, a shortcut, a concatenation, an average, a linear."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.inner = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.side, self.last = nn.Conv2d(6, 4, 1), nn.Linear(10, 5)
        with torch.no_grad():
            self.first.weight.mul_(torch.logspace(-1, 1, 6).view(6, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.first(x))
        b = F.relu(self.inner(a) + a)
        c = torch.cat((b, F.relu(self.side(b))), 1)
        return self.last(F.avg_pool2d(c, 4).mean((2, 3)))


@functools.cache
def net() -> nn.Module:
    """None of these tests changes it, so it is captured once."""
    return Net().eval()


Mutation = Callable[[Graph], None]


def _weight(graph: Graph, name: str, change: Callable[[Tensor], Tensor], index: int = 1) -> None:
    node = graph[name]
    args = list(node.args)
    args[index] = graph.fresh_param("wrong", change(graph.params[args[index].name].clone()))
    graph.update(dataclasses.replace(node, args=tuple(args)))


def units_swapped(graph: Graph) -> None:
    """Channels 0 and 5 of what ``inner`` reads have each other's unit."""

    def swap(weight: Tensor) -> Tensor:
        ratio = weight[:, 0].abs().mean() / weight[:, 5].abs().mean()
        weight[:, 0] /= ratio
        weight[:, 5] *= ratio
        return weight

    _weight(graph, "inner/conv2d", swap)


def shortcut_scaled_twice(graph: Graph) -> None:
    name = next(n.name for n in graph if n.op == ops.SCALE and "relu" in n.name)
    _weight(graph, name, lambda gain: gain * gain.mean())


def bias_lost(graph: Graph) -> None:
    _weight(graph, "side/conv2d", torch.zeros_like, 2)


def average_divided_wrongly(graph: Graph) -> None:
    node = graph["avg_pool2d"]
    args = (node.args[0], (4, 4), (4, 4), 0, False, True, 15)
    graph.update(dataclasses.replace(node, args=args))


MUTATIONS: list[tuple[Mutation, str]] = [
    (units_swapped, r"inner .*conv2d"),
    (shortcut_scaled_twice, r"add \(add\)"),
    (bias_lost, r"side .*conv2d"),
    (average_divided_wrongly, r"avg_pool2d"),
]


@pytest.mark.parametrize("method", ["spikeconverter", "burst", "casc"])
@pytest.mark.parametrize(("mutate", "named"), MUTATIONS)
def test_a_wrong_fold_is_caught_and_its_operator_named(
    mutate: Mutation, named: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = units.fold_units

    def wrong(graph: Graph, of: Any) -> Graph:
        folded = right(graph, of)
        mutate(folded)
        return folded

    model = net()
    options = {"per_channel": True}
    sw.convert(model, method, calibration=DATA, T=8, **options)
    for room in (layered, synchronous):
        monkeypatch.setattr(room, "fold_units", wrong)
    with pytest.raises(VerificationError, match=rf"^{named}|: expected {named}"):
        sw.convert(model, method, calibration=DATA, T=8, **options)


def test_a_pass_that_changes_the_model_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from spikewright import api

    right = api.fold_batch_norm

    def wrong(graph: Graph) -> Graph:
        graph = right(graph)
        _weight(graph, "inner/conv2d", lambda w: w * 1.01)
        return graph

    monkeypatch.setattr(api, "fold_batch_norm", wrong)
    with pytest.raises(VerificationError, match=r"inner \(test_twin\.py:\d+\).*conv2d"):
        sw.convert(net(), calibration=DATA, T=8)


class Counts(nn.Module):
    """A model whose results depend on how often it was run."""

    calls = itertools.count(1)

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.layer(x))) * next(self.calls)


def test_a_model_that_keeps_state_is_refused() -> None:
    with pytest.raises(VerificationError, match="not the same when it is run twice"):
        sw.convert(Counts().eval(), calibration=torch.rand(16, 4), T=4)


@pytest.mark.parametrize("method", sorted(m for m in methods() if m not in ("qcfs", "stbp")))
@pytest.mark.parametrize("options", [{}, {"input": "encoded"}, {"per_channel": True}])
def test_every_method_keeps_the_law_and_says_how_well(method: str, options: dict[str, Any]) -> None:
    known = {f.name for f in dataclasses.fields(methods()[method])}
    if not set(options) <= known:
        options = {}
    snn = sw.convert(net(), method, calibration=DATA, **options)
    law = snn.provenance["equality"]
    assert 2 <= law["inputs"] <= len(DATA)
    assert max(law["difference"], law["original"]) < law["tolerance"]
    twin = twin_outputs(snn, snn.check_input(DATA[:4]))[0]
    torch.testing.assert_close(twin, net()(DATA[:4]), rtol=1e-3, atol=1e-4)


def test_what_a_method_adds_on_purpose_is_named_and_taken_off() -> None:
    snn = sw.convert(net(), "threshold-relu", calibration=DATA, T=8)
    shifts = {n: s.shift for n, s in snn.sites.items() if bool(s.shift.any())}
    assert set(shifts) == {n.name for n in snn.graph if n.op == ops.RECTIFY}
    for name, shift in shifts.items():
        assert float(shift) == pytest.approx(float(snn.sites[name].scale) / 16)
    quiet = {n: dataclasses.replace(s, shift=torch.tensor(0.0)) for n, s in snn.sites.items()}
    wrong = dataclasses.replace(snn, sites=quiet)
    source = snn.source
    assert source is not None
    with pytest.raises(VerificationError):
        check_equality(wrong, source.config.placed(source.prepared), DATA[:4])


def test_a_dead_fault_is_no_fault_and_a_live_one_is() -> None:
    """The law looks at every channel by itself: a small one counts as much as a large one."""
    snn = sw.convert(net(), calibration=DATA, T=8)
    source = snn.source
    assert source is not None
    placed, graph = source.config.placed(source.prepared), snn.graph.copy()
    small = int(snn.sites["relu"].scale.argmin())
    _weight(graph, "first/conv2d", lambda w: w.index_fill(0, torch.tensor([small]), 0.0))
    with pytest.raises(VerificationError, match="first"):
        check_equality(dataclasses.replace(snn, graph=graph), placed, DATA[:4])


def test_a_fault_behind_what_a_method_adds_is_named_itself() -> None:
    snn = sw.convert(net(), "threshold-relu", calibration=DATA, T=8)
    source, graph = snn.source, snn.graph.copy()
    assert source is not None
    bias_lost(graph)
    with pytest.raises(VerificationError, match=r"^side .*conv2d"):
        check_equality(
            dataclasses.replace(snn, graph=graph),
            source.config.placed(source.prepared),
            DATA[:4],
        )


@pytest.mark.parametrize("per_channel", [True, False])
def test_each_of_two_channels_counts_where_each_has_a_scale(per_channel: bool) -> None:
    """Half of the tolerance of the larger channel is five times that of the smaller one."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 3)).eval()
    with torch.no_grad():
        model[0].weight.abs_().mul_(torch.tensor([[5e-5], [1.0]]))
        model[0].bias.zero_()
    x = torch.rand(16, 3)
    snn = sw.convert(model, calibration=x, T=8, per_channel=per_channel)
    source, graph = snn.source, snn.graph.copy()
    assert source is not None
    first = next(n.name for n in graph if n.module == "0")
    _weight(graph, first, lambda w: w * torch.tensor([[2.0], [1.0]]))
    placed = source.config.placed(source.prepared)
    wrong = dataclasses.replace(snn, graph=graph)
    if not per_channel:
        assert 1e-5 < check_equality(wrong, placed, x).difference < 1e-4
        return
    with pytest.raises(VerificationError, match=r"^0 "):
        check_equality(wrong, placed, x)


def test_inputs_of_another_type_are_checked_in_the_networks() -> None:
    snn = sw.convert(net(), calibration=DATA, T=8)
    source = snn.source
    assert source is not None
    law = check_equality(snn, source.config.placed(source.prepared), DATA[:4].double())
    assert law.inputs == 4
    assert law.tolerance == 1e-4


class TwoScores(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 3), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = F.relu(self.layer(x))
        return self.one(y), self.two(y)


def test_the_difference_is_that_of_all_outputs_together() -> None:
    model, x = TwoScores().eval(), torch.rand(16, 4)
    snn = sw.convert(model, calibration=x, T=8)
    source, graph = snn.source, snn.graph.copy()
    assert source is not None
    placed, captured = source.config.placed(source.prepared), capture(model, x)
    name = next(n.name for n in graph if n.module == "one")
    for index in (1, 2):
        _weight(graph, name, lambda t: t * 1.5, index)
    with torch.no_grad():
        one, two = model(x)
    wanted = 0.5 * float(one.norm()) / float(torch.cat([one, two], 1).norm())
    found = compare_original(dataclasses.replace(snn, graph=graph), captured, placed, x)
    assert found.agrees is False
    assert found.said.startswith("one ")
    assert found.difference == pytest.approx(wanted, rel=1e-3)
    right = compare_original(snn, captured, placed, x)
    assert right.agrees
    assert right.difference == pytest.approx(0.0, abs=1e-5)


def test_unchecked_statistics_are_not_called_checked() -> None:
    prepared = sw.calibrate(net(), DATA)
    bare = dataclasses.replace(prepared, checked=0)
    assert "equality" not in bare.convert(configure("spikeconverter")).provenance
