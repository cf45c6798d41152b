# SPDX-License-Identifier: Apache-2.0
"""Networks prepared for short trains: what changes, what does not, and what is said of it."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import Max
from spikewright.errors import ConfigError, UnknownNameError
from spikewright.methods import Prepared, configure
from spikewright.preparation import (
    Bias,
    Reconstruct,
    Refit,
    Scales,
    Step,
    preparation_of,
    steps,
    walk,
)
from spikewright.preparation.views import LayerView


class Residual(nn.Module):
    """A shortcut, a grouped layer, a depthwise one, a layer without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.second = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.third = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.last = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        x = (self.third(self.second(x).relu()) + x).relu()
        return self.last(x.mean((2, 3)))


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return Residual().eval()


@pytest.fixture(scope="module")
def prepared(model: nn.Module) -> Prepared:
    return sw.calibrate(model, _inputs(256, 1))


def _inputs(count: int, seed: int) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def _error(model: nn.Module, snn: sw.SpikingNetwork, x: Tensor) -> float:
    with torch.no_grad():
        wanted = model(x)
    return float((snn(x) - wanted).square().sum() / wanted.square().sum())


METHODS = {
    "spikeconverter": {"T": 2},
    "spikeconverter, k = 1.5, one scale a layer": {"T": 4, "k": 1.5, "per_channel": False},
    "spikeconverter, encoded input": {"T": 2, "input": "encoded"},
    "tsc": {"T": 6},
    "casc": {"T": 4, "per_channel": True},
}


@pytest.mark.parametrize("step", ["bias", "refit"])
@pytest.mark.parametrize("method", METHODS)
def test_every_step_reduces_the_error_on_inputs_not_seen(
    model: nn.Module, prepared: Prepared, method: str, step: str
) -> None:
    name, options, x = method.split(",")[0], METHODS[method], _inputs(256, 2)
    plain = sw.convert(prepared, name, **options)
    snn = sw.convert(prepared, name, prepare=step, **options)
    assert _error(model, snn, x) < 0.95 * _error(model, plain, x)


def test_simulators_agree_and_the_law_holds_before_and_after(prepared: Prepared) -> None:
    snn = sw.convert(prepared, T=3, prepare="refit")
    found = sw.verify(snn, _inputs(4, 3))
    assert found.agrees
    assert "equal with exact neurons before its weights were changed on purpose (refit)" in (
        found.table()
    )
    for law in ("equality", "equality_prepared"):
        assert snn.provenance[law]["difference"] < 1e-4


def test_the_law_is_broken_by_a_weight_that_no_step_has_changed(prepared: Prepared) -> None:
    snn = sw.convert(prepared, T=3, prepare="bias")
    graph = snn.graph.copy()
    name = next(n.args[1].name for n in graph if n.op == "aten.conv2d.default")
    graph.params[name] = graph.params[name] * 1.01
    found = sw.verify(dataclasses.replace(snn, graph=graph), _inputs(4, 3))
    assert "NOT EQUAL: after preparation (bias)" in found.table()


def test_what_was_done_is_in_the_summary_the_history_and_the_file(
    prepared: Prepared, tmp_path: object
) -> None:
    snn = sw.convert(prepared, T=3, prepare=["bias", Refit(ridges=(0.1,))])
    assert "prepared    bias, refit, on 256 calibration inputs without labels" in snn.summary()
    history = snn.provenance["preparation"]
    assert history["steps"][1]["ridges"] == (0.1,)
    assert sum(history["report"]["bias"].values()) == 8 + 8 + 5
    path = f"{tmp_path}/snn.safetensors"
    snn.save(path)
    again = sw.load(path)
    assert again.prepared_by == ("bias", "refit")
    assert "it was read from a file" in sw.verify(again, _inputs(2, 3)).table()


