# SPDX-License-Identifier: Apache-2.0
"""Errors of nets made by hand, whose causes are known, and the laws of the split on random nets."""

import json
import math
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings
from torch import Tensor, nn

import spikewright as sw
from spikewright.api import _original
from spikewright.diagnosis import Diagnosis, LayerDiagnosis, Part
from spikewright.diagnosis.full_scale import full_scale
from spikewright.diagnosis.split_error import split_error
from spikewright.errors import CalibrationError, ConfigError, ShapeError
from spikewright.graph import Graph, Program, ops
from spikewright.graph.activation import activate
from spikewright.network import SpikingNetwork
from spikewright.simulators import simulator
from spikewright.simulators.stages import pool_operator
from tests.property.random_nets import Net, nets


def linear(rows: list[list[float]], bias: list[float] | None = None) -> nn.Linear:
    """A layer with the given weights."""
    layer = nn.Linear(len(rows[0]), len(rows), bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows))
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias))
    return layer


def one_neuron(x: list[list[float]], calibration: Tensor, **options: Any) -> Diagnosis:
    """Diagnose a neuron of current x with soft reset, λ the largest calibration value."""
    model = nn.Sequential(linear([[1.0]]), nn.ReLU(), linear([[1.0]]))
    chosen: dict[str, Any] = {"T": 4, "scale": sw.Max(), "reset": "subtract", **options}
    snn = sw.convert(model, "rueckauer", calibration=calibration, **chosen)
    return sw.diagnose(snn, torch.tensor(x))


def sums(layer: LayerDiagnosis) -> dict[str, float]:
    """The parts that are not nothing (float32 currents leave about 1e-8)."""
    return {n: p.sum for n, p in layer.parts.items() if p.absolute > 1e-6}


# Misuse.
def small() -> tuple[nn.Module, SpikingNetwork]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    return model, sw.convert(model, "burst", T=8, calibration=torch.rand(32, 4))


def test_a_network_from_a_file_needs_its_original(tmp_path: Path) -> None:
    model, snn = small()
    snn.save(tmp_path / "snn.safetensors")
    loaded = sw.load(tmp_path / "snn.safetensors")
    with pytest.raises(ConfigError, match=r"read from a file .* Pass reference=model"):
        sw.diagnose(loaded, torch.rand(4, 4))
    x = torch.rand(4, 4)
    assert sw.diagnose(loaded, x, reference=model).layers == sw.diagnose(snn, x).layers


def test_another_model_is_refused() -> None:
    _, snn = small()
    other = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))
    with pytest.raises(ConfigError, match=r"reference: .* got one whose sites differ: .*3/relu, "):
        sw.diagnose(snn, torch.rand(4, 4), reference=other)


def test_other_weights_are_refused() -> None:
    model, snn = small()
    assert isinstance(model[0], nn.Linear)
    with torch.no_grad():
        model[0].weight[2, 1] += 0.1
    with pytest.raises(ConfigError, match=r"expected the weights .* got others: 0 .*linear"):
        sw.diagnose(snn, torch.rand(4, 4), reference=model)


def test_an_integer_network_is_refused() -> None:
    model, _ = small()
    snn = sw.convert(model, T=4, k=2.0, calibration=torch.rand(32, 4)).to_integer()
    with pytest.raises(ConfigError, match="got an integer one"):
        sw.diagnose(snn, torch.rand(4, 4), reference=model)


def test_data_that_cannot_be_used() -> None:
    _, snn = small()
    with pytest.raises(ConfigError, match="limit: expected at least 1 input, got 0"):
        sw.diagnose(snn, torch.rand(4, 4), limit=0)
    with pytest.raises(CalibrationError, match="expected at least one batch"):
        sw.diagnose(snn, [])
    with pytest.raises(CalibrationError, match="batch 1: expected finite numbers"):
        sw.diagnose(snn, [torch.rand(2, 4), torch.full((2, 4), math.nan)])
    with pytest.raises(ShapeError):
        sw.diagnose(snn, torch.rand(4, 5))
    with pytest.raises(ConfigError, match="'timefold' or 'reference'"):
        sw.diagnose(snn, torch.rand(4, 4), simulator="collapsed")


