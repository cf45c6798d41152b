# SPDX-License-Identifier: Apache-2.0
"""Laws of the signed radix code and its neuron, against whole numbers and fractions."""

from fractions import Fraction
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.calibration import RangeHistogram, priced_thresholds
from spikewright.codes import Radix, SignedRadix
from spikewright.errors import ConfigError
from spikewright.neurons import max_gate
from spikewright.neurons.two_thresholds import TwoThresholds
from tests.property.strategies import Window, windows


class Recipe(NamedTuple):
    """How to make a code; made in tests, since Hypothesis forbids random numbers in strategies."""

    T: int
    price: float | None
    seed: int
    least: float

    def made(self) -> SignedRadix:
        """Return the non-adjacent form, or thresholds that a price gives for random values."""
        if self.price is None:
            return SignedRadix(T=self.T)
        seen, generator = RangeHistogram(2), torch.Generator().manual_seed(self.seed)
        seen.update(self.least - torch.rand((2, 500), generator=generator).log())
        return priced_thresholds(seen, self.T, torch.tensor([3.0, 2.0]), 0.5, self.price)


def recipes(most: int = 7) -> st.SearchStrategy[Recipe]:
    return st.builds(
        Recipe,
        T=st.integers(1, most),
        price=st.sampled_from([None, 1e-4, 1e-3, 0.02, 0.3, 5.0]),
        seed=st.integers(0, 99),
        least=st.sampled_from([0.0, 1.0]),
    )


def sent(target: Fraction, code: SignedRadix) -> list[int]:
    """Return the train of a target, in exact arithmetic."""
    residual, train = max(Fraction(0), min(target, Fraction(code.max_value))), []
    for weight, (rise, fall) in zip(code.weights, code.thresholds, strict=True):
        train.append(int(residual >= Fraction(rise)) - int(residual < Fraction(fall)))
        residual -= Fraction(weight) * train[-1]
    return train


