# SPDX-License-Identifier: Apache-2.0
"""Functions and products in whatever way a network is converted, run and looked at."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.codes import Rate
from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.graph import ops
from spikewright.methods import methods
from spikewright.network import SpikingNetwork
from spikewright.simulators import collapsed, run_pipelined
from spikewright.training.activations import QCFS
from tests.unit.simulators.functions import NETWORKS, Net, of

WAYS = {
    "functions": of(F.gelu),
    "a gate": NETWORKS["SwiGLU of two layers"],
    "attention": NETWORKS["attention behind its norm"],
}
X = torch.rand(24, 6, generator=torch.Generator().manual_seed(5), dtype=torch.float64) * 2 - 1


def net(name: str) -> nn.Module:
    return Net(WAYS[name]).double().eval()


def check(model: nn.Module, snn: SpikingNetwork, x: Tensor = X, within: float = 0.1) -> None:
    """Both simulators agree, near the model."""
    verification = sw.verify(snn, x[:8])
    assert verification.agrees, verification.table()
    with torch.no_grad():
        wanted = model(x)
    assert float((snn(x) - wanted).norm() / wanted.norm()) < within


@pytest.mark.parametrize("membranes", [1, 2])
@pytest.mark.parametrize("name", WAYS)
def test_inputs_in_flight_get_the_outputs_of_runs_by_themselves(name: str, membranes: int) -> None:
    snn = sw.convert(net(name), T=5, calibration=X)
    run = run_pipelined(snn, list(X.split(6)), membranes=membranes)
    torch.testing.assert_close(torch.cat([y for (y,) in run.outputs]), snn(X))


@pytest.mark.parametrize("name", WAYS)
def test_a_batch_in_parts_gives_what_it_gives_whole(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    snn = sw.convert(net(name), T=5, calibration=X)
    whole = snn(X)
    monkeypatch.setattr(collapsed, "PART_ELEMENTS", 20)
    run = collapsed.Collapsed(snn)
    assert len(run.split(X)) > 3
    torch.testing.assert_close(run(X)[0], whole)


@pytest.mark.parametrize(
    "options",
    [
        {"input": "encoded"},
        {"rounding": False},
        {"per_channel": False},
        {"prepare": "auto"},
        {"method": "tsc", "T": 64},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", WAYS)
def test_settings_of_the_layered_methods(name: str, options: dict[str, Any]) -> None:
    model = net(name)
    check(model, sw.convert(model, calibration=X, **{"T": 6, **options}))


@pytest.mark.parametrize("method", [n for n in methods() if not methods()[n].whole_trains])
def test_methods_that_fire_while_their_input_arrives_refuse_in_one_error(method: str) -> None:
    with pytest.raises(UnsupportedModuleError) as raised:
        sw.convert(net("attention"), method, calibration=X)
    said = str(raised.value)
    for part in ("LayerNorm", "Softmax", "GELU", "product of two values", "spikeconverter or tsc"):
        assert part in said


def test_relays_stay_analog_where_no_function_or_product_needs_their_spikes() -> None:
    model = net("attention")
    snn = sw.convert(model, T=6, calibration=X, analog_relays=("all",))
    assert any(n.op == ops.ANALOG_RELAY for n in snn.graph)
    check(model, snn)
    with pytest.raises(ConfigError, match=r"\['all'\] which match none.*may stay analog: none\."):
        sw.convert(net("functions"), T=6, calibration=X, analog_relays=("all",))


@pytest.mark.parametrize("name", WAYS)
def test_populations_may_have_codes_of_their_own(name: str, tmp_path: Path) -> None:
    """Every second one counts spikes; a unit stays what it is."""
    model = net(name)
    snn = sw.convert(model, T=4, calibration=X)
    sites, last = dict(snn.sites), snn.spiking_nodes()[1::2]
    for node in last:
        sites[node.name] = dataclasses.replace(sites[node.name], code=Rate(T=15), neuron="encoder")
    mixed = dataclasses.replace(snn, sites=sites)
    assert mixed.timing().latency_ticks > snn.timing().latency_ticks
    torch.testing.assert_close(mixed(X), snn(X))  # rates of 15 steps and 4 bits count as far
    check(model, mixed, within=0.2)
    mixed.save(tmp_path / "snn")
    assert torch.equal(sw.load(tmp_path / "snn")(X), mixed(X))


class Stairs(nn.Module):
    """Trained levels in front of a norm and behind a smooth activation."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.levels, self.more, self.norm = QCFS(8, 2.0), QCFS(15, 1.5), nn.LayerNorm(8)

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.norm(self.levels(self.a(x))))
        return self.c(self.more(self.b(y)))


def test_trained_levels_are_sent_as_they_are_beside_functions() -> None:
    model = Stairs().double().eval()
    snn = sw.convert(model, T=12, calibration=X)
    functions = [snn.sites[n.name].function.name for n in snn.spiking_nodes()]
    assert functions == ["staircase", "identity", "staircase"]
    check(model, snn, within=1e-2)


@pytest.mark.parametrize("name", WAYS)
def test_diagnosis_ends_with_the_error_of_the_outputs(name: str) -> None:
    model = net(name)
    snn = sw.convert(model, T=6, calibration=X)
    found = sw.diagnose(snn, [X])
    assert {layer.name for layer in found.layers} >= {n.name for n in snn.spiking_nodes()}
    with torch.no_grad():
        wanted = model(X)
    error = float((snn(X) - wanted).square().sum())
    assert found.layers[-1].error.squared == pytest.approx(error, rel=1e-3)


class LastWord(nn.Module):
    """What is read at the last word of each text, in front of a layer or behind it."""

    def __init__(self, inside: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.a, self.b = nn.Embedding(20, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.inside = inside

    def forward(self, ids: Tensor) -> Tensor:
        y, last = F.gelu(self.a(self.words(ids))), (ids != 0).sum(1) - 1
        if self.inside:
            return self.b(y[torch.arange(ids.shape[0]), last])
        return self.b(y)[torch.arange(ids.shape[0]), last]


@pytest.mark.parametrize("inside", [True, False])
def test_the_input_may_say_which_elements_go_on(inside: bool, tmp_path: Path) -> None:
    ids = torch.randint(1, 20, (16, 6), generator=torch.Generator().manual_seed(1))
    ids[::3, 4:] = 0
    model = LastWord(inside).eval()
    snn = sw.convert(model, T=12, calibration=[ids])
    assert sw.verify(snn, ids).agrees
    snn.save(tmp_path / "snn")
    for x in (ids, ids[:5], ids[:1]):
        with torch.no_grad():
            torch.testing.assert_close(sw.load(tmp_path / "snn")(x), model(x), rtol=0, atol=5e-3)


def test_inputs_by_name_are_verified_simulated_and_limited() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor, gate: Tensor) -> Tensor:
            return self.b(F.relu(self.a(x)) * torch.sigmoid(self.a(gate)))

    torch.manual_seed(0)
    given = {"gate": X.flip(0), "x": X}
    snn = sw.convert(Two().double().eval(), T=6, calibration=[given])
    assert sw.verify(snn, given).agrees
    torch.testing.assert_close(sw.simulate(snn, given), snn(X, X.flip(0)))
    few = {k: v[:5] for k, v in given.items()}
    run = run_pipelined(snn, [few])
    torch.testing.assert_close(run.outputs[0][0], snn(**few))
    limited = sw.evaluate(snn, [given], limit=5).lengths[0]
    assert limited.samples == 5
    assert limited.to_dict() == sw.evaluate(snn, [few]).lengths[0].to_dict()
