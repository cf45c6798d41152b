# SPDX-License-Identifier: Apache-2.0
"""Sites: every spelling of an activation, relays, and everything refused in one error."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.graph import capture, find_activations, ops, place_sites, simplify
from spikewright.graph.ir import Graph
from tests.property.random_nets import Call
from tests.unit.graph.spellings import check_equal


def between(act: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 6), act, nn.Linear(6, 3)).eval()


def becomes(model: nn.Module, x: Tensor, **options: object) -> list[str]:
    return [row.becomes for row in sw.inspect(model, x, **options).rows]


@pytest.mark.parametrize(
    "model", [nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 3), nn.Sigmoid()), nn.Flatten()]
)
def test_nothing_to_convert_is_an_error(model: nn.Module) -> None:
    found = sw.inspect(model, torch.rand(2, 4))
    assert not found.is_convertible
    assert "at least one activation that can spike" in found.reason
    with pytest.raises(UnsupportedModuleError, match="at least one activation that can spike"):
        sw.convert(model, calibration=torch.rand(2, 4))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).relu()
        x = self.attention(x, x, x, need_weights=False)[0]
        return self.out(x).relu()


class Zoo(nn.Module):
    """Three activations that no method takes, and three that it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(7))
        self.acts = nn.ModuleList(
            [Call(torch.sign, ""), Call(torch.floor, ""), nn.GELU(), nn.ReLU(), nn.LeakyReLU()]
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer, act in zip(self.layers, self.acts, strict=False):
            x = act(layer(x))
        x = F.hardshrink(self.layers[5](x))
        return self.layers[6](x).relu()


def test_every_operator_that_is_refused_is_named_with_module_and_line() -> None:
    model, x = Zoo().eval(), torch.rand(2, 4)
    found = sw.inspect(model, x)
    refused = [r for r in found.rows if r.becomes == "refused"]
    assert [(r.module, r.operator) for r in refused] == [
        ("acts.0", "sign"),
        ("acts.1", "floor"),
        ("", "hardshrink"),
    ]
    assert all(re.fullmatch(r"\w+\.py:\d+", r.source) for r in refused)
    assert not found.is_convertible
    with pytest.raises(UnsupportedModuleError) as error:
        sw.convert(model, calibration=x)
    for row in refused:
        assert row.operator in str(error.value)
        assert f"{row.module or 'the model itself'} ({row.source})" in str(error.value)
    assert "got 3 operator(s)" in str(error.value)


def test_attention_is_refused_by_its_module_path_where_spikes_do_not_wait() -> None:
    model, x = Attention().eval(), torch.rand(2, 5, 4)
    rows = [r for r in sw.inspect(model, x).rows if r.becomes in ("product", "register")]
    assert [r.becomes for r in rows].count("product") == 2
    assert sw.verify(sw.convert(model, calibration=x, T=8), x).agrees
    said = r"rueckauer does not take \(.*product of two values.*\n  attention"
    with pytest.raises(UnsupportedModuleError, match=said):
        sw.convert(model, "rueckauer", calibration=x)


ACTS: dict[str, tuple[Callable[[], nn.Module], float | None]] = {
    "nn.ReLU": (nn.ReLU, None),
    "nn.ReLU in place": (lambda: nn.ReLU(inplace=True), None),
    "F.relu": (lambda: Call(F.relu, ""), None),
    "F.relu in place": (lambda: Call(lambda x: F.relu(x, inplace=True), ""), None),
    "F.relu_": (lambda: Call(lambda x: F.relu_(x), ""), None),
    "torch.relu": (lambda: Call(torch.relu, ""), None),
    "method": (lambda: Call(lambda x: x.relu(), ""), None),
    "method in place": (lambda: Call(lambda x: x.relu_(), ""), None),
    "in place on a view": (lambda: Call(lambda x: (x.view(-1, 6).relu_(), x)[1], ""), None),
    "clamp min": (lambda: Call(lambda x: x.clamp(min=0), ""), None),
    "clamp_min": (lambda: Call(lambda x: torch.clamp_min(x, 0.0), ""), None),
    "F.threshold": (lambda: Call(lambda x: F.threshold(x, 0.0, 0.0), ""), None),
    "nn.Threshold": (lambda: nn.Threshold(0.0, 0.0), None),
    "torch.maximum": (lambda: Call(lambda x: torch.maximum(x, torch.tensor(0.0)), ""), None),
    "torch.max": (lambda: Call(lambda x: torch.max(x, torch.zeros(6)), ""), None),
    "nn.ReLU6": (nn.ReLU6, 6.0),
    "F.relu6": (lambda: Call(F.relu6, ""), 6.0),
    "F.hardtanh": (lambda: Call(lambda x: F.hardtanh(x, 0.0, 2.0), ""), 2.0),
    "clamp": (lambda: Call(lambda x: x.clamp(0, 1), ""), 1.0),
    "clamp in place": (lambda: Call(lambda x: x.clamp_(0, 1), ""), 1.0),
    "relu and clamp": (lambda: Call(lambda x: x.relu().clamp(max=3), ""), 3.0),
    "clip of clip": (lambda: Call(lambda x: F.relu6(x).clamp(0, 4), ""), 4.0),
}


@pytest.mark.parametrize("spelling", ACTS)
def test_every_spelling_of_relu_becomes_neurons(spelling: str) -> None:
    make, cap = ACTS[spelling]
    model, x = between(make()), torch.randn(64, 4) * 4
    network = sw.convert(model, calibration=x, T=12, scale=sw.Max())
    (site,) = network.spiking_nodes()
    assert site.op == ops.RECTIFY
    assert site.kwargs["cap"] == cap
    with torch.no_grad():
        torch.testing.assert_close(
            sw.api.simulate(network, x), model(x.clone()), rtol=0.0, atol=0.02
        )


def test_chains_of_no_ops_vanish() -> None:
    quiet = nn.Sequential(nn.Dropout(), nn.Identity(), nn.Dropout(), Call(lambda x: x.clone(), ""))
    acts = [quiet, nn.ReLU(), quiet, Call(lambda x: x.clone().contiguous().view(-1, 6), "")]
    model = nn.Sequential(nn.Linear(4, 6), *acts, nn.Linear(6, 3)).eval()
    network = sw.convert(model, calibration=torch.randn(16, 4), T=4)
    assert len(network.graph.nodes) == 5


def test_a_symmetric_clip_becomes_a_pair() -> None:
    model = between(nn.Hardtanh())
    assert becomes(model, torch.rand(2, 4)) == ["synapses", "relay", "synapses", "read-out"]


class Functional(nn.Module):
    """All activations are ``F.relu``; no module of this kind exists anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1)])
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.relu(conv(x))
        return self.out(F.max_pool2d(x, 2).mean((2, 3)))


def test_a_network_of_functional_relus_converts_fully() -> None:
    found = becomes(Functional(), torch.rand(2, 1, 8, 8))
    assert found.count("spiking") == 3
    assert found.count("gate") == 1
    assert "analog" not in found
    assert "relay" not in found


def test_a_shared_module_gives_a_site_for_each_call() -> None:
    act = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 4), act, nn.Linear(4, 4), act, nn.Linear(4, 2))
    assert becomes(model, torch.rand(2, 4)).count("spiking") == 2


class Bottleneck(nn.Module):
    """MobileNetV2's block: expand, depthwise, project without activation, residual."""

    def __init__(self, c: int = 4) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(c, 8, 1), nn.BatchNorm2d(8), nn.ReLU6())
        self.depth = nn.Sequential(
            nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.ReLU6()
        )
        self.project = nn.Sequential(nn.Conv2d(8, c, 1), nn.BatchNorm2d(c))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(self.depth(self.expand(x)))


