# SPDX-License-Identifier: Apache-2.0
"""The rate code: misuse first, then numbers that can be checked by hand, then its laws."""

import math
from fractions import Fraction

import torch
from hypothesis import given
from hypothesis import strategies as st

from spikewright.codes import Rate
from spikewright.neurons import Firing, stepping


def test_spikes_are_spread_evenly() -> None:
    train = Rate(T=8).encode(torch.tensor([0.0, 1.0, 3.0, 4.0, 8.0]))
    assert train.T.tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 1],  # floor(t/8)
        [0, 0, 1, 0, 0, 1, 0, 1],  # floor(3t/8) = 0 0 1 1 1 2 2 3
        [0, 1, 0, 1, 0, 1, 0, 1],
        [1, 1, 1, 1, 1, 1, 1, 1],
    ]


def test_targets_are_clipped_and_floored_signed_ones_truncated() -> None:
    code = Rate(T=3)
    target = torch.tensor([-9.0, -2.9, -0.9, 0.0, 0.9, 2.9, 9.0])
    assert code.encode(target).sum(0).tolist() == [0, 0, 0, 0, 0, 2, 3]
    assert code.quantise_(target.clone()).tolist() == [0, 0, 0, 0, 0, 2, 3]
    assert code.encode(target, signed=True).sum(0).tolist() == [-3, -2, 0, 0, 0, 2, 3]
    assert code.quantise_(target, signed=True).tolist() == [-3, -2, 0, 0, 0, 2, 3]


def test_quantise_works_in_place_and_encode_does_not() -> None:
    code, target = Rate(T=4), torch.tensor([3.7, -1.0])
    kept = target.clone()
    code.encode(target)
    code.encode(target, signed=True)
    assert torch.equal(target, kept)
    assert code.quantise_(target) is target
    assert target.tolist() == [3.0, 0.0]


def test_a_value_costs_as_many_spikes_as_it_counts() -> None:
    assert Rate(T=300).count(torch.tensor([0.0, 300.0, -7.0])).tolist() == [0, 300, 7]


def test_prefix_is_what_the_even_train_carries_so_far() -> None:
    code, n = Rate(T=8), torch.tensor([3.0, -3.0, 8.0])
    assert [code.prefix(n, t).tolist() for t in (0, 2, 3, 6, 8)] == [
        [0, 0, 0],
        [0, 0, 2],
        [1, -1, 3],
        [2, -2, 6],
        [3, -3, 8],
    ]


def test_levels_are_listed_up_to_a_limit() -> None:
    assert Rate(T=3).levels(4) == (0.0, 1.0, 2.0, 3.0)
    assert Rate(T=3).levels(3) is None


def test_a_constant_current_enters_evenly() -> None:
    assert [Rate(T=4).share(t) for t in range(5)] == [0.0, 0.25, 0.5, 0.75, 1.0]


@given(T=st.integers(1, 70), n=st.integers(-70, 70))
def test_prefixes_are_cut_off_and_spikes_counted(T: int, n: int) -> None:
    """By step t trunc(t·n/T) have come, one spike each."""
    n = max(-T, min(T, n))
    code, value = Rate(T=T), torch.tensor([float(n)])
    assert code.count(value).item() == code.encode(value, signed=True).abs().sum() == abs(n)
    for t in range(T + 1):
        assert code.prefix(value, t).item() == math.trunc(Fraction(t * n, T))


@given(T=st.integers(1, 64), n=st.integers(0, 64))
def test_it_is_the_train_of_a_soft_reset_neuron_under_a_constant_current(T: int, n: int) -> None:
    """Current n/T, θ = 1, v_0 = 0; the numbers are scaled by T so that both are exact."""
    n = min(n, T)
    neuron, firing = stepping("if-soft"), Firing(threshold=float(T))
    current = torch.tensor([[float(n)]])
    state = neuron.begin(current, firing)
    fired = [neuron.step_(state, current, firing, torch.empty(1, 1)).item() for _ in range(T)]
    assert Rate(T=T).encode(torch.tensor([float(n)])).flatten().tolist() == fired
