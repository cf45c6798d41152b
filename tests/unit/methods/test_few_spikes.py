# SPDX-License-Identifier: Apache-2.0
"""Functions of one potential by spikes alone: what is placed, exact, counted, saved and refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.calibration import few_spikes, fit_few_spikes
from spikewright.codes import FewSpikes, Radix
from spikewright.energy import choose_models, energy_of
from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.evaluation.fixed_work import fixed_work_of
from spikewright.graph import ops
from spikewright.methods import Prepared
from spikewright.network import SpikingNetwork
from spikewright.simulators import Collapsed

SETTINGS = {"T": 6, "functions": "few-spikes"}


class Smooth(nn.Module):
    """SiLU, GELU and sigmoid of single potentials, a layer norm and a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.a, self.b, self.c = nn.Linear(48, 12), nn.Linear(12, 12), nn.Linear(12, 8)
        self.norm, self.out = nn.LayerNorm(12), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.a(F.silu(self.conv(x)).flatten(1)))
        x = self.norm(self.b(x))
        return self.out(torch.sigmoid(self.c(x)))


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    torch.manual_seed(0)
    return sw.calibrate(Smooth().eval(), torch.randn(64, 1, 6, 6))


@pytest.fixture(scope="module")
def snn(prepared: Prepared) -> SpikingNetwork:
    return sw.convert(prepared, **SETTINGS)


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.randn(20, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def curves(snn: SpikingNetwork) -> list[str]:
    return [n.kwargs["curve"] for n in snn.graph if n.op == ops.CURVE]


def test_functions_of_one_potential_are_few_spikes_populations(snn: SpikingNetwork) -> None:
    assert curves(snn) == ["silu", "gelu", "sigmoid"]
    sites = [snn.sites[n.name] for n in snn.graph if n.op == ops.CURVE]
    assert all(isinstance(s.code, FewSpikes) and s.neuron == "few-spikes" for s in sites)
    assert not any(s.signed for s in sites)
    assert {s.code.name for s in snn.sites.values()} == {"few-spikes", "radix"}


def test_functions_of_a_group_keep_their_units(snn: SpikingNetwork) -> None:
    text = snn.summary()
    assert "functions   LayerNorm, in function units" in text
    assert "few spikes  silu in 1 population: from " in text


def test_both_simulators_agree_and_the_law_holds(snn: SpikingNetwork, x: Tensor) -> None:
    found = sw.verify(snn, x)
    assert found.agrees
    assert "equal with exact neurons" in found.table()


def test_it_is_near_to_the_model_and_nearer_with_more_steps(prepared: Prepared, x: Tensor) -> None:
    torch.manual_seed(0)
    model = Smooth().eval()
    with torch.no_grad():
        wanted = model(x)
        gaps = [
            float((sw.convert(prepared, T=T, functions="few-spikes")(x) - wanted).abs().mean())
            for T in (3, 8)
        ]
    assert gaps[1] < 0.5 * gaps[0]
    assert gaps[1] < 0.05 * float(wanted.std())


def test_equal_calibrations_give_equal_neurons(prepared: Prepared, snn: SpikingNetwork) -> None:
    few_spikes._fitted.cache_clear()
    again = sw.convert(prepared, **SETTINGS)
    assert {n: s.code for n, s in again.sites.items()} == {n: s.code for n, s in snn.sites.items()}


def test_what_is_counted(snn: SpikingNetwork, x: Tensor) -> None:
    few = sw.evaluate(snn, [x], task="outputs").lengths[-1]
    ticks = sw.evaluate(snn, [x], task="outputs", simulator="reference").lengths[-1]
    assert ticks.layers == few.layers  # spikes and additions of every row
    assert ticks.spikes_per_neuron == few.spikes_per_neuron
    spikes = {r.name: r.spikes for r in few.layers}
    node = next(n for n in snn.graph if n.op == ops.CURVE)
    entered: list[Tensor] = []
    Collapsed(snn)(x, lambda name, n: entered.append(n) if name == node.name else None)
    code = snn.sites[node.name].code
    assert spikes[node.name] == int(code.count(entered[0]).sum())


def test_neurons_do_not_grow_and_receivers_weigh_what_enters(snn: SpikingNetwork) -> None:
    work = fixed_work_of(snn)
    silu, gelu = (n.name for n in snn.graph if n.op == ops.CURVE and n.kwargs["curve"] != "sigmoid")
    assert work[silu].factors == work[silu].shifts == 0  # an analog image, no growth
    assert work[gelu].factors == work[gelu].values * 6  # six weights of the steps of SiLU's trains
    assert work[silu].comparisons == work[silu].values * 6


def test_energy_models_price_no_evaluation(
    prepared: Prepared, snn: SpikingNetwork, x: Tensor
) -> None:
    unit = sw.convert(prepared, T=6)
    lengths = [sw.evaluate(s, [x], task="outputs").lengths[-1] for s in (snn, unit)]
    evaluated = sum(r.evaluated for r in lengths[0].layers)
    saved = sum(r.evaluations for r in lengths[1].layers if r.kind == "function")
    left = sum(r.evaluations for r in lengths[0].layers if r.kind == "function")
    assert evaluated == saved - left == 48 + 12 + 8  # what the original does all the same
    for model in choose_models():
        few, units = (energy_of(length, model) for length in lengths)
        assert few.snn.get("functions", 0.0) < units.snn["functions"]
        assert few.fp32["functions"] == pytest.approx(units.fp32["functions"], rel=0.05)


def test_it_is_saved_and_read_back(snn: SpikingNetwork, x: Tensor, tmp_path: Path) -> None:
    snn.save(tmp_path / "few.safetensors")
    again = sw.load(tmp_path / "few.safetensors")
    assert torch.equal(again(x), snn(x))
    assert again.summary() == snn.summary()
    torch.manual_seed(0)
    assert sw.verify(again, x, reference=Smooth().eval()).agrees


def test_diagnose_finds_their_errors(snn: SpikingNetwork, x: Tensor) -> None:
    found = sw.diagnose(snn, [x])
    assert {n.name for n in snn.graph if n.op == ops.CURVE} <= {row.name for row in found.layers}


def test_inspect_says_what_has_no_function_unit() -> None:
    model, example = Smooth().eval(), torch.randn(2, 1, 6, 6)
    few = sw.inspect(model, example, functions="few-spikes")
    unit = sw.inspect(model, example)
    assert "silu, few spikes" in few.table()
    assert few.counts()["function"] == unit.counts()["function"] - 3


@pytest.mark.parametrize(
    ("function", "curve"),
    [
        (nn.Tanh(), "tanh"),
        (nn.GELU(approximate="tanh"), "gelu-tanh"),
        (nn.ELU(0.5), "elu"),
        (nn.Softplus(beta=2.0), "softplus"),
        (nn.Hardswish(), "hardswish"),
        (nn.Mish(), "mish"),
    ],
)
def test_other_functions_with_their_settings(function: nn.Module, curve: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), function, nn.Linear(8, 2)).eval()
    x = torch.randn(64, 4)
    snn = sw.convert(model, T=4, functions="few-spikes", calibration=x)
    assert curves(snn) == [curve]
    assert sw.verify(snn, x).agrees


