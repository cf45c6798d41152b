# SPDX-License-Identifier: Apache-2.0
"""What a method does where nothing is asked for: the papers' values, ours where they have none."""

from typing import Any

import pytest

from spikewright.methods import configure, methods

MIN_ERROR = {"name": "min-error", "version": 1, "candidates": 56, "unseen": 2**-5, "price": 0.0}
TYPICAL = {"name": "percentile", "version": 1, "q": 99.9, "nonzero": False}
RATE = {
    "v_init": 0.0,
    "input": "analog",
    "pool": "lateral-inhibition",
    "analog_relays": [],
    "seed": 0,
}
BALANCED = {**RATE, "T": 64, "balance_steps": 100, "balance_samples": 32}
DEFAULTS: dict[str, dict[str, Any]] = {
    "burst": {**RATE, "T": 64, "scale": TYPICAL, "per_channel": False, "gamma": 5},
    "casc": {
        **RATE,
        "T": 8,
        "v_init": 0.5,
        "scale": MIN_ERROR,
        "per_channel": False,
        "sleep": "settle",
        "adapt": False,
        "samples": 128,
        "prepare": "none",
    },
    "qcfs": {**RATE, "T": 8, "scale": TYPICAL, "per_channel": False},
    "rmp": {**BALANCED, "threshold_factor": 0.8},
    "rueckauer": {
        **RATE,
        "T": 64,
        "pool": "accumulated-count",
        "scale": {**TYPICAL, "nonzero": True},
        "per_channel": False,
        "reset": "subtract",
    },
    "snn-calibration": {
        **RATE,
        "T": 32,
        "scale": {**MIN_ERROR, "unseen": 0.0},
        "per_channel": False,
        "correct_bias": True,
        "samples": 64,
    },
    "spike-norm": {**BALANCED, "input": "poisson"},
    "spikeconverter": {
        "T": 16,
        "k": 2.0,
        "scale": MIN_ERROR,
        "per_channel": True,
        "rounding": True,
        "extra_step": False,
        "code": "radix",
        "spike_price": 0.0,
        "spikes": None,
        "mixed": "none",
        "input": "analog",
        "functions": "unit",
        "analog_relays": [],
        "prepare": "none",
    },
    "stbp": {**RATE, "T": 4, "pool": "spike-max", "leak": 0.5, "threshold": 1.0},
    "threshold-relu": {
        **RATE,
        "T": 64,
        "scale": {"name": "max", "version": 1},
        "per_channel": False,
    },
    "tsc": {
        "T": 64,
        "scale": TYPICAL,
        "per_channel": False,
        "rounding": False,
        "input": "encoded",
        "functions": "unit",
        "analog_relays": [],
        "prepare": "none",
    },
}
FOR_EVERY_T = {"burst", "qcfs", "rmp", "rueckauer", "spike-norm"}
"""Methods whose network does not depend on T."""
NEURONS = {
    "burst": "burst",
    "casc": "consistent-if",
    "rueckauer": "if-soft",
    "qcfs": "if-soft",
    "rmp": "if-soft",
    "snn-calibration": "if-soft",
    "spike-norm": "if-hard",
    "stbp": "lif",
    "threshold-relu": "if-soft",
}


def test_every_method_is_in_the_table() -> None:
    assert set(DEFAULTS) == set(methods())


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_settings_of_a_method_by_default(name: str) -> None:
    plain = configure(name).to_dict()
    assert plain == {"name": name, "version": 1, **DEFAULTS[name]}
    assert methods()[name].anytime == (name in FOR_EVERY_T)


@pytest.mark.parametrize("name", NEURONS)
def test_the_neuron_of_a_method(name: str) -> None:
    assert configure(name).neuron() == NEURONS[name]
    assert configure(name).input_neuron() == ("poisson" if name == "spike-norm" else "if-soft")


def test_the_neuron_follows_the_reset_rule() -> None:
    assert configure("rueckauer", reset="hard").neuron() == "if-hard"