def test_other_lengths_are_prepared_again(model: nn.Module, prepared: Prepared) -> None:
    snn = sw.convert(prepared, T=2, prepare="bias")
    result = sw.evaluate(snn, _inputs(32, 4), reference=model, code_lengths=[2, 3])
    alone = sw.evaluate(sw.convert(prepared, T=3, prepare="bias"), _inputs(32, 4), reference=model)
    assert result.at(3).agreement() == alone.at(3).agreement()


def test_nothing_is_changed_by_none_and_the_model_never_is(
    model: nn.Module, prepared: Prepared
) -> None:
    before = {n: t.clone() for n, t in model.state_dict().items()}
    plain, snn = sw.convert(prepared, T=3), sw.convert(prepared, T=3, prepare="refit")
    again = sw.convert(prepared, T=3, prepare="none")
    assert plain.prepared_by == ()
    assert snn.prepared_by == ("refit",)
    assert all(torch.equal(t, again.graph.params[n]) for n, t in plain.graph.params.items())
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_a_diagnosis_of_a_prepared_network_is_against_the_model(prepared: Prepared) -> None:
    plain, snn = sw.convert(prepared, T=2), sw.convert(prepared, T=2, prepare="refit")
    x = _inputs(32, 5)
    assert sw.diagnose(snn, x).output.relative_error < sw.diagnose(plain, x).output.relative_error


@pytest.mark.parametrize("step", [Bias(), Refit(), Reconstruct(), Scales()])
def test_steps_say_themselves_and_are_found(step: object) -> None:
    cls = steps()[step.name]  # type: ignore[attr-defined]
    assert cls.from_dict(step.to_dict()) == step  # type: ignore[attr-defined]
    config = configure("spikeconverter", T=4, prepare=[step])
    assert type(config).from_dict(config.to_dict()) == config


def test_what_is_no_preparation_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"preparation.*'bais'.*bias"):
        preparation_of("bais")
    with pytest.raises(ConfigError, match="expected 'none', 'auto' or steps, got 3"):
        preparation_of(3)
    with pytest.raises(ConfigError, match="expected each step once, got bias, bias"):
        preparation_of(["bias", Bias()])
    with pytest.raises(ConfigError, match="refit: expected ridges above 0"):
        Refit(ridges=(0.0,))
    with pytest.raises(ConfigError, match="prepare"):
        sw.convert(nn.ReLU(), "rmp", prepare="bias", calibration=torch.rand(2, 3))


def test_equalised_layers_send_the_same_trains_where_each_channel_has_its_scale() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    equalised = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    gain = 2.0 ** torch.arange(-4, 4)  # of two, so that rounding is the same
    with torch.no_grad():
        equalised[0].weight.copy_(plain[0].weight * gain[:, None])
        equalised[0].bias.copy_(plain[0].bias * gain)
        equalised[2].weight.copy_(plain[2].weight / gain)
        equalised[2].bias.copy_(plain[2].bias)
    x = torch.randn(64, 6)
    one, two = (sw.convert(m, T=3, calibration=x) for m in (plain, equalised))
    assert torch.equal(one(x), two(x))


@pytest.mark.parametrize("layers", [1, 2, 99])
def test_reconstruction_reduces_the_error_on_inputs_not_seen(
    model: nn.Module, prepared: Prepared, layers: int
) -> None:
    x, plain = _inputs(256, 2), sw.convert(prepared, T=2)
    snn = sw.convert(prepared, T=2, prepare=Reconstruct(layers=layers, steps=60))
    assert snn.provenance["preparation"]["report"]["reconstruct"]["blocks changed"] >= 1
    assert _error(model, snn, x) < 0.9 * _error(model, plain, x)
    assert sw.verify(snn, x[:4]).agrees


