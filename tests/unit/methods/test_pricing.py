# SPDX-License-Identifier: Apache-2.0
"""Signed codes, prices of spikes and a number of spikes, in whole networks."""

from typing import Any

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.codes import SignedRadix
from spikewright.errors import ConfigError
from spikewright.methods.pricing import pooled_populations
from spikewright.methods.spikeconverter import SpikeConverter

DATA = torch.rand(48, 2, 10, 10, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """A shortcut that skips two layers, a max pool, a concatenation under a max pool, a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first, self.second = (nn.Conv2d(n, 6, 3, padding=1) for n in (2, 6))
        self.left, self.right = nn.Conv2d(6, 4, 1), nn.Conv2d(6, 4, 3, padding=1)
        self.head = nn.Linear(8 * 4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.first(x).relu()
        b = torch.max_pool2d((self.second(a) + a).relu(), 2)
        c = torch.cat([self.left(b).relu(), self.right(b).relu()], 1)
        return self.head(torch.max_pool2d(c, 3, stride=2, padding=1)[:, :, :2, :2].flatten(1))


def converted(**settings: Any) -> sw.SpikingNetwork:
    return sw.convert(Net().eval(), calibration=DATA, T=6, **settings)


def spikes(snn: sw.SpikingNetwork) -> float:
    return sw.evaluate(snn, [DATA]).lengths[-1].spikes_per_neuron


def test_signed_trains_have_the_binary_networks_outputs_with_fewer_spikes() -> None:
    binary, signed = converted(), converted(code="signed-radix")
    assert torch.equal(binary(DATA), signed(DATA))
    assert spikes(signed) < 0.95 * spikes(binary)
    assert signed.neuron_name == "two-thresholds"


@pytest.mark.parametrize("price", [0.0, 0.02])
@pytest.mark.parametrize("encoded", [False, True])
def test_both_simulators_agree_in_floating_point_and_in_integers(
    price: float, encoded: bool
) -> None:
    way = "encoded" if encoded else "analog"
    snn = converted(code="signed-radix", spike_price=price, input=way)
    found = sw.verify(snn, DATA[:8])
    assert found.agrees
    whole = sw.verify(snn.to_integer(), DATA[:8])
    assert whole.agrees
    assert whole.spikes_differ == 0


@pytest.mark.parametrize("code", ["radix", "signed-radix"])
def test_a_higher_price_gives_fewer_spikes_and_larger_errors(code: str) -> None:
    nets = [converted(code=code, spike_price=p) for p in (0.0, 0.003, 0.03)]
    errors = [float((snn(DATA) - Net()(DATA)).norm().detach()) for snn in nets]
    assert [spikes(n) for n in nets] == sorted((spikes(n) for n in nets), reverse=True)
    assert errors == sorted(errors)


@pytest.mark.parametrize("code", ["radix", "signed-radix"])
def test_the_spikes_asked_for_are_sent_on_calibration_data(code: str) -> None:
    wanted = 0.8 * spikes(converted(code=code))
    snn = converted(code=code, spikes=wanted)
    assert spikes(snn) == pytest.approx(wanted, rel=0.03)
    assert snn.provenance["config"]["spike_price"] > 0.0
    with pytest.raises(ConfigError, match=r"spikes: expected [\d.]+ to [\d.]+ a neuron, .*got 99"):
        converted(code=code, spikes=99.0)


def test_priced_networks_survive_a_file(tmp_path: Any) -> None:
    snn = converted(code="signed-radix", spike_price=0.02)
    assert any(isinstance(c, SignedRadix) and c.rise for c in snn.codes)
    snn.save(tmp_path / "net.safetensors")
    again = sw.load(tmp_path / "net.safetensors")
    assert again.codes == snn.codes
    assert torch.equal(again(DATA), snn(DATA))


def test_populations_under_one_maximum_keep_one_code() -> None:
    snn = converted(code="signed-radix", spike_price=0.02)
    for group in pooled_populations(snn.graph):
        assert len({snn.sites[name].code for name in group}) == 1


def test_two_comparators_are_counted_and_wires_have_signs() -> None:
    binary, signed = converted(), converted(code="signed-radix")
    one, two = (sw.evaluate(n, [DATA[:4]]).lengths[-1].layers for n in (binary, signed))
    compared = [sum(layer.comparisons for layer in layers) for layers in (one, two)]
    assert compared[1] > 1.2 * compared[0]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"code": "signed-radix", "k": 1.5}, "code: expected k = 2"),
        ({"code": "signed-radix", "T": 17}, "T >= 1 and at most 16"),
        ({"code": "ternary"}, "code: expected 'radix' or 'signed-radix', got 'ternary'"),
        ({"spike_price": -1.0}, "spike_price: expected a number of 0 or more"),
        ({"spikes": 0.0}, "spikes: expected a number above 0"),
        ({"spikes": 0.5, "spike_price": 0.1}, "and no spike_price"),
        ({"spikes": 0.5, "mixed": "steps"}, "expected one T for all populations"),
        ({"spike_price": 0.1, "scale": sw.Max()}, "expected scales by minimum error"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        SpikeConverter(**settings)


def test_a_comparison_takes_codes_prices_and_lengths_as_entries() -> None:
    priced = "spikeconverter:code=signed-radix,spike_price=0.02@4"
    mixed = "mixed=spikeconverter:mixed=spikes@4"
    data = [(DATA, Net()(DATA).argmax(1))]
    entries = ["spikeconverter@4", priced, mixed]
    found = sw.compare(Net().eval(), entries, calibration=DATA, data=data)
    plain, cheap, other = found.rows()
    assert cheap.spikes_per_neuron < plain.spikes_per_neuron
    assert other.T == 4
    assert other.spikes_per_neuron < 1.05 * plain.spikes_per_neuron