def test_what_stands_in_front_of_a_max_pool_keeps_its_unit() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.SiLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2)
    )
    x = torch.randn(16, 1, 6, 6)
    snn = sw.convert(model.eval(), T=4, functions="few-spikes", calibration=x)
    assert curves(snn) == []
    assert sw.verify(snn, x).agrees


def test_a_network_without_functions_is_what_it_was() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    x = torch.randn(32, 4)
    few, unit = (sw.convert(model, T=4, functions=f, calibration=x) for f in ("few-spikes", "unit"))
    assert torch.equal(few(x), unit(x))
    assert few.codes == (Radix(T=4),)


def test_a_factor_of_a_product_and_a_shortcut_may_be_few_spikes() -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Linear(4, 4) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            y = F.silu(self.a(x))
            return self.d(y * self.b(x).relu() + torch.relu(self.c(y)))

    torch.manual_seed(0)
    x = torch.randn(64, 4)
    snn = sw.convert(Gate().eval(), T=5, functions="few-spikes", calibration=x)
    assert curves(snn) == ["silu"]
    assert sw.verify(snn, x).agrees


def test_the_switch_code_takes_few_spikes_beside_it(x: Tensor, prepared: Prepared) -> None:
    snn = sw.convert(prepared, "tsc", T=8, functions="few-spikes")
    assert curves(snn) == ["silu", "gelu", "sigmoid"]
    assert sw.verify(snn, x).agrees


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"functions": "few"}, "functions: expected 'unit' or 'few-spikes'"),
        ({"T": 17}, "functions: expected T from 2 to 16"),
        ({"prepare": "auto"}, 'functions: expected prepare="none"'),
        ({"mixed": "steps"}, "functions: expected one T for all"),
        ({"spikes": 1.0}, "functions: expected one T for all"),
    ],
)
def test_settings_that_do_not_go_together(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sw.SpikeConverter(**{**SETTINGS, **wrong})


def test_integers_and_other_schedules_refuse_it(prepared: Prepared, snn: SpikingNetwork) -> None:
    with pytest.raises(ConfigError, match="few-spikes neurons"):
        snn.to_integer()
    for method in ("rueckauer", "casc"):
        with pytest.raises(UnsupportedModuleError, match="whole trains"):
            sw.convert(prepared, method)


@pytest.mark.parametrize("function", [F.silu, F.gelu, torch.sigmoid, torch.tanh])
def test_fits_are_near_and_stay_at_the_ends(function: Callable[[Tensor], Tensor]) -> None:
    fit = fit_few_spikes(function, 8, torch.linspace(-4, 4, 500))
    x = torch.linspace(-4, 4, 1001, dtype=torch.float64)
    found = fit.code.quantise_(x / fit.unit) * fit.unit
    assert float((found - function(x)).square().mean().sqrt()) < 0.06
    far = torch.tensor([-30.0, 30.0], dtype=torch.float64)
    ends = fit.code.quantise_(far / fit.unit) * fit.unit
    assert float((ends - function(far.clamp(-4.0, 4.0))).abs().max()) < 0.15