def test_diagnoses_of_two_networks_do_not_merge() -> None:
    model, snn = small()
    other = sw.convert(model, "burst", T=9, calibration=torch.rand(32, 4))
    x = torch.rand(4, 4)
    with pytest.raises(ConfigError, match="merge: expected diagnoses of one network"):
        sw.diagnose(snn, x).merge(sw.diagnose(other, x))
    with pytest.raises(ConfigError, match="layer 'rely': expected one of 1/relu, 2/"):
        sw.diagnose(snn, x).layer("rely")


# One cause each; λ = 1 and T = 4 wherever nothing else is said, so that a spike is worth 1/4.
def test_charge_that_is_left_is_residual() -> None:
    """0.6 in every step: the potential passes 1 in steps 2 and 4, so 2/4 are sent for 0.6."""
    found = one_neuron([[0.6]], torch.ones(1, 1))
    layer = found.layer("1/relu")
    assert sums(layer) == pytest.approx({"residual": -0.1})
    assert layer.error.sum == pytest.approx(-0.1)
    assert layer.mean_activity == pytest.approx(0.6)
    assert layer.relative_error == pytest.approx(0.01 / 0.36)
    assert layer.snr_db == pytest.approx(10 * math.log10(36))
    assert layer.own == pytest.approx(0.01 / 0.36)
    assert layer.own_snr_db == pytest.approx(layer.snr_db)  # nothing is inherited
    assert layer.share("residual") == layer.own
    assert layer.share_of_values("residual") == 1.0
    out = found.layers[-1]
    assert (out.kind, sums(out)) == ("output", pytest.approx({"inherited": -0.1}))
    assert (out, out.own_snr_db) == (found.output, None)
    assert out.snr_db == pytest.approx(layer.snr_db)


def test_what_a_hard_reset_loses_is_residual() -> None:
    """0.7 in every step: 1.4 in step 2 becomes 0, so 2/4 are sent; a soft reset keeps 0.4."""
    hard = one_neuron([[0.7]], torch.ones(1, 1), reset="hard")
    assert sums(hard.layer("1/relu")) == pytest.approx({"residual": -0.2})
    assert 'reset="subtract"' in hard.table()


def test_half_a_threshold_to_start_with_is_no_drive() -> None:
    """0.6 from v = 1/2: 1.1, 0.7, 1.3, 0.9, so 2/4 are sent; the drive is still 0.6."""
    found = one_neuron([[0.6], [0.4]], torch.ones(1, 1), v_init=0.5)
    assert sums(found.layer("1/relu")) == pytest.approx(
        {"residual": 0.5 - 0.6 + 0.5 - 0.4}, abs=1e-6
    )
    assert found.layer("1/relu").parts["residual"].absolute == pytest.approx(0.2)
    assert "v_init" not in found.table()


def test_a_shift_that_the_method_adds_is_no_drive() -> None:
    """θ/(2T) a step, as of threshold ReLU, is half a threshold in the end: same split as above."""
    model = nn.Sequential(linear([[1.0]]), nn.ReLU(), linear([[1.0]]))
    snn = sw.convert(model, "threshold-relu", T=4, scale=sw.Max(), calibration=torch.ones(1, 1))
    layer = sw.diagnose(snn, torch.tensor([[0.6]])).layer("1/relu")
    assert float(snn.sites["1/relu"].scale) == 1.0
    assert sums(layer) == pytest.approx({"residual": 0.5 - 0.6})  # Σ(0.6 + 1/8) = 2.9: 2 spikes


def test_values_above_the_scale_are_clipped() -> None:
    found = one_neuron([[1.0]], torch.linspace(0, 1, 101)[:, None], scale=sw.Percentile(50.0))
    layer = found.layer("1/relu")
    scale = float(layer.unit) * 4
    assert scale == pytest.approx(0.5, abs=0.02)
    assert sums(layer) == pytest.approx({"clipping": scale - 1.0})
    assert layer.share_of_values("clipping") == 1.0
    assert "a higher percentile (now 50) or scale=Max()" in found.table(width=200)