def mobile() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU6(), Bottleneck(), Bottleneck(), nn.Flatten(), nn.Linear(64, 3)
    ).eval()


def test_only_spikes_travel_between_weighted_layers() -> None:
    x = torch.rand(8, 3, 6, 6)
    rows = sw.inspect(mobile(), x).rows
    assert [r.module for r in rows if r.becomes == "relay"] == ["2", "3"]
    fed = [r.note for r in rows if r.becomes == "synapses"]
    assert fed == ["analog input: multiply-adds"] + ["additions only"] * 7
    result = sw.evaluate(sw.convert(mobile(), calibration=x, T=4), x)
    macs = {n.name: n.analog_macs for n in result.lengths[0].layers if n.analog_macs}
    assert macs == {"0": 4 * 4 * 4 * 27}


def test_a_relay_left_analog_costs_multiply_adds_and_says_so() -> None:
    x = torch.rand(8, 3, 6, 6)
    rows = sw.inspect(mobile(), x, analog_relays=["2"]).rows
    left = [r for r in rows if "relay left analog" in r.note]
    assert [(r.module, r.becomes) for r in left] == [("2", "analog")]
    fed = {r.module: r.note for r in rows if r.becomes == "synapses"}
    assert fed["3.expand.0"] == "analog input: multiply-adds"
    assert fed["3.depth.0"] == "additions only"
    network = sw.convert(mobile(), calibration=x, T=4, analog_relays=["2"])
    assert sw.api.verify(network, x[:4]).agrees
    layers = {n.name: n for n in sw.evaluate(network, x).lengths[0].layers}
    assert layers["3.expand.0"].analog_macs == 16 * 4 * 8
    assert layers["3.expand.0"].additions == 0
    assert layers["3.depth.0"].analog_macs == 0
    assert layers["3.depth.0"].additions > 0


