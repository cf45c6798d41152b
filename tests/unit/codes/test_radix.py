# SPDX-License-Identifier: Apache-2.0
"""The radix code: misuse first, then numbers that can be checked by hand."""

import math

import pytest
import torch

from spikewright.codes import Radix
from spikewright.errors import ConfigError


@pytest.mark.parametrize("T", [0, -3, True])
def test_steps_must_be_a_positive_whole_number(T: int) -> None:
    with pytest.raises(
        ConfigError, match=f"expected a whole number of time steps T >= 1, got T={T}"
    ):
        Radix(T=T)


@pytest.mark.parametrize("k", [1.0, 0.5, 2.0000001, -2.0, math.inf, math.nan])
def test_k_must_be_in_one_to_two(k: float) -> None:
    with pytest.raises(ConfigError, match=r"expected k in \(1, 2\], got k="):
        Radix(k=k)


@pytest.mark.parametrize(
    "settings",
    [
        {"T": 25},
        {"T": 24, "extra_step": True},
        {"T": 42, "k": 1.5},
        {"T": 10**9, "k": 1.0 + 1e-12},
        {"T": 10**4, "k": 2.0},
    ],
)
def test_more_than_float32_holds_is_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match="24 bits, which is what float32 holds exactly"):
        Radix(**settings)


def test_the_widest_binary_code_is_exact() -> None:
    code = Radix(T=24)
    top = torch.tensor([2.0**24 - 1, 2.0**24, 3.0e9])
    assert code.quantise_(top.clone()).tolist() == [2.0**24 - 1] * 3
    assert code.count(code.quantise_(top.clone())).tolist() == [24] * 3
    assert code.decode(code.encode(top)).tolist() == [2.0**24 - 1] * 3


def test_extra_step_halves_the_unit() -> None:
    plain, finer = Radix(T=3), Radix(T=3, extra_step=True)
    assert (plain.steps, finer.steps) == (3, 4)
    assert finer.weights == (8.0, 4.0, 2.0, 1.0)
    a = torch.tensor([0.55])
    coarse = plain.quantise_(a * plain.max_value) / plain.max_value
    fine = finer.quantise_(a * finer.max_value) / finer.max_value
    assert (a - fine).abs() < (a - coarse).abs()


def test_short_fractions_keep_their_powers() -> None:
    assert Radix(k=1.5, T=4).weights == (3.375, 2.25, 1.5, 1.0)
    assert Radix(k=1.5, T=4).max_value == (1.5**4 - 1) / 0.5


def test_signed_targets_truncate_towards_zero() -> None:
    code = Radix(T=3)
    target = torch.tensor([-9.0, -2.9, -0.9, 0.0, 0.9, 2.9, 9.0])
    assert code.encode(target, signed=True).sum(0).tolist() == [-3, -1, 0, 0, 0, 1, 3]
    assert code.quantise_(target, signed=True).tolist() == [-7, -2, 0, 0, 0, 2, 7]


def test_quantise_works_in_place_and_encode_does_not() -> None:
    for code in (Radix(T=4), Radix(T=4, k=1.5)):
        target = torch.tensor([3.7, -1.0])
        kept = target.clone()
        code.encode(target)
        code.encode(target, signed=True)
        assert torch.equal(target, kept)
        assert code.quantise_(target) is target
        assert not torch.equal(target, kept)


def test_long_trains_count_beyond_a_byte() -> None:
    code = Radix(k=1.001, T=300)
    n = code.quantise_(torch.tensor([code.max_value, 0.0]))
    assert code.count(n).tolist() == [300, 0]