def test_bursts_clip_at_gamma_times_the_scale() -> None:
    model = nn.Sequential(linear([[1.0]]), nn.ReLU(), linear([[1.0]]))
    calibration = torch.ones(1, 1)
    snn = sw.convert(model, "burst", T=4, gamma=2, scale=sw.Max(), calibration=calibration)
    layer = sw.diagnose(snn, torch.tensor([[1.6], [3.0]])).layer("1/relu")
    assert sums(layer) == pytest.approx({"clipping": 2.0 - 3.0, "residual": 1.5 - 1.6})
    assert layer.share_of_values("clipping") == 0.5


def test_saturation_that_the_network_was_trained_with_is_not_clipping() -> None:
    model = nn.Sequential(linear([[1.0]]), nn.ReLU6(), linear([[1.0]]))
    for gamma in (1, 5):  # 6/5 times 5 is not quite 6
        snn = sw.convert(model, "burst", T=4, gamma=gamma, calibration=torch.full((1, 1), 9.0))
        layer = sw.diagnose(snn, torch.tensor([[9.0]])).layers[0]
        assert sums(layer) == {}


def test_a_spike_that_cannot_be_called_back_is_inactivated() -> None:
    """Currents +1, −1, +1, −1 come to nothing, but the first has fired."""
    model = nn.Sequential(
        linear([[1.0, 0.0], [0.0, 1.0]]),
        nn.ReLU(),
        linear([[1.0, -2.0]]),
        nn.ReLU(),
        linear([[1.0]]),
    )
    options: dict[str, Any] = {"T": 4, "scale": sw.Max()}
    x = torch.tensor([[1.0, 0.5]])
    snn = sw.convert(model, "rueckauer", calibration=torch.eye(2), **options)
    found = sw.diagnose(snn, x)
    assert sums(found.layer("1/relu")) == {}
    layer = found.layer("3/relu")
    assert sums(layer) == pytest.approx({"inactivated": 0.25})
    assert layer.share_of_values("inactivated") == 1.0
    assert layer.own is None  # the original neuron is silent
    both = sw.diagnose(snn, torch.tensor([[1.0, 0.5], [1.0, 0.0]]))
    assert both.layer("3/relu").own == pytest.approx(0.0625)
    assert 'Try: method "spikeconverter"' in both.table(width=300)
    layered = sw.convert(model, calibration=torch.eye(2), T=4)
    assert "inactivated" not in sums(sw.diagnose(layered, x).layer("3/relu"))


def pooled(pool: str) -> Diagnosis:
    """A sends 1, 1, 1, 1 and B 0, 3, 0, 3; the maximum of their sums is 6."""
    model = nn.Sequential(
        linear([[1.0, 0.0], [0.0, 1.0]]),
        nn.ReLU(),
        linear([[1.0, 0.0], [0.0, 3.0]]),
        nn.ReLU(),
        nn.Unflatten(1, (1, 2)),
        nn.MaxPool1d(2),
        nn.Flatten(),
        linear([[1.0]]),
    )
    calibration = torch.tensor([[1.0, 0.0], [0.0, 1 / 3]])
    snn = sw.convert(model, "burst", T=4, scale=sw.Max(), pool=pool, calibration=calibration)
    return sw.diagnose(snn, torch.tensor([[1.0, 0.5]]))


def test_what_a_gate_by_counts_passes_on_wrongly_is_pooling() -> None:
    """It passes 1 (tie), 1 (A leads), 0 (B leads), 3 (tie): 5 for 6; a spike is worth 1/4."""
    found = pooled("accumulated-count")
    (gate,) = [x for x in found.layers if x.kind == "gate"]
    assert sums(gate) == pytest.approx({"pooling": -0.25})
    assert gate.activity.sum == pytest.approx(1.5)
    assert 'pool="lateral-inhibition"' in found.table()
    assert "pooling" in found.table()


def test_lateral_inhibition_pools_exactly() -> None:
    found = pooled("lateral-inhibition")
    assert sums(next(x for x in found.layers if x.kind == "gate")) == {}
    assert "pooling" not in found.table()


