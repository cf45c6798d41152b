# SPDX-License-Identifier: Apache-2.0
"""The equality law between a captured graph and what the passes make of it."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.errors import VerificationError
from spikewright.graph import capture, find_activations, normalise, ops, simplify
from spikewright.graph.equality import check_rewritten

DATA = 3.0 * torch.randn(8, 4, generator=torch.Generator().manual_seed(0))


class Returning(nn.Module):
    """Returns a value that a later operator would otherwise be merged with."""

    def __init__(self, normalised: bool) -> None:
        super().__init__()
        self.linear, self.out = nn.Linear(4, 4), nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(4)
        self.norm.running_var.fill_(0.2)
        self.normalised = normalised

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.linear(x)
        first = x if self.normalised else x.relu()
        second = self.norm(first).relu() if self.normalised else first.clamp(0.0, 0.25)
        return first, self.out(second)


@pytest.mark.parametrize("normalised", [False, True], ids=["clip", "batch norm"])
@pytest.mark.parametrize(("method", "T"), [("spikeconverter", 16), ("burst", 64)])
def test_a_value_that_is_returned_is_not_changed_with_its_only_reader(
    normalised: bool, method: str, T: int
) -> None:
    model = Returning(normalised).eval()
    snn = sw.convert(model, calibration=DATA, method=method, T=T)
    with torch.no_grad():
        wanted = model(DATA)
    for own, other in zip(snn(DATA), wanted, strict=True):
        assert float((own - other).norm() / other.norm()) < 0.05


def test_a_returned_activation_that_a_pass_has_changed_is_named() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3), nn.ReLU()).eval()
    raw = capture(model, DATA)
    found = find_activations(simplify(raw))
    with torch.no_grad():
        results = (model(DATA),)
    assert check_rewritten(raw, found, (DATA,), results) < 1e-5
    (site,) = (n for n in found if n.name in found.outputs)
    assert site.op == ops.RECTIFY
    found.update(dataclasses.replace(site, kwargs={**site.kwargs, "cap": 0.01}))
    with pytest.raises(VerificationError, match=rf"^3 .*\({site.name}\)"):
        check_rewritten(raw, found, (DATA,), results)


class Nothing(nn.Module):
    """What is returned cancels to nothing, in parts that are put together again."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor([0.3, 1.7, 0.9, 2.1]))

    def forward(self, x: Tensor) -> Tensor:
        y = x.relu() + self.shift
        return torch.stack((y.relu() - y).unbind(1), 1)


def test_values_that_cancel_are_measured_by_what_their_parts_are_made_of() -> None:
    snn = sw.convert(Nothing().eval(), calibration=DATA, T=14)
    assert float(snn(DATA).abs().max()) < 1e-2


@pytest.mark.parametrize("layer", ["0", "2"])
@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_a_wrong_weight_is_seen_in_any_unit(unit: float, layer: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 3, bias=False)
    ).eval()
    x = unit * torch.rand(5, 4)
    raw = capture(model, x)
    graph = find_activations(simplify(raw))
    with torch.no_grad():
        wanted = [model(x)]
    assert check_rewritten(raw, graph, [x], wanted) < 1e-5
    node = next(n for n in graph if n.module == layer and n.op == "aten.linear.default")
    wrong = graph.fresh_param("wrong", graph.params[node.args[1].name] * 1.01)
    graph.update(dataclasses.replace(node, args=(node.args[0], wrong, *node.args[2:])))
    with pytest.raises(VerificationError, match=rf"^{layer} .*got a difference of 0\.0"):
        check_rewritten(raw, graph, [x], wanted)


class Masked(nn.Module):
    """Attention of tokens to those before them, and a layer behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 12), nn.Linear(4, 4)
        self.register_buffer("gains", torch.tensor([[1.0], [-1.0], [0.5]]))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.first(x.unsqueeze(1) * self.gains).chunk(3, -1)
        y: Tensor = self.last(F.scaled_dot_product_attention(q, k, v, is_causal=True))
        return y


def test_scores_that_are_masked_hide_no_wrong_weight() -> None:
    model = Masked().eval()
    raw = capture(model, DATA)
    graph = find_activations(normalise(simplify(raw)))
    with torch.no_grad():
        wanted = [model(DATA)]
    assert check_rewritten(raw, graph, [DATA], wanted) < 1e-5
    node = next(n for n in graph if n.module == "last" and n.op == "aten.linear.default")
    wrong = graph.fresh_param("wrong", graph.params[node.args[1].name] * 1.01)
    graph.update(dataclasses.replace(node, args=(node.args[0], wrong, *node.args[2:])))
    with pytest.raises(VerificationError, match=r"got a difference of 0\.0"):
        check_rewritten(raw, graph, [DATA], wanted)