def test_relays_are_chosen_by_pattern_or_all() -> None:
    x = torch.rand(2, 3, 6, 6)
    assert becomes(mobile(), x, analog_relays=["re:[23]"]).count("relay") == 0
    assert becomes(mobile(), x, analog_relays=["all"]).count("analog") == 2
    with pytest.raises(ConfigError, match=r"got \['nope'\] which match none.*2, 3"):
        sw.inspect(mobile(), x, analog_relays=["nope"])


def test_analog_work_is_taken_before_the_spikes_and_behind_the_read_out_only() -> None:
    model = nn.Sequential(
        Call(torch.tanh, "tanh"), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3), nn.Softmax(1)
    ).eval()
    x = torch.randn(64, 4)
    found = [(r.operator, r.becomes, r.note) for r in sw.inspect(model, x).rows]
    assert ("Tanh", "analog", "before the spikes") in found
    assert ("Softmax", "analog", "behind the read-out") in found
    network = sw.convert(model, calibration=x, T=12, scale=sw.Max())
    with torch.no_grad():
        torch.testing.assert_close(sw.api.simulate(network, x), model(x), rtol=0.0, atol=0.01)


def test_the_table_opens_with_the_verdict() -> None:
    assert sw.inspect(between(nn.ReLU()), torch.rand(2, 4)).table().startswith("convertible\n")
    text = sw.inspect(between(Call(torch.sign, "")), torch.rand(2, 4)).table()
    assert text.startswith("not convertible: 1 operator(s) cannot be taken: 1 (")
    found = sw.inspect(between(Call(torch.sign, "")), torch.rand(2, 4))
    assert found.to_dict()["convertible"] is False


class Returned(nn.Module):
    """Returns a value and the last neurons behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.last(self.first(x).relu())
        return y, y.relu()


def test_the_last_neurons_read_the_value_that_is_returned_not_its_read_out() -> None:
    torch.manual_seed(0)
    model, x = Returned().eval(), torch.randn(32, 4)
    network = sw.convert(model, calibration=x, T=12)
    last = [n for n in network.graph if n.op == ops.RECTIFY][-1]
    assert not any(network.graph[i].op == ops.READOUT for i in network.graph.ancestors([last.name]))
    assert sw.verify(network, x[:4]).agrees
    for own, other in zip(network(x), model(x), strict=True):
        torch.testing.assert_close(own, other.detach(), rtol=0.01, atol=0.01)


def placed(model: nn.Module, x: Tensor, **options: Any) -> Graph:
    return place_sites(find_activations(simplify(capture(model.eval(), x))), **options)


def kinds(graph: Graph) -> list[str]:
    return [ops.kind(n) for n in graph]


class Joined(nn.Module):
    """Two layers of pictures, joined by a function, and a layer that reads all of it."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.two, self.join = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), join
        with torch.no_grad():
            size = join(torch.rand(1, 4, 6, 6), torch.rand(1, 4, 6, 6)).numel()
        self.last = nn.Linear(size, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.join(self.one(x), self.two(x)).flatten(1))
        return y