def test_random_input_is_an_error_of_its_own() -> None:
    found = one_neuron([[0.3]], torch.ones(1, 1), input="poisson")
    layer = found.layers[0]
    draws = torch.Generator().manual_seed(0)
    sent = sum(float(torch.rand(1, generator=draws)) < 0.3 for _ in range(4))
    assert (layer.kind, layer.dead) == ("input", 0)
    assert layer.error.sum == pytest.approx(sent / 4 - 0.3)
    assert sums(found.layer("1/relu"))["inherited"] == pytest.approx(sent / 4 - 0.3)
    assert 'Try: input="analog"' in found.table(width=200)


def test_neurons_that_never_spike_are_dead_if_the_original_is_active() -> None:
    """0.2 of P never reaches θ = 1 in 4 steps, yet it is worth a spike of 0.5/4 behind it."""
    model = nn.Sequential(
        linear([[1.0, 0.0], [0.0, 1.0]]),
        nn.ReLU(),
        linear([[1.0, 0.0]]),
        nn.ReLU(),
        linear([[1.0]]),
    )
    calibration = torch.tensor([[0.5, 1.0]])
    snn = sw.convert(model, "rueckauer", T=4, scale=sw.Max(), calibration=calibration)
    silent = sw.diagnose(snn, torch.tensor([[0.2, 0.0], [0.2, 0.0]]))
    assert silent.layer("1/relu").dead == 0  # 0.2 is less than a unit of 1/4
    assert silent.layer("3/relu").dead == 1
    assert "1 neuron of 3 never spiked" in silent.table(width=200)
    once = silent.merge(sw.diagnose(snn, torch.tensor([[0.3, 0.0]])))
    assert once.layer("3/relu").dead == 0


def two_layers(weight: float, calibration: list[list[float]]) -> SpikingNetwork:
    """Two neurons of currents x, then one of x_0 and one of ``weight`` times x_1; T = 4."""
    model = nn.Sequential(
        linear([[1.0, 0.0], [0.0, 1.0]]),
        nn.ReLU(),
        linear([[1.0, 0.0], [0.0, weight]]),
        nn.ReLU(),
        linear([[1.0, 0.0], [0.0, 1.0]]),
    )
    seen = torch.tensor(calibration)
    return sw.convert(model, "rueckauer", T=4, scale=sw.Max(), calibration=seen)


def test_neurons_that_mostly_clip_are_saturated_however_a_run_is_cut() -> None:
    """λ = 1. Of A, 2 of 3 active inputs clip; of B, 1 of 4, then 4 of 7."""
    snn = two_layers(1.0, [[1.0, 1.0]])
    x = torch.tensor([[2.0, 2.0], [2.0, 0.5], [0.5, 0.5], [0.0, 0.5]])
    first = sw.diagnose(snn, x)
    layer = first.layer("1/relu")
    assert (layer.parts["clipping"].count, layer.saturated, layer.dead) == (3, 1, 0)
    assert layer.share_of_values("clipping") == layer.to_dict()["clipped_share"] == 3 / 8
    text = first.table()
    assert "saturated" in text
    assert "1 neuron of 4 saturated" in first.findings()[-1]
    more = torch.tensor([[0.0, 2.0]]).expand(3, 2)
    whole = sw.diagnose(snn, torch.cat([x, more]))
    assert whole.layer("1/relu").saturated == 2
    assert first.merge(sw.diagnose(snn, more)).to_dict() == whole.to_dict()
    assert whole.layer("3/relu").saturated == 0  # what arrives is clipped already


def test_the_first_layer_below_ten_decibels_breaks_first() -> None:
    """0.5 is 2 spikes of 4, exactly; 0.2 of it are less than the half spike that a neuron keeps."""
    snn = two_layers(0.2, [[1.0, 1.0]])
    broken = sw.diagnose(snn, torch.tensor([[0.0, 0.5]]))
    assert [x.snr_db for x in broken.layers] == [None, pytest.approx(0.0), pytest.approx(0.0)]
    assert broken.breaks_first == broken.layer("3/relu")
    assert broken.to_dict()["breaks_first"] == "3/relu"
    assert "3/relu breaks first: its signal-to-noise ratio is 0.0 dB" in broken.findings()[1]
    sound = sw.diagnose(snn, torch.tensor([[0.5, 0.5]]))  # 0.1² of 0.5² + 0.1² are 14 dB
    assert (sound.breaks_first, sound.to_dict()["breaks_first"]) == (None, None)
    assert "breaks first" not in sound.table()


