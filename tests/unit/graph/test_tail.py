# SPDX-License-Identifier: Apache-2.0
"""Analog work behind the last neurons may hold weighted layers: a detector's head that decodes."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import UnsupportedModuleError, VerificationError
from spikewright.graph import Graph, Node, ops
from spikewright.graph.tail import tail_macs
from spikewright.network.twin import check_equality
from spikewright.simulators import settle
from spikewright.training import conversion_ready

BINS, CLASSES, SIDE, STRIDES = 8, 3, 32, (4, 8, 16)
ANCHORS = sum((SIDE // s) ** 2 for s in STRIDES)
X = torch.rand(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))


def conv(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )


class Head(nn.Module):
    """Three levels with sides as distributions over bins, decoded inside, as YOLOv8 does it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.ModuleList([conv(3, 8, 4), conv(8, 12, 2), conv(12, 12, 2)])
        self.sides = nn.ModuleList([self.branch(c, 4 * BINS) for c in (8, 12, 12)])
        self.scores = nn.ModuleList([self.branch(c, CLASSES) for c in (8, 12, 12)])
        self.dfl = nn.Conv2d(BINS, 1, 1, bias=False)
        with torch.no_grad():
            self.dfl.weight.copy_(torch.arange(float(BINS)).view(1, BINS, 1, 1))

    @staticmethod
    def branch(before: int, after: int) -> nn.Sequential:
        return nn.Sequential(conv(before, 8), nn.Conv2d(8, after, 1))

    def forward(self, x: Tensor) -> Tensor:
        levels = []
        for stem in self.stem:
            x = stem(x)
            levels.append(x)
        sides = [b(f).flatten(2) for b, f in zip(self.sides, levels, strict=True)]
        scores = [b(f).flatten(2) for b, f in zip(self.scores, levels, strict=True)]
        centres, strides = self.grid(levels)
        shares = torch.cat(sides, 2).view(-1, 4, BINS, ANCHORS).transpose(2, 1).softmax(1)
        distance = self.dfl(shares).view(-1, 4, ANCHORS)
        left_top, right_bottom = distance.chunk(2, 1)
        low, high = centres - left_top, centres + right_bottom
        boxes = torch.cat(((low + high) / 2, high - low), 1) * strides
        return torch.cat((boxes, torch.cat(scores, 2).sigmoid()), 1)

    @staticmethod
    def grid(levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        centres, strides = [], []
        for level, stride in zip(levels, STRIDES, strict=True):
            rows = torch.arange(level.shape[2]) + 0.5
            y, x = torch.meshgrid(rows, rows, indexing="ij")
            centres.append(torch.stack((x.flatten(), y.flatten())))
            strides.append(torch.full((1, x.numel()), float(stride)))
        return torch.cat(centres, 1), torch.cat(strides, 1)


def trained(model: nn.Module, x: Tensor = X) -> nn.Module:
    """A model whose batch norms know the values that come."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.shape[1] != BINS:
            nn.init.kaiming_normal_(module.weight)
    with torch.no_grad():
        for _ in range(20):
            model.train()(x)
    return model.eval()


@pytest.fixture(scope="module")
def head() -> nn.Module:
    return trained(Head())


@pytest.fixture(scope="module")
def snn(head: nn.Module) -> sw.SpikingNetwork:
    return sw.convert(head, T=14, calibration=X, scale=sw.Max())


def test_the_decoding_stays_analog_and_is_named(head: nn.Module) -> None:
    found = sw.inspect(head, X)
    assert found.is_convertible
    left = {(r.module, r.operator): r.note for r in found.rows if r.becomes == "analog"}
    assert left["", "Softmax"] == "behind the read-out"
    assert left["dfl", "conv2d"] == f"behind the read-out: {4 * BINS * ANCHORS:,} multiply-adds"
    assert left["", "Sigmoid"] == "behind the read-out"
    assert found.counts()["spiking"] == 9


def test_it_computes_the_model_and_both_simulators_agree(
    head: nn.Module, snn: sw.SpikingNetwork
) -> None:
    with torch.no_grad():
        wanted = head(X)
    assert float((snn(X) - wanted).norm() / wanted.norm()) < 2e-3
    checked = sw.verify(snn, X[:2], reference=head)
    assert checked.agrees, checked.table()
    whole = snn.to_integer()
    assert sw.verify(whole, X[:2]).agrees
    assert float((whole(X) - wanted).norm() / wanted.norm()) < 0.05


def test_its_work_is_counted(head: nn.Module, snn: sw.SpikingNetwork) -> None:
    last = sw.evaluate(snn, X, reference=head).lengths[-1]
    layers = {layer.name: layer for layer in last.layers}
    own = layers["dfl"]
    assert (own.kind, own.additions, own.weights) == ("layer", 0, BINS)
    assert own.macs == own.analog_macs == 4 * BINS * ANCHORS
    assert (own.inputs, own.values) == (4 * BINS * ANCHORS, 4 * ANCHORS)
    behind = [
        x for x in last.layers if x.kind == "layer" and x.analog_macs and x.name != "stem.0.0"
    ]
    assert last.analog_macs == layers["stem.0.0"].macs + sum(x.macs for x in behind)
    rows = [r for r in sw.inspect(head, X).rows if r.note.endswith("multiply-adds")]
    said = [int(r.note.split()[-2].replace(",", "")) for r in rows if "read-out" in r.note]
    assert sorted(said) == sorted(x.macs for x in behind)
    assert f"1 layer behind the read-outs, {sum(said):,} multiply-adds" in snn.summary()


def test_a_file_holds_it(snn: sw.SpikingNetwork, tmp_path: Path) -> None:
    snn.save(tmp_path / "head.safetensors")
    again = sw.load(tmp_path / "head.safetensors")
    assert torch.equal(again(X), snn(X))
    assert again.summary().count("behind the read-outs") == 1


@pytest.mark.parametrize("method", ["burst", "rueckauer", "casc", "snn-calibration"])
def test_other_methods_take_it(head: nn.Module, method: str) -> None:
    network = sw.convert(head, method, T=16, calibration=X)
    assert sw.verify(network, X[:1]).agrees
    assert sw.evaluate(network, X[:2], reference=head).lengths[-1].analog_macs > 0


def test_diagnose_and_training_take_it(head: nn.Module, snn: sw.SpikingNetwork) -> None:
    assert sw.diagnose(snn, X, reference=head).layers
    network = conversion_ready(head, X, "casc", 8, calibration=X).eval()
    converted = sw.convert(network, "casc", T=8, calibration=X)
    with torch.no_grad():
        torch.testing.assert_close(
            settle(converted, X).outputs[0], network(X), rtol=1e-3, atol=1e-2
        )


def _param(graph: Graph, node: Node, index: int) -> str:
    return str(node.args[index].name)


def _wrong_expectation(graph: Graph) -> None:
    node = next(n for n in graph if n.module == "dfl" and ops.weighted(n))
    graph.params[_param(graph, node, 1)] = graph.params[_param(graph, node, 1)] + 0.01


def _wrong_axis(graph: Graph) -> None:
    node = next(n for n in graph if "softmax" in n.op)
    graph.update(dataclasses.replace(node, args=(node.args[0], 2, *node.args[2:])))


def _another_function(graph: Graph) -> None:
    node = next(n for n in graph if "sigmoid" in n.op)
    graph.update(dataclasses.replace(node, op="aten.tanh.default"))


def _wrong_box_arithmetic(graph: Graph) -> None:
    node = next(n for n in graph if n.op == "aten.sub.Tensor")
    graph.update(dataclasses.replace(node, op="aten.add.Tensor"))


def _wrong_read_out(graph: Graph) -> None:
    node = next(n for n in graph if n.module.startswith("sides.1") and n.module.endswith(".1"))
    name = _param(graph, node, 2)
    graph.params[name] = graph.params[name] + graph.params[name].abs().max()


@pytest.mark.parametrize(
    "change",
    [
        _wrong_expectation,
        _wrong_axis,
        _another_function,
        _wrong_box_arithmetic,
        _wrong_read_out,
    ],
)
def test_the_equality_law_catches_mistakes_in_it(
    change: Callable[[Graph], None], head: nn.Module, snn: sw.SpikingNetwork
) -> None:
    graph = snn.graph.copy()
    wrong = dataclasses.replace(snn, graph=graph)
    assert snn.source is not None
    placed = snn.source.config.placed(snn.source.prepared)
    check_equality(wrong, placed, (X,))
    change(graph)
    with pytest.raises(VerificationError, match="expected"):
        check_equality(dataclasses.replace(snn, graph=graph), placed, (X,))


class Tail(nn.Module):
    """A layer and neurons, then whatever a function does with its own layers."""

    def __init__(self, fn: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.fn, self.first, self.inner = fn, nn.Conv2d(2, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self, self.first(x))


def _shared(own: Any, x: Tensor) -> Tensor:
    """One layer, used between spikes and behind the read-out."""
    return own.inner(own.inner(x.relu()).sigmoid())


def _pooled(own: Any, x: Tensor) -> Tensor:
    return F.max_pool2d(own.inner(x.relu().exp()), 2)


def _weight_that_is_a_value(own: Any, x: Tensor) -> Tensor:
    x = own.inner(x.relu()).flatten(2).softmax(1)
    return x @ x.transpose(1, 2)


def _beside(own: Any, x: Tensor) -> Tensor:
    """What is decoded is put together with what is not."""
    x = own.inner(x.relu())
    return torch.cat((own.inner(x.softmax(1)), x), 1)


def _squeezed(own: Any, x: Tensor) -> Tensor:
    x = x.relu()
    return own.inner(x * own.inner(x).mean((2, 3), keepdim=True).sigmoid())


@pytest.mark.parametrize("fn", [_shared, _pooled, _weight_that_is_a_value, _beside, _squeezed])
def test_other_tails_convert(fn: Callable[[Any, Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    model, x = Tail(fn).eval(), torch.rand(5, 2, 6, 6)
    network = sw.convert(model, T=14, calibration=x, scale=sw.Max())
    assert sw.verify(network, x).agrees
    with torch.no_grad():
        torch.testing.assert_close(network(x), model(x), rtol=2e-3, atol=2e-3)
    assert sw.evaluate(network, x, reference=model).lengths[-1].macs > 0
    again = sw.network.SpikingNetwork.__reduce__(network)
    assert torch.equal(again[0](*again[1])(x), network(x))


def test_products_with_padding_are_no_work() -> None:
    model = Tail(lambda own, x: own.inner(own.inner(x.relu()).softmax(1))).eval()
    x = torch.rand(2, 2, 6, 6)
    (note,) = (
        r.note
        for r in sw.inspect(model, x).rows
        if r.note.endswith("multiply-adds") and "read" in r.note
    )
    windows = (3 * 6 - 2) ** 2  # along each axis the two outermost windows lack a row
    assert note == f"behind the read-out: {4 * 4 * windows:,} multiply-adds"


@pytest.mark.parametrize(
    "fn",
    [
        lambda own, x: own.inner(x.relu().softmax(1)).relu(),
        lambda own, x: own.inner(x.relu().softmax(1)).clamp(-1.0, 1.0),
        lambda own, x: own.inner(own.inner(x.relu().softmax(1)).relu()),
    ],
    ids=["ReLU at the end", "clip at the end", "ReLU between"],
)
def test_with_neurons_behind_it_it_is_a_function(fn: Callable[[Any, Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    model, x = Tail(fn).eval(), torch.rand(5, 2, 6, 6)
    network = sw.convert(model, T=14, calibration=x, scale=sw.Max())
    assert not tail_macs(network.graph)
    assert sw.verify(network, x).agrees
    with torch.no_grad():
        torch.testing.assert_close(network(x), model(x), rtol=2e-3, atol=2e-3)


def test_without_neurons_in_front_it_is_refused() -> None:
    model = Tail(lambda own, x: own.inner(x.softmax(1)))
    with pytest.raises(UnsupportedModuleError, match=r"at least one activation that can spike"):
        sw.convert(model.eval(), calibration=torch.rand(4, 2, 6, 6))
