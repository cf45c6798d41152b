# SPDX-License-Identifier: Apache-2.0
"""Options to the settings of a method: typed by the method's own dataclass."""

import re
from typing import Any, Literal

import pytest

from spikewright.calibration import Max, MinError, Percentile
from spikewright.cli.method import method_config
from spikewright.cli.options import MethodOptions, given
from spikewright.errors import SpikewrightError
from spikewright.methods.setting_values import typed
from spikewright.methods.spikeconverter import SpikeConverter
from spikewright.preparation import Bias, Refit


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "spikconverter"}, "method 'spikconverter': not known. Did you mean"),
        ({"T": 0}, "expected a whole number of time steps T >= 1, got T=0"),
        ({"k": 2.5}, "expected k in (1, 2], got k=2.5"),
        ({"percentile": 99.0}, "--percentile: expected --scale percentile with it, got no --scale"),
        (
            {"percentile": 9.0, "scale": "max"},
            "expected --scale percentile with it, got --scale max",
        ),
        ({"percentile": 101.0, "scale": "percentile"}, "expected q in (0, 100], got q=101.0"),
        ({"set": ("T",)}, "--set T: expected key=value, got 'T'"),
        ({"set": ("tt=3",)}, "spikeconverter: option 'tt': not known."),
        ({"set": ("T=x",)}, "--set T: expected int, got 'x'"),
        ({"set": ("T=2.5",)}, "--set T: expected int, got '2.5'"),
        ({"set": ("rounding=perhaps",)}, "--set rounding: expected bool, got 'perhaps'"),
        ({"set": ("T=6",), "T": 8}, "--set T=6: T is given twice"),
        ({"set": ("T=6", "T=7")}, "--set T=7: T is given twice"),
        ({"set": ("input=digital",)}, "--set input: expected Literal['analog', 'encoded']"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpikewrightError, match=re.escape(message)):
        method_config(MethodOptions(**options))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, SpikeConverter()),
        ({"T": 8, "k": 1.5, "per_channel": False}, SpikeConverter(T=8, k=1.5, per_channel=False)),
        ({"k": "search"}, SpikeConverter(k=None)),
        ({"scale": "max"}, SpikeConverter(scale=Max())),
        ({"scale": "min-error"}, SpikeConverter(scale=MinError())),
        ({"scale": "percentile"}, SpikeConverter(scale=Percentile())),
        ({"scale": "percentile", "percentile": 99.0}, SpikeConverter(scale=Percentile(99.0))),
        ({"analog_relay": ("a", "re:b")}, SpikeConverter(analog_relays=("a", "re:b"))),
        ({"set": ("extra-step=true", "k=none")}, SpikeConverter(extra_step=True, k=None)),
        ({"prepare": ("auto",)}, SpikeConverter(prepare="auto")),
        ({"prepare": ("bias", "refit")}, SpikeConverter(prepare=(Bias(), Refit()))),
        (
            {"code": "signed-radix", "spike_price": 0.01, "mixed": "spikes", "T": 4},
            SpikeConverter(code="signed-radix", spike_price=0.01, mixed="spikes", T=4),
        ),
        ({"spikes": 0.6}, SpikeConverter(spikes=0.6)),
        ({"functions": "few-spikes"}, SpikeConverter(functions="few-spikes")),
        ({"set": ("prepare=['bias', 'refit']",)}, SpikeConverter(prepare=(Bias(), Refit()))),
        ({"set": ("analog_relays=['a']",)}, SpikeConverter(analog_relays=("a",))),
        ({"set": ("input=encoded", "k=2")}, SpikeConverter(input="encoded", k=2.0)),
    ],
)
def test_options_fill_the_settings(options: dict[str, Any], expected: SpikeConverter) -> None:
    assert method_config(MethodOptions(**options)) == expected


def test_a_rule_with_settings_of_its_own() -> None:
    config = method_config(MethodOptions(set=('scale={name = "percentile", q = 99.0}',)))
    assert config == SpikeConverter(scale=Percentile(99.0))
    assert method_config(MethodOptions(set=("scale=max",))) == SpikeConverter(scale=Max())
    with pytest.raises(SpikewrightError, match=r"scale rule 'maxx': not known. Did you mean 'max'"):
        method_config(MethodOptions(set=("scale=maxx",)))


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("8", int, 8),
        ("8", float, 8.0),
        ("8", str, "8"),
        ("true", bool, True),
        ("none", float | None, None),
        ("none", str, "none"),
        ("b", Literal["a", "b"], "b"),
        ("[1, 2]", tuple[int, ...], (1, 2)),
    ],
)
def test_a_value_is_read_as_its_type(text: str, hint: object, value: object) -> None:
    found = typed(text, hint, "--set x")
    assert found == value
    assert type(found) is type(value)


def test_what_was_given_is_named_as_it_is_spelled() -> None:
    options = MethodOptions(per_channel=False, T=8, extra_step=None)
    assert given(options) == ["--T", "--per-channel"]
    assert given(options, "T") == ["--T"]
    assert given(MethodOptions()) == []
