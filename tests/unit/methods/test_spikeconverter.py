# SPDX-License-Identifier: Apache-2.0
"""SpikeConverter: settings that are refused, settings that survive a round trip, what each does."""

import dataclasses
import functools
import itertools
import json
import math
from typing import Any

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.errors import CalibrationError, ConfigError, UnknownNameError
from spikewright.graph import ops
from spikewright.methods import MethodConfig, Prepared, configure, methods
from spikewright.methods.spikeconverter import K_GRID


def model() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5)
    ).eval()


DATA = torch.randn(16, 2, 6, 6, generator=torch.Generator().manual_seed(1))


@functools.cache
def prepared() -> Prepared:
    return sw.calibrate(model(), DATA)


def gap(**options: Any) -> float:
    """Mean error of the output for given settings."""
    network = sw.convert(prepared(), **options)
    with torch.no_grad():
        return float((sw.api.simulate(network, DATA) - model()(DATA)).abs().mean())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"T": 0}, r"T >= 1, got T=0"),
        ({"T": -3}, r"T >= 1, got T=-3"),
        ({"k": 1.0}, r"k in \(1, 2\], got k=1\.0"),
        ({"k": 2.1}, r"k in \(1, 2\], got k=2\.1"),
        ({"k": math.nan}, r"k in \(1, 2\], got k=nan"),
        ({"T": 25}, r"at most 24 bits.*steps·log2 k = 25"),
        ({"T": 24, "extra_step": True}, "at most 24 bits"),
        ({"T": 60, "k": 1.4}, "at most 24 bits"),
        ({"input": "spikes"}, "expected 'analog' or 'encoded', got 'spikes'"),
        ({"analog_relays": "layer1"}, "expected a list of module paths, got the text 'layer1'"),
        ({"scale": "max"}, r"expected MinError\(\), Percentile\(q\) or Max\(\), got 'max'"),
        ({"scale": 3.0}, r"expected MinError\(\), Percentile\(q\) or Max\(\), got 3\.0"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_settings_out_of_range_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sw.SpikeConverter(**options)
    with pytest.raises(ConfigError, match=message):
        sw.convert(prepared(), **options)


def test_unknown_options_and_methods_are_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown option\(s\) tau\. Known: T, analog_relays"):
        sw.convert(model(), calibration=DATA, tau=3)
    with pytest.raises(UnknownNameError, match="Did you mean 'spikeconverter'"):
        sw.convert(model(), "spikeconvertor", calibration=DATA)
    with pytest.raises(ConfigError, match="expected settings of 'spikeconverter' version 1"):
        sw.SpikeConverter.from_dict({"name": "rmp", "T": 3})
    with pytest.raises(
        UnknownNameError, match=r"scale rule 'maxx': not known\. Did you mean 'max'"
    ):
        sw.SpikeConverter.from_dict({"scale": {"name": "maxx"}})


@pytest.mark.parametrize("name", sorted(methods()))
def test_every_method_has_a_config_that_survives_json(name: str) -> None:
    config = configure(name)
    assert isinstance(config, MethodConfig)
    assert config.name == name
    again = type(config).from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config


def test_settings_survive_json_and_changes_keep_the_rest() -> None:
    config = sw.SpikeConverter(
        T=6,
        k=1.5,
        scale=sw.Percentile(99.0),
        per_channel=False,
        rounding=False,
        extra_step=True,
        input="encoded",
        analog_relays=("a", "re:b.*"),
    )
    assert sw.SpikeConverter.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    changed = configure(config, T=9)
    assert changed.T == 9
    assert {**changed.to_dict(), "T": 6} == config.to_dict()
    assert configure(config) is config
    config = configure(config, analog_relays=())
    assert sw.convert(prepared(), config).provenance["config"] == config.to_dict()


def test_a_calibrated_model_converts_again_and_again() -> None:
    for T in (4, 8):
        once = sw.convert(model(), calibration=DATA, T=T)
        again = sw.convert(prepared(), T=T)
        assert torch.equal(sw.api.simulate(once, DATA), sw.api.simulate(again, DATA))
        assert once.provenance == again.provenance


def test_statistics_of_another_model_do_not_pass() -> None:
    other = sw.calibrate(
        nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), torch.rand(4, 4)
    )
    mixed = dataclasses.replace(prepared(), statistics=other.statistics)
    with pytest.raises(CalibrationError, match=r"2 \(.*expected statistics of this site, got none"):
        sw.convert(mixed)


def test_the_error_halves_with_every_step_and_rounding_halves_it_again() -> None:
    errors = [gap(T=T, scale=sw.Max()) for T in (4, 6, 8, 10)]
    for coarse, fine in itertools.pairwise(errors):
        assert 0.15 < fine / coarse < 0.4  # two steps more: a quarter
    assert gap(T=6, scale=sw.Max()) < 0.8 * gap(T=6, scale=sw.Max(), rounding=False)


def test_one_scale_a_layer_or_one_a_channel() -> None:
    def scales(per_channel: bool) -> torch.Tensor:
        network = sw.convert(prepared(), T=6, per_channel=per_channel)
        (node,) = network.spiking_nodes()
        return network.sites[node.name].scale

    assert scales(True).shape == (6,)
    assert scales(False).shape == ()
    assert len(scales(True).unique()) == 6


def test_k_is_searched_for_the_least_error() -> None:
    """With few steps the binary code is best; with many, a smaller k is never worse than needed."""
    network = sw.convert(prepared(), T=4, k=None)
    assert network.code.k in K_GRID
    assert network.code.k >= 1.8
    assert gap(T=4, k=None) < gap(T=4, k=1.2)


def test_the_extra_step_adds_a_step_and_precision() -> None:
    network = sw.convert(prepared(), T=5, extra_step=True)
    assert (network.T, network.code.steps) == (5, 6)
    assert network.timing().latency_ticks == 12
    assert gap(T=5, extra_step=True, scale=sw.Max()) < 0.7 * gap(T=5, scale=sw.Max())


@pytest.mark.parametrize("negative", [False, True])
def test_an_encoded_input_is_signed_where_the_data_are(negative: bool) -> None:
    data = DATA if negative else DATA.abs()
    network = sw.convert(model(), calibration=data, T=12, input="encoded")
    site = network.sites["input/neurons"]
    assert site.signed == negative
    assert network.neurons()["input/neurons"] == 72 * (2 if negative else 1)
    assert network.graph["input/neurons"].op == ops.INPUT_SITE
    assert sw.api.verify(network, data[:4]).agrees
    with torch.no_grad():
        expected = model()(data)
    close = (sw.api.simulate(network, data) - expected).abs().max() / expected.abs().max()
    assert float(close) < 0.02
    layers = sw.evaluate(network, data).lengths[0].layers
    assert sum(layer.analog_macs for layer in layers) == 0  # no multiply-add is left