def dense(code: SignedRadix, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.arange(-2.0 * 48, (code.max_value + 3.0) * 48, dtype=dtype) / 48


@given(T=st.integers(1, 12))
def test_free_of_price_values_are_those_of_the_binary_code_with_no_more_spikes(T: int) -> None:
    signed, binary, values = SignedRadix(T=T), Radix(T=T), torch.arange(2.0**T)
    target = torch.rand(999, generator=torch.Generator().manual_seed(T)) * 2.2**T - 2.0
    for both in (False, True):
        assert torch.equal(
            signed.quantise_(target.clone(), both), binary.quantise_(target.clone(), both)
        )
    assert bool((signed.count(values) <= binary.count(values)).all())
    if T >= 6:
        assert signed.count(values).float().mean() < 0.93 * binary.count(values).float().mean()


@given(T=st.integers(2, 12))
def test_within_two_thirds_of_the_range_no_two_spikes_are_neighbours(T: int) -> None:
    train = SignedRadix(T=T).encode(torch.arange(float(2 ** (T + 1) // 3)))
    assert not (train[1:] * train[:-1]).any()


@given(T=st.integers(1, 9))
def test_no_signed_train_of_as_many_digits_has_fewer_spikes(T: int) -> None:
    least = {0: 0}
    for weight in (2**j for j in range(T)):
        for value, spikes in list(least.items()):
            for other in (value + weight, value - weight):
                least[other] = min(least.get(other, T + 1), spikes + 1)
    counts = SignedRadix(T=T).count(torch.arange(2.0**T)).tolist()
    assert counts == [least[n] for n in range(2**T)]


@settings(max_examples=25)
@given(recipes())
def test_trains_are_those_of_exact_arithmetic_in_either_precision(recipe: Recipe) -> None:
    code = recipe.made()
    for dtype in (torch.float32, torch.float64):
        target = dense(code, dtype)
        expected = [sent(Fraction(v), code) for v in target.tolist()]
        assert code.encode(target).T.tolist() == expected


@given(recipes(), st.booleans())
def test_closed_form_prefixes_and_counts_are_those_of_the_train(
    recipe: Recipe, signed: bool
) -> None:
    code = recipe.made()
    target = dense(code) - (code.max_value / 2 if signed else 0.0)
    train = code.encode(target, signed)
    n = code.decode(train)
    assert torch.equal(code.quantise_(target.clone(), signed), n)
    assert torch.equal(code.count(n).float(), train.abs().sum(0))
    tally = code.tally(signed)
    tally.add(n.view(1, -1))
    assert torch.equal(tally.total().float(), train.abs().sum(0))
    for t in range(code.steps + 1):
        cut = train.clone()
        cut[t:] = 0.0
        assert torch.equal(code.prefix(n, t), code.decode(cut))
    if not signed:
        assert set(code.levels(1 << 12) or ()) == set(n.tolist())


@given(recipes())
def test_what_the_first_steps_carry_never_falls_as_the_target_rises(recipe: Recipe) -> None:
    code = recipe.made()
    n = code.quantise_(dense(code))
    for t in range(code.steps + 1):
        assert bool((code.prefix(n, t).diff() >= 0).all())


@given(recipes())
def test_the_neuron_fires_the_code_step_by_step(recipe: Recipe) -> None:
    code = recipe.made()
    target = dense(code, torch.float64)
    for signed, threshold in ((False, 1.0), (False, torch.full((1,), 3.0).double()), (True, 0.5)):
        v = (target - (5.0 if signed else 0.0)) * threshold
        train = code.encode(v / threshold, signed)
        for t in range(1, code.steps + 1):
            fired = TwoThresholds.fire_(v, threshold, code, t, signed, torch.empty_like(v))
            if signed:
                assert torch.equal(code.weights[t - 1] * fired, code.weights[t - 1] * train[t - 1])
            else:
                assert torch.equal(fired, train[t - 1])


@given(windows(), recipes(most=6), st.booleans(), st.integers(0, 2**31 - 1))
def test_the_streaming_gate_sends_the_train_of_the_maximum(
    window: Window, recipe: Recipe, signed: bool, seed: int
) -> None:
    code = recipe.made()
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand((1, 1, *window.size), generator=generator) * (code.max_value + 1.5)
    target = target - 0.7 * code.max_value if signed else target
    train, state = code.encode(target, signed), None
    expected = code.encode(window.pool(target), signed)
    for t in range(code.steps):
        pooled, state = max_gate.step(state, train[t], window.pool, code.pool_base)
        assert torch.equal(pooled, expected[t])


@given(T=st.integers(1, 8), seed=st.integers(0, 99), price=st.sampled_from([1e-4, 1e-2, 0.3, 5.0]))
def test_thresholds_from_a_price_cost_no_more_than_the_non_adjacent_form(
    T: int, seed: int, price: float
) -> None:
    seen = RangeHistogram(1)
    values = -torch.rand((1, 2000), generator=torch.Generator().manual_seed(seed)).log()
    seen.update(values)
    unit = 6.0 / (2**T - 1)
    middles = ((torch.arange(seen.bins * 4) + 0.5) / 4 * float(seen.bin_width)).double()
    # the search looks at places of a sixteenth of a unit, so does this sum
    target = ((middles / unit + 0.5).clamp(max=2.0**T - 1) * 16).floor() / 16
    share = seen.counts[0].double().repeat_interleave(4) / 4

    def cost(code: SignedRadix) -> float:
        n = code.quantise_(target.clone())
        error = (target + 1 / 32 - 0.5 - n) ** 2 * unit**2
        return float((share * (error + price * code.count(n).double())).sum())

    priced = priced_thresholds(seen, T, torch.tensor(6.0), 0.5, price)
    assert cost(priced) <= cost(SignedRadix(T=T)) * (1 + 1e-9)


def test_thresholds_by_hand_may_be_those_of_the_binary_code() -> None:
    code, values = SignedRadix(T=3, rise=(4.0, 2.0, 1.0), fall=(-3.0, -1.0, 0.0)), torch.arange(8.0)
    assert torch.equal(code.encode(values), Radix(T=3).encode(values))
    assert torch.equal(code.count(values), Radix(T=3).count(values))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"T": 0}, "T >= 1 and at most 16, got T=0"),
        ({"T": 17}, "T >= 1 and at most 16, got T=17"),
        ({"T": 2, "rise": (2.0,), "fall": (-1.0, 0.0)}, "expected 2 thresholds of either sign"),
        ({"T": 2, "rise": (0.9375, 1.0), "fall": (-1.0, 0.0)}, "at least half of their step"),
        ({"T": 2, "rise": (2.03, 1.0), "fall": (-1.0, 0.0)}, "multiples of 1/16"),
        ({"T": 2, "rise": (2.0, 1.0), "fall": (-1.0, 0.5)}, "expected 2 thresholds"),
        ({"T": 2, "rise": (1.0, 0.5), "fall": (-1.0, 0.0)}, "write one in two ways"),
    ],
)
def test_thresholds_that_do_not_make_a_code_are_refused(
    settings: dict[str, object], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        SignedRadix(**settings)  # type: ignore[arg-type]
