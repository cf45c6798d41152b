# SPDX-License-Identifier: Apache-2.0
"""Methods as texts, and everything that is wrong with them before any work is done."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from spikewright.calibration import Max, MinError, Percentile
from spikewright.comparison import Entry, parse_entry
from spikewright.comparison.entries import entries_of, is_anytime, runs_of
from spikewright.errors import ConfigError, UnknownNameError
from spikewright.methods import MethodConfig
from spikewright.methods.burst import Burst
from spikewright.methods.rueckauer import Rueckauer
from spikewright.methods.snn_calibration import SNNCalibration
from spikewright.methods.spikeconverter import SpikeConverter
from spikewright.methods.tsc import TSC


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ConfigError, "methods: expected NAME, NAME:key=value,key=value, NAME@4,8,16 or LABEL"),
        ("=burst", ConfigError, "methods: expected NAME"),
        ("burst:", ConfigError, "methods: expected NAME"),
        ("burst@", ConfigError, "methods: expected NAME"),
        ("a=", ConfigError, "methods: expected NAME"),
        ("@8", ConfigError, "methods: expected NAME"),
        ("burts", UnknownNameError, "method 'burts': not known. Did you mean 'burst'"),
        ("x=burts@8", UnknownNameError, "method 'burts': not known. Did you mean 'burst'"),
        ("burst:gama=2", UnknownNameError, "burst: option 'gama': not known. Did you mean 'gamma'"),
        ("burst:gamma", ConfigError, "expected key=value, got 'gamma'"),
        ("burst:gamma=2,gamma=3", ConfigError, "gamma is given twice"),
        ("burst:gamma=two", ConfigError, "burst: gamma: expected int, got 'two'"),
        ("burst:gamma=0", ConfigError, "gamma: expected a whole number, 1 or more, got 0"),
        ("burst:T=8", ConfigError, "expected T behind @. Write burst@8,16."),
        ("burst@0", ConfigError, "expected time steps T ≥ 1 behind @, got '0'"),
        ("burst@8,x", ConfigError, "expected time steps T ≥ 1 behind @, got '8,x'"),
        ("burst@-8", ConfigError, "expected time steps T ≥ 1 behind @, got '-8'"),
        ("burst@8,", ConfigError, "expected time steps T ≥ 1 behind @, got '8,'"),
    ],
)
def test_texts_that_do_not_fit(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        parse_entry(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("burst", Entry("burst", Burst())),
        (" burst@4,8 ", Entry("burst", Burst(), (4, 8))),
        ("burst:gamma=2", Entry("burst:gamma=2", Burst(gamma=2))),
        (
            "mine = burst : gamma=2, per-channel=true @ 16",
            Entry("mine", Burst(gamma=2, per_channel=True), (16,)),
        ),
        ("tsc:scale=max", Entry("tsc:scale=max", TSC(scale=Max()))),
        (
            'p=tsc:scale={name = "percentile", q = 99.0},rounding=true@4',
            Entry("p", TSC(scale=Percentile(99.0), rounding=True), (4,)),
        ),
        (
            'r=tsc:analog_relays=["a,b", "re:c@1"]',
            Entry("r", TSC(analog_relays=("a,b", "re:c@1"))),
        ),
        ("k=spikeconverter:k=none", Entry("k", SpikeConverter(k=None))),
    ],
)
def test_texts(text: str, expected: Entry) -> None:
    assert parse_entry(text) == expected


@dataclass(frozen=True, kw_only=True)
class Timeless(MethodConfig):
    name: ClassVar[str | None] = "timeless"


@pytest.mark.parametrize(
    ("given", "T", "message"),
    [
        ([], (8,), "methods: expected at least one, got none."),
        ("burst", (8,), "methods: expected a list, got one text. Write ['burst']."),
        (["burst", "burst@8"], (8,), "expected every label once, got 'burst' twice."),
        (["tsc", Entry("tsc", Burst())], (8,), "expected every label once, got 'tsc' twice."),
        (["burst"], (), "burst: expected at least one T, got none."),
        (["burst"], (8, 0), "burst: expected time steps T ≥ 1, got T=0."),
        ([Entry("e", Burst(), (-1,))], (8,), "e: expected time steps T ≥ 1, got T=-1."),
        (
            ["burst", "spikeconverter"],
            (8, 32),
            "spikeconverter with T=32: radix code: expected values of at most 24 bits",
        ),
        ([Timeless()], (8,), "timeless: expected a method with a setting T"),
    ],
)
def test_lists_that_do_not_fit(given: Any, T: tuple[int, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        entries_of(given, T)


def test_settings_are_tried_at_every_length() -> None:
    """An upper bound of T is found although the smallest T is fine."""

    @dataclass(frozen=True, kw_only=True)
    class Short(MethodConfig):
        name: ClassVar[str | None] = "short"
        T: int = 1

        def __post_init__(self) -> None:
            if self.T > 10:
                raise ConfigError(f"T: expected at most 10, got {self.T}.")

    assert entries_of([Short()], (2, 4))[0].T == (2, 4)
    with pytest.raises(ConfigError, match="expected at most 10, got 11"):
        entries_of([Short()], (2, 11, 4))


def test_lengths_are_the_entrys_or_the_comparisons_sorted_and_once() -> None:
    given = ["burst", "tsc@9,3,9", Entry("e", Burst(), (5,)), SpikeConverter(T=20)]
    assert [(e.label, e.T) for e in entries_of(given, (8, 2, 8))] == [
        ("burst", (2, 8)),
        ("tsc", (3, 9)),
        ("e", (5,)),
        ("spikeconverter", (2, 8)),
    ]


def test_anytime_methods_run_once_and_others_at_each_length() -> None:
    burst, tsc = entries_of([Burst(T=3, gamma=2), "tsc"], (2, 8))
    assert [(r.T, r.anytime, r.config) for r in runs_of(burst)] == [(8, True, Burst(T=8, gamma=2))]
    assert [(r.T, r.anytime, r.config) for r in runs_of(tsc)] == [
        (2, False, TSC(T=2)),
        (8, False, TSC(T=8)),
    ]


@pytest.mark.parametrize(
    ("config", "anytime"),
    [
        (Burst(), True),
        (Rueckauer(scale=Max()), True),
        (Burst(scale=MinError()), False),  # the error of the T-step code chooses the scale
        (SNNCalibration(), False),
        (SpikeConverter(), False),
    ],
)
def test_a_scale_rule_that_looks_at_the_code_is_not_anytime(
    config: MethodConfig, anytime: bool
) -> None:
    assert is_anytime(config) is anytime