def test_equal_decisions_are_counted() -> None:
    """0.6 against 0.55 is 2 spikes against 2; the original decides for the first, as on a tie."""
    snn = two_layers(1.0, [[1.0, 1.0]])
    assert sw.diagnose(snn, torch.tensor([[0.6, 0.55]])).agreement == 1.0
    both = sw.diagnose(snn, torch.tensor([[0.6, 0.55], [0.55, 0.6]]))
    assert (both.agreeing, both.agreement) == (1, 0.5)
    assert both.merge(both).agreement == 0.5
    assert one_neuron([[0.6]], torch.ones(1, 1)).agreement is None


def test_relays_have_no_inactivated_spikes() -> None:
    """0.6 and −0.6 leave the same charge behind, with opposite signs."""
    model = nn.Sequential(linear([[1.0]]), linear([[1.0]]), nn.ReLU(), linear([[1.0]]))
    calibration = torch.tensor([[1.0], [-1.0]])
    snn = sw.convert(model, "rueckauer", T=4, scale=sw.Max(), calibration=calibration)
    found = sw.diagnose(snn, torch.tensor([[0.6], [-0.6]]))
    (layer,) = [x for x in found.layers if x.kind == "relay"]
    assert "inactivated" not in layer.parts
    assert layer.parts["residual"].sum == pytest.approx(0.0, abs=1e-6)
    assert layer.parts["residual"].absolute == pytest.approx(0.2)


# Reports.
def test_parts_of_a_run_merge_to_the_whole() -> None:
    _, snn = small()
    x = torch.rand(9, 4)
    whole = sw.diagnose(snn, [x[:5], (x[5:], torch.zeros(4))])
    parts = sw.diagnose(snn, x[:5]).merge(sw.diagnose(snn, x[5:]))
    assert whole == parts
    assert whole.to_dict() == parts.to_dict()
    assert sw.diagnose(snn, [x[:6], x[6:]], limit=5).layers == sw.diagnose(snn, x[:5]).layers


def test_the_original_is_left_alone_and_batches_do_not_matter() -> None:
    model, snn = small()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    x = torch.rand(8, 4)
    whole, single = sw.diagnose(snn, x, reference=model), sw.diagnose(snn, list(x.split(1)))
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    for a, b in zip(whole.layers, single.layers, strict=True):
        assert a.error.squared == pytest.approx(b.error.squared, rel=1e-5)
        assert a.activity.sum == pytest.approx(b.activity.sum, rel=1e-5)


def test_json_says_what_was_found() -> None:
    found = one_neuron([[0.6]], torch.ones(1, 1))
    data = json.loads(found.to_json())
    assert data["schema"] == "spikewright.diagnosis/2"
    assert (data["T"], data["samples"], data["simulator"]) == (4, 1, "timefold")
    assert data["provenance"]["config"]["name"] == "rueckauer"
    residual = data["layers"][0]["parts"]["residual"]
    assert residual["mean"] == pytest.approx(-0.1)
    assert residual["relative_squared"] == pytest.approx(0.01 / 0.36)
    assert data["findings"] == list(found.findings())


def test_the_table_fits_and_names_what_is_there() -> None:
    text = one_neuron([[0.6]], torch.ones(1, 1)).table()
    assert max(map(len, text.splitlines())) <= 80
    assert "residual" in text
    assert "clipping" not in text
    assert "Most goes wrong in 1/relu" in text
    assert "2.78" in text  # 0.01/0.36 in per cent


