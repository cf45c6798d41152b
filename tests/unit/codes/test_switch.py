# SPDX-License-Identifier: Apache-2.0
"""The temporal-switch code: misuse first, then runs that can be checked by hand, then its laws."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from spikewright.codes import Switch
from spikewright.neurons import Firing, stepping


def test_a_value_is_one_run_from_the_start() -> None:
    train = Switch(T=4).encode(torch.tensor([-1.0, 0.9, 1.0, 2.7, 4.0, 9.0]))
    assert train.T.tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [1, 1, 1, 1],
        [1, 1, 1, 1],
    ]


def test_a_negative_value_is_a_negative_run() -> None:
    train = Switch(T=3).encode(torch.tensor([-2.9, 1.0]), signed=True)
    assert train.T.tolist() == [[-1, -1, 0], [1, 0, 0]]


def test_any_value_but_zero_costs_two_events() -> None:
    code = Switch(T=300)
    assert code.count(torch.tensor([0.0, 1.0, 300.0, -7.0])).tolist() == [0, 2, 2, 2]


def test_two_events_are_the_changes_of_the_train() -> None:
    """On the wire: +1 where the run begins, -1 after its end, which may be the step after T."""
    code, n = Switch(T=5), torch.tensor([0.0, 1.0, 3.0, 5.0])
    train = torch.cat([torch.zeros(1, 4), code.encode(n), torch.zeros(1, 4)])
    assert train.diff(dim=0).abs().sum(0).tolist() == code.count(n).tolist()


def test_encode_leaves_its_target_alone() -> None:
    code, target = Switch(T=4), torch.tensor([3.7, -1.0])
    code.encode(target)
    code.encode(target, signed=True)
    assert torch.equal(target, torch.tensor([3.7, -1.0]))


def test_prefix_is_how_long_the_switch_was_on() -> None:
    code, n = Switch(T=4), torch.tensor([3.0, -3.0, 0.0])
    assert [code.prefix(n, t).tolist() for t in (0, 1, 3, 4)] == [
        [0, 0, 0],
        [1, -1, 0],
        [3, -3, 0],
        [3, -3, 0],
    ]


def test_levels_and_share() -> None:
    assert Switch(T=2).levels(3) == (0.0, 1.0, 2.0)
    assert Switch(T=2).levels(2) is None
    assert [Switch(T=2).share(t) for t in range(3)] == [0.0, 0.5, 1.0]


@given(T=st.integers(1, 70), n=st.integers(-70, 70))
def test_a_train_is_one_run(T: int, n: int) -> None:
    n = max(-T, min(T, n))
    train = Switch(T=T).encode(torch.tensor([float(n)]), signed=True)
    sign = float((n > 0) - (n < 0))
    assert train.flatten().tolist() == [sign] * abs(n) + [0.0] * (T - abs(n))


@given(T=st.integers(1, 32), eighths=st.integers(-80, 300))
def test_it_is_the_train_of_a_soft_reset_neuron_that_has_its_whole_input(
    T: int, eighths: int
) -> None:
    """It fires while v ≥ θ and nothing enters; the first step takes in the whole input."""
    neuron, firing = stepping("if-soft"), Firing(threshold=1.0)
    whole = torch.tensor([[eighths / 8]])
    state = neuron.begin(whole, firing)
    fired = [
        neuron.step_(state, current, firing, torch.empty(1, 1)).item()
        for current in (whole, *[torch.zeros(1, 1)] * (T - 1))
    ]
    assert Switch(T=T).encode(whole).flatten().tolist() == fired
