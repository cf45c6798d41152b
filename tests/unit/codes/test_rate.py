# SPDX-License-Identifier: Apache-2.0
"""The rate code: misuse first, then numbers that can be checked by hand, then its laws."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikewright.codes import Code, Rate, codes
from spikewright.errors import ConfigError, UnknownNameError
from spikewright.neurons import Firing, stepping


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("T", [0, -3, True, 2.0, 1 << 24])
def test_steps_must_be_a_positive_whole_number_that_float32_counts(T: int) -> None:
    with pytest.raises(
        ConfigError,
        match=f"rate code: expected a whole number of time steps T from 1 to 16777215, got T={T}",
    ):
        Rate(T=T)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int32])
def test_other_number_types_are_refused(dtype: torch.dtype) -> None:
    code, values = Rate(T=2), torch.ones(2, 3).to(dtype)
    for call in (code.encode, code.decode, code.quantise_):
        with pytest.raises(ConfigError, match="expected float32 or float64, got"):
            call(values)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(3, 4), ()])
def test_a_train_of_another_length_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="rate code: expected a train of 2 steps, got shape"):
        Rate(T=2).decode(torch.ones(shape))


@pytest.mark.parametrize("t", [-1, 5])
def test_steps_outside_the_train_are_refused(t: int) -> None:
    with pytest.raises(ConfigError, match="rate code: expected t from 0 to 4 steps, got t="):
        Rate(T=4).share(t)
    with pytest.raises(ConfigError, match="rate code: expected t from 0 to 4 steps, got t="):
        Rate(T=4).prefix(torch.ones(1), t)


def test_it_is_a_code_found_by_name() -> None:
    assert codes()["rate"] is Rate
    assert isinstance(Rate(), Code)
    with pytest.raises(UnknownNameError, match="Did you mean 'rate'"):
        codes()["rat"]


def test_every_step_weighs_one() -> None:
    code = Rate(T=3)
    assert (code.T, code.steps, code.k, code.max_value) == (3, 3, 1.0, 3.0)
    assert code.weights == (1.0, 1.0, 1.0)
    assert code.pool_base == 1.0


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


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3)])
def test_scalars_and_empty_tensors(shape: tuple[int, ...]) -> None:
    code, target = Rate(T=4), torch.full(shape, 1.0)
    train = code.encode(target)
    assert train.shape == (4, *shape)
    assert torch.equal(code.decode(train), code.quantise_(target.clone()))
    assert code.count(target).shape == code.prefix(target, 2).shape == shape


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


def test_settings_survive_a_round_trip() -> None:
    plain = Rate(T=5).to_dict()
    assert plain == {"name": "rate", "version": 1, "T": 5}
    assert codes()[plain["name"]].from_dict(plain) == Rate(T=5)
    assert Rate.from_dict({"name": "rate"}) == Rate()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 2.0}, "got unknown 'k'"),
        ({"name": "radix"}, "expected settings with name 'rate', got 'radix'"),
        ({"version": 2}, "expected settings of version 1, got 2"),
        ({"T": 0}, "T from 1 to"),
    ],
)
def test_foreign_settings_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Rate.from_dict({**Rate().to_dict(), **change})


@given(T=st.integers(1, 70), share=st.fractions(-2, 2, max_denominator=97), signed=st.booleans())
def test_a_train_decodes_to_the_quantised_target_at_every_step(
    T: int, share: Fraction, signed: bool
) -> None:
    """Decoded: clip(floor(target), 0, T), signed trunc within ±T; prefixes are trunc(t·n/T)."""
    code = Rate(T=T)
    target = torch.tensor([float(share * T)], dtype=torch.float64)
    exact = Fraction(float(target))
    n = math.trunc(max(-T, min(T, exact))) if signed else max(0, min(T, math.floor(exact)))
    train = code.encode(target, signed)
    assert train.dtype == torch.float64
    assert set(train.flatten().tolist()) <= {-1.0, 0.0, 1.0}
    assert code.decode(train).item() == code.quantise_(target.clone(), signed).item() == n
    assert code.count(torch.tensor([float(n)])).item() == train.abs().sum() == abs(n)
    for t in range(T + 1):
        so_far = math.trunc(Fraction(t * n, T))
        assert train[:t].sum() == code.prefix(torch.tensor([float(n)]), t).item() == so_far


@given(T=st.integers(1, 64), n=st.integers(0, 64))
def test_it_is_the_train_of_a_soft_reset_neuron_under_a_constant_current(T: int, n: int) -> None:
    """Current n/T, θ = 1, v_0 = 0; the numbers are scaled by T so that both are exact."""
    n = min(n, T)
    neuron, firing = stepping("if-soft"), Firing(threshold=float(T))
    current = torch.tensor([[float(n)]])
    state = neuron.begin(current, firing)
    fired = [neuron.step_(state, current, firing, torch.empty(1, 1)).item() for _ in range(T)]
    assert Rate(T=T).encode(torch.tensor([float(n)])).flatten().tolist() == fired