def test_scales_are_refined_against_the_layers_behind(model: nn.Module, prepared: Prepared) -> None:
    coarse, sites = Max(), sw.convert(prepared, T=2, scale=Max()).sites
    one = sw.convert(prepared, T=2, scale=coarse, prepare="refit")
    two = sw.convert(prepared, T=2, scale=coarse, prepare=["refit", "scales"])
    changed = [n for n, s in two.sites.items() if not torch.equal(s.scale, sites[n].scale)]
    assert len(changed) == two.provenance["preparation"]["report"]["scales"]["changed"]
    x = _inputs(256, 2)
    assert _error(model, two, x) < 0.9 * _error(model, one, x)


def test_scales_that_only_a_read_out_reads_are_judged_by_it() -> None:
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(2)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(6, 6, 1), nn.ReLU(), Mean()).eval()
    x = torch.randn(256, 6, 9) ** 3
    prepared = sw.calibrate(model, x)
    plain = sw.convert(prepared, T=2, scale=Max())
    snn = sw.convert(prepared, T=2, scale=Max(), prepare="scales")
    assert snn.provenance["preparation"]["report"]["scales"] == {"changed": 1}
    assert _error(model, snn, x) < 0.9 * _error(model, plain, x)


def test_a_dead_channel_and_few_inputs_change_nothing_for_the_worse(model: nn.Module) -> None:
    dead = Residual()
    dead.load_state_dict(model.state_dict())
    with torch.no_grad():
        dead.second.weight[3], dead.second.bias[3] = 0.0, -1.0
    prepared, x = sw.calibrate(dead.eval(), _inputs(16, 1)), _inputs(256, 2)
    plain = _error(dead, sw.convert(prepared, T=3), x)
    for step in ("bias", "refit", "scales"):
        snn = sw.convert(prepared, T=3, prepare=step)
        assert _error(dead, snn, x) <= 1.05 * plain


@pytest.mark.parametrize("step", ["bias", "refit", "scales"])
@pytest.mark.parametrize("given", ["dark", "bright", "few"])
def test_calibration_inputs_of_another_kind_make_nothing_worse(
    model: nn.Module, given: str, step: str
) -> None:
    """On the right inputs no step costs more than a twentieth of the error that is there plain."""
    x = _inputs(256, 1)
    wrong = {"dark": x / 4.0, "bright": 2.0 * x + 1.0, "few": x[:8]}[given]
    prepared, x = sw.calibrate(model, wrong), _inputs(256, 2)
    plain = _error(model, sw.convert(prepared, T=3), x)
    assert _error(model, sw.convert(prepared, T=3, prepare=step), x) <= 1.05 * plain


def test_what_no_held_out_input_likes_is_not_done(model: nn.Module) -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Harm(Step):
        name = "harm"

        def at_layer(self, view: LayerView) -> None:
            view.change(None, torch.ones(view.weight.shape[0]))

    prepared = sw.calibrate(model, _inputs(32, 1))
    plain, snn = sw.convert(prepared, T=3), sw.convert(prepared, T=3, prepare=Harm())
    x = _inputs(8, 2)
    assert torch.equal(plain(x), snn(x))
    assert snn.prepared_by == ()
    assert "prepared    no, on 32 calibration inputs without labels" in snn.summary()
    assert "none: outputs differ on 8 inputs held out by none" in snn.summary()


@pytest.mark.parametrize("way", ["bias", "refit", "reconstruct"])
def test_what_does_not_fit_into_memory_is_computed_again(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    step = Reconstruct(steps=4, layers=1) if way == "reconstruct" else way
    roomy = sw.convert(prepared, T=3, prepare=step)
    monkeypatch.setattr(walk, "HELD_BYTES", 0)
    tight = sw.convert(prepared, T=3, prepare=step)
    assert roomy.provenance["preparation"]["report"].keys() == {way}
    if way != "reconstruct":  # whose blocks are then as long as the network in front
        for name, tensor in roomy.graph.params.items():
            torch.testing.assert_close(tight.graph.params[name], tensor, rtol=1e-3, atol=1e-4)
    assert sw.verify(tight, _inputs(4, 3)).agrees