def test_a_value_is_read_beside_the_pool_that_is_rectified() -> None:
    def join(a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([F.max_pool2d(a, 2).relu().flatten(1), (a + b).relu().flatten(1)], 1)

    graph = check_equal(Joined(join), torch.randn(24, 3, 6, 6))
    pool = next(n for n in graph if ops.kind(n) == "pool")
    assert graph[pool.inputs[0]].op == ops.RECTIFY


@pytest.mark.parametrize("cap", [None, 6.0])
def test_what_is_rectified_twice_and_read_in_between_is_one_population(cap: float | None) -> None:
    def join(a: Tensor, b: Tensor) -> Tensor:
        y = a.clamp(0, cap)
        return torch.cat([y.flatten(1), y.clamp(0, cap).flatten(2).mean(2)], 1)

    graph = placed(Joined(join), torch.randn(2, 3, 6, 6))
    assert kinds(graph).count("site") == 2  # with the read-out
    assert {"cap": cap} in [n.kwargs for n in graph]


def test_a_pool_of_joined_populations_is_one_for_each() -> None:
    def join(a: Tensor, b: Tensor) -> Tensor:
        return F.max_pool2d(torch.cat([a.relu(), b.relu()], 1), 2)

    model, x = Joined(join), torch.randn(24, 3, 6, 6)
    graph = placed(model, x)
    assert kinds(graph).count("pool") == 2
    assert ops.RELAY not in [n.op for n in graph]
    check_equal(model, x)


def test_a_maximum_of_two_populations_waits_for_a_relay() -> None:
    def join(a: Tensor, b: Tensor) -> Tensor:
        return torch.stack([a.relu(), b.relu()], 1).amax(1)

    model, x = Joined(join), torch.randn(24, 3, 6, 6)
    assert [n.op for n in placed(model, x)].count(ops.RELAY) == 1
    check_equal(model, x)


class Twice(nn.Module):
    """An input that is read as it is and, by another layer, as analog work has changed it."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.last = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last((self.one(x) + self.two(x.tanh())).relu())
        return y


def test_analog_work_reads_the_input_itself_where_spikes_enter() -> None:
    x = torch.rand(2, 4)
    graph = placed(Twice(), x, encode_input=True)
    entered = [n for n in graph if n.op == ops.INPUT_SITE]
    assert len(entered) == 2
    for node in entered:
        assert "site" not in [ops.kind(graph[i]) for i in graph.ancestors([*node.inputs])]
    assert sw.verify(sw.convert(Twice().eval(), calibration=x, T=8, input="encoded"), x).agrees


class ReadTwice(nn.Module):
    """The pooled input enters the network as it is, and turned round."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv1d(3, 2, 1), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled = F.adaptive_max_pool1d(x, 1).squeeze(2)
        both = torch.cat([pooled.relu(), (-pooled).relu()], 1)
        return self.conv(x).relu(), self.linear(both)


def test_an_encoded_value_that_analog_work_reads_as_well_stays_analog_for_it() -> None:
    model, x = ReadTwice().eval(), torch.randn(16, 3, 4)
    snn = sw.convert(model, calibration=x, T=12, input="encoded")
    assert sw.verify(snn, x[:4]).agrees
    with torch.no_grad():
        for own, other in zip(snn(x), model(x), strict=True):
            assert float((own - other).norm() / other.norm()) < 0.01


class Frames(nn.Module):
    """A pool reads spikes behind a view that needs the size of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(2, 4, 3), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x).relu().reshape(-1, x.shape[0], 4, 4, 4)
        out: Tensor = self.linear(F.max_pool2d(y[0], 2).flatten(1))
        return out


def test_a_gate_needs_no_size_of_the_input() -> None:
    model, x = Frames().eval(), torch.randn(8, 2, 6, 6)
    snn = sw.convert(model, calibration=x, T=12)
    assert not any(n.op == ops.RELAY for n in snn.graph)
    assert not any("sym_size" in n.op for n in snn.graph)
    assert sw.verify(snn, x[:3]).agrees


class AlwaysOn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.b(F.dropout(self.a(x).relu(), 0.5))
        return out


@pytest.mark.parametrize("seed", range(6))
def test_dropout_that_is_always_on_is_named_whatever_it_draws(seed: int) -> None:
    model = AlwaysOn().eval()
    torch.manual_seed(seed)
    with pytest.raises(UnsupportedModuleError, match="dropout that is always on"):
        sw.convert(model, calibration=torch.rand(32, 8))