def test_the_widest_table_fits() -> None:
    part = Part(-1.0, 1.0, 9.99, 7)
    names = ("inherited", "inactivated", "clipping", "residual", "pooling")
    layer = LayerDiagnosis(
        name="features.12.conv.3.activation/relu",
        kind="neurons",
        samples=10,
        values=100_000,
        activity=Part(10.0, 10.0, 10.0, 10),
        error=Part(1.0, 1.0, 1000.0, 10),
        parts=dict.fromkeys(names, part),
    )
    found = Diagnosis(
        layers=(layer,),
        samples=10,
        T=4,
        k=1.0,
        schedule="synchronous",
        neuron="if-soft",
        simulator="timefold",
    )
    lines = found.table().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split()[:5] == ["layer", "SNR", "dB", "own", "dB"] for line in lines)
    assert any(line.split()[:2] == ["layer", "clipped"] for line in lines)
    assert "-20.0" in found.table()  # Σ e² is 100 times Σ a²


def test_nothing_to_mend_where_nothing_is_wrong() -> None:
    model, _ = small()
    snn = sw.convert(model, T=16, calibration=torch.rand(256, 4))
    assert "nothing to mend" in sw.diagnose(snn, torch.rand(8, 4) * 0.5).table()
    silent = nn.Sequential(linear([[-1.0]]), nn.ReLU(), linear([[1.0]]))
    snn = sw.convert(silent, "burst", T=4, calibration=torch.tensor([[-1.0]]))
    assert (
        "No layer of the original network is active" in sw.diagnose(snn, torch.ones(2, 1)).table()
    )


def test_ctrl_c_ends_after_the_batch_at_hand() -> None:
    _, snn = small()

    def batches() -> Iterator[Tensor]:
        yield torch.rand(2, 4)
        signal.raise_signal(signal.SIGINT)
        yield torch.rand(3, 4)
        raise AssertionError("a batch was read after Ctrl-C")

    found = sw.diagnose(snn, batches())
    assert (found.interrupted, found.samples) == (True, 5)
    assert "(interrupted)" in found.table()


# Laws, on random networks.
METHODS: dict[str, dict[str, Any]] = {
    "burst": {"T": 6, "pool": "accumulated-count"},
    "rueckauer": {"T": 5, "reset": "hard"},
    "snn-calibration": {"T": 6},
    "threshold-relu": {"T": 7},
    "spikeconverter": {"T": 5},
    "tsc": {"T": 9},
}
PHASES = (Phase.explicit, Phase.generate)  # shrinking would export networks for minutes


def run(snn: SpikingNetwork, x: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """What entered and left every population and gate."""
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def probe(name: str, entered: Tensor, sent: Tensor) -> None:
        found[name] = entered.clone(), sent.clone()

    with torch.no_grad():
        for _ in simulator(snn).over_time(snn.check_input(x), probe=probe):
            pass
    return found


def driven(
    reference: Graph, x: Tensor, decoded: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The original activations, and those it would have, were its inputs the decoded spikes."""
    pure: dict[str, Tensor] = {}
    told: dict[str, Tensor] = {}

    def site_of(found: dict[str, Tensor], replace: bool) -> Any:
        def site(node: Any, value: Tensor, overwrite: bool) -> Tensor:
            if ops.kind(node) == "pool":
                found[node.name] = pool_operator(reference, node)(value)
            else:
                found[node.name] = activate(node, value).clone()
            known = decoded.get(node.name) if replace else None
            return found[node.name] if known is None else known.float()

        return site

    with torch.no_grad():
        for found, replace in ((pure, False), (told, True)):
            Program(reference, site=site_of(found, replace), pools=True)(x)
    return pure, told


@pytest.mark.parametrize("method", sorted(METHODS))
@settings(max_examples=3, phases=PHASES)
@given(net=nets())
def test_errors_split_exactly_and_drives_are_in_the_original_numbers(method: str, net: Net) -> None:
    """The parts of r − a add up to it in every neuron, which has one own cause at most.

    The ideal values are what the original network computes from the decoded spikes of the layers
    before, which is the test of units for both schedules, shifts of the method included.
    """
    model, x = net.build()
    snn = sw.convert(model, method, calibration=x, **METHODS[method])
    x, reference, full = x[:6], _original(snn, None), snn.code.max_value
    probed = run(snn, x)
    scale = {n: full_scale(snn, n) for n in probed}
    decoded = {n: sent.double() * scale[n] / full for n, (_, sent) in probed.items()}
    pure, told = driven(reference, x, decoded)
    added = {
        n: s.broadcast(s.shift.double(), len(snn.graph[n].shape or ()))
        for n, s in snn.sites.items()
    }
    if method not in ("snn-calibration", "threshold-relu"):
        assert not any(bool(a.any()) for a in added.values())
    expected = dict.fromkeys(probed, 0.0)
    for name, (entered, sent) in probed.items():
        node, a = reference[name], pure[name].double()
        size = float(scale[name].max()) + float(told[name].abs().max())
        if name not in snn.sites:
            ideal = entered.double() * scale[name] / full
            torch.testing.assert_close(ideal, told[name].double(), rtol=0, atol=1e-4 * size)
            continue
        split = split_error(
            node, snn.sites[name], scale[name].double(), full, entered, sent, added[name]
        )
        if "levels" not in node.kwargs:
            torch.testing.assert_close(split.ideal, told[name].double(), rtol=0, atol=1e-4 * size)
        own = torch.stack(list(split.own.values()))
        assert int((own != 0).sum(0).max()) <= 1
        torch.testing.assert_close(
            (split.ideal - a) + own.sum(0), split.value - a, rtol=0, atol=1e-12 * size
        )
        if snn.schedule.name == "layered":
            assert not bool(split.own.get("inactivated", torch.zeros(1)).any())
            unit = scale[name].double() / full
            assert bool((split.own["residual"].abs() <= unit * (1 + 1e-4)).all())
        expected[name] = float((split.value - a).sum())
    found = sw.diagnose(snn, x)
    for layer in found.layers:
        total = sum(p.sum for p in layer.parts.values())
        assert layer.error.sum == pytest.approx(total, rel=1e-9, abs=1e-9 * layer.error.absolute)
        own = sum(p.squared for n, p in layer.parts.items() if n != "inherited")
        assert layer.own is None or layer.own == pytest.approx(own / layer.activity.squared)
        assert (layer.own_snr_db is None) == (not layer.own)
        if layer.own_snr_db is not None:
            assert 10 ** (-layer.own_snr_db / 10) == pytest.approx(layer.own)
        if layer.parts["inherited"].squared == 0.0 and layer.own:
            assert layer.own_snr_db == pytest.approx(layer.snr_db)
        if layer.clipped is not None:
            assert int(layer.clipped.sum()) == layer.parts["clipping"].count
        if layer.name in snn.sites and layer.name in expected:
            assert layer.error.sum == pytest.approx(expected[layer.name], rel=1e-6, abs=1e-6)
    assert {x.name for x in found.layers} == {*probed, snn.graph.outputs[0]}


@pytest.mark.parametrize("method", sorted(METHODS))
def test_both_simulators_tell_the_same(method: str) -> None:
    """Up to a near-tie, of which this network has none."""
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    snn = sw.convert(model, method, calibration=torch.rand(32, 1, 10, 10), **METHODS[method])
    x = torch.rand(8, 1, 10, 10)
    fast, slow = sw.diagnose(snn, x).layers, sw.diagnose(snn, x, simulator="reference").layers
    names = [layer.name for layer in slow]
    assert names == [layer.name for layer in fast if layer.name in names]
    for layer in slow:
        (same,) = [f for f in fast if f.name == layer.name]
        assert layer.error.squared == pytest.approx(same.error.squared, rel=1e-4, abs=1e-9)
        assert layer.dead == same.dead
        for name, part in layer.parts.items():
            assert part.squared == pytest.approx(same.parts[name].squared, rel=1e-3, abs=1e-9)
            if name in ("inactivated", "clipping"):
                assert part.count == same.parts[name].count


def test_sums_add_up() -> None:
    assert Part(1.0, 2.0, 3.0, 4) + Part(0.5, 0.5, 0.5, 1) == Part(1.5, 2.5, 3.5, 5)
