# SPDX-License-Identifier: Apache-2.0
"""Laws of the radix code, the inverse-LIF neuron and the max-pool gate, against fractions."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikewright.codes import Radix
from spikewright.codes.tally import OnesTally, popcount
from spikewright.neurons import inverse_lif, max_gate
from tests.property.strategies import Window, dyadic_codes, radix_codes, targets, windows


def greedy(target: Fraction, weights: list[Fraction]) -> tuple[list[int], Fraction]:
    """Return the greedy train of a number and what it leaves, in exact arithmetic."""
    train = []
    for weight in weights:
        train.append(int(target >= weight))
        target -= weight * train[-1]
    return train, target


def fire_all(v: Tensor, code: Radix, v_th: float, signed: bool = False) -> Tensor:
    """Fire a whole train with the neuron's own functions; ``v`` ends as the final potential."""
    threshold = v_th * code.k ** (code.steps - 1)
    return torch.stack([inverse_lif.fire_(v, threshold, code.k, signed) for _ in range(code.steps)])


@given(radix_codes())
def test_weights_are_powers_of_k_within_float32(code: Radix) -> None:
    full = 2.0 ** math.ceil(math.log2(sum(code.k**j for j in range(code.steps)) + 1.0))
    assert code.weights[-1] == 1.0
    for weight, j in zip(reversed(code.weights), range(code.steps), strict=True):
        # Half a grid step, which grows along the row only if the completeness bound bites.
        assert weight == pytest.approx(code.k**j, abs=full * 2.0**-25 * (j + 1))
    assert code.max_value == sum(code.weights)
    if code.k < 2.0:
        series = (code.k**code.steps - 1.0) / (code.k - 1.0)
        assert code.max_value == pytest.approx(series, rel=1e-5)
    else:
        assert code.max_value == 2.0**code.steps - 1.0


@given(radix_codes())
def test_no_weight_exceeds_the_rest_by_more_than_a_unit(code: Radix) -> None:
    for j, weight in enumerate(code.weights):
        assert weight <= 1.0 + sum(code.weights[j + 1 :])


@given(st.data())
def test_greedy_is_exact_and_leaves_less_than_a_unit(data: st.DataObject) -> None:
    code = data.draw(radix_codes())
    target = data.draw(targets()).of(code)
    train = code.encode(target)
    weights = [Fraction(w) for w in code.weights]
    top = sum(weights)
    for i, value in enumerate(target.tolist()):
        expected, residual = greedy(Fraction(value), weights)
        assert train[:, i].tolist() == expected
        if 0 <= value < top + 1:
            assert 0 <= residual < 1
        if value >= top:
            assert all(expected)
        if value < 1:
            assert not any(expected)
        n = sum(w * s for w, s in zip(weights, expected, strict=True))
        assert Fraction(code.decode(train)[i].item()) == n


@given(st.data(), st.booleans())
def test_closed_form_equals_stepping(data: st.DataObject, signed: bool) -> None:
    code = data.draw(radix_codes())
    target = data.draw(targets()).of(code)
    train = code.encode(target, signed)
    n = code.decode(train)
    assert torch.equal(code.quantise_(target.clone(), signed), n)
    assert torch.equal(code.encode(n, signed), train)
    assert torch.equal(code.count(n, signed).to(n.dtype), train.abs().sum(0))
    tally = code.tally(signed)
    tally.add(n.view(1, -1))
    tally.add(torch.stack([n, n]))
    assert torch.equal(tally.total().to(n.dtype), 3 * train.abs().sum(0))
    for t in range(code.steps + 1):
        cut = train.clone()
        cut[t:] = 0.0
        assert torch.equal(code.prefix(n, t), code.decode(cut))
        assert code.share(t) == pytest.approx(sum(code.weights[:t]) / sum(code.weights), abs=1e-12)


@given(st.data())
def test_quantising_follows_memory_order(data: st.DataObject) -> None:
    code = data.draw(radix_codes())
    flat = torch.rand(2 * 3 * 4 * 5, generator=torch.Generator().manual_seed(1)) * code.max_value
    expected = code.decode(code.encode(flat.view(2, 3, 4, 5)))
    last = flat.view(2, 3, 4, 5).clone(memory_format=torch.channels_last)
    assert torch.equal(code.quantise_(last), expected)
    gaps = torch.zeros(2, 3, 4, 10)
    gaps[..., ::2] = flat.view(2, 3, 4, 5)
    assert torch.equal(code.quantise_(gaps[..., ::2]), expected)
    assert not gaps[..., 1::2].any()


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda n: n.contiguous(),
    "channels last": lambda n: n.contiguous(memory_format=torch.channels_last),
    "every second input": lambda n: n.repeat_interleave(2, 0)[::2],
    "with gaps": lambda n: torch.cat([n, n], 3)[..., : n.shape[3]],
}


@given(
    bits=st.integers(1, 24),
    seed=st.integers(0, 2**31 - 1),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    layouts=st.lists(st.sampled_from(sorted(LAYOUTS)), min_size=1, max_size=4),
    shape=st.tuples(*(st.integers(1, most) for most in (5, 9, 4, 3))),
    signed=st.booleans(),
)
def test_tallies_count_ones(
    bits: int,
    seed: int,
    dtype: torch.dtype,
    layouts: list[str],
    shape: tuple[int, int, int, int],
    signed: bool,
) -> None:
    """Of each neuron, however batches lie; with ``alike``, in every sum that it allows."""
    generator = torch.Generator().manual_seed(seed)
    alike = [
        torch.randint(0, 3, (1, *shape[2:]), generator=generator).expand(shape[1:]),
        torch.randint(1, 3, (shape[1], 1, 1), generator=generator).sort(0).values.expand(shape[1:]),
    ]
    each, together = OnesTally(bits, signed), OnesTally(bits, signed, alike)
    expected = torch.zeros(shape[1:], dtype=torch.int64)
    for layout in layouts:
        n = torch.randint(-(2**bits) + 1 if signed else 0, 2**bits, shape, generator=generator)
        ones = [abs(value).bit_count() for value in n.flatten().tolist()]
        expected += torch.tensor(ones).view(shape).sum(0)
        for tally in (each, together):
            tally.add(LAYOUTS[layout](n.to(dtype)))
        assert popcount(n.to(dtype)).flatten().tolist() == ones
        assert torch.equal(each.total(), expected)
    assert together.total().sum() == expected.sum()
    for numbers in alike:
        assert (together.total() * numbers).sum() == (expected * numbers).sum()


@given(st.data(), st.sampled_from([0.25, 1.0, 3.0]))
def test_final_potential_is_what_the_train_left(data: st.DataObject, v_th: float) -> None:
    code = data.draw(dyadic_codes())
    k, steps = Fraction(code.k), code.steps
    eighths = data.draw(st.lists(st.integers(-2000, 4000), min_size=1, max_size=8))
    v_acc = torch.tensor(eighths, dtype=torch.float64) / 8.0
    v = v_acc.clone()
    train = fire_all(v, code, v_th)
    for i, start in enumerate(v_acc.tolist()):
        n = sum(int(s) * k ** (steps - 1 - j) for j, s in enumerate(train[:, i].tolist()))
        assert Fraction(v[i].item()) == k**steps * (Fraction(start) - Fraction(v_th) * n)
        if start <= 0:
            assert n == 0
        if 0 <= start < v_th * (code.max_value + 1):
            assert 0 <= Fraction(v[i].item()) < k**steps * Fraction(v_th)
    if v_th != 3.0:
        assert torch.equal(train, code.encode(v_acc / v_th))


@given(st.data())
def test_accumulating_decodes_the_incoming_train(data: st.DataObject) -> None:
    code = data.draw(dyadic_codes())
    target = data.draw(targets()).of(code).double()
    weight, bias = 0.75, 0.125
    v = torch.zeros_like(target)
    for spikes in code.encode(target):
        inverse_lif.accumulate_(v, weight * spikes + bias, code.k)
    n = code.quantise_(target.clone())
    assert torch.equal(v, weight * n + bias * code.max_value)


@given(st.data(), st.sampled_from([0.0, 0.25, 0.5, 0.875]))
def test_signed_neuron_is_an_on_off_pair(data: st.DataObject, share: float) -> None:
    code = data.draw(dyadic_codes())
    v_th = data.draw(st.sampled_from([1.0, 0.5, 2.0]))
    v_acc = data.draw(targets()).of(code).double() * v_th
    per_channel = data.draw(st.booleans())
    bias = torch.full((1,), share * v_th, dtype=torch.float64) if per_channel else share * v_th
    v = inverse_lif.begin_fire_(v_acc.clone(), bias, signed=True)
    target = v / v_th
    train = fire_all(v, code, v_th, signed=True)
    on = fire_all(inverse_lif.begin_fire_(v_acc.clone(), bias), code, v_th)
    off = fire_all(inverse_lif.begin_fire_(-v_acc, bias), code, v_th)
    assert torch.equal(train, on - off)
    assert not (on * off).any()
    assert torch.equal(code.decode(train), code.quantise_(target, signed=True))


def alive_gate(train: Tensor, window: Window) -> Tensor:
    """Pool trains window by window with an alive mask; "steps batch *map", plain loops."""
    axes = [window.members(axis) for axis in range(len(window.size))]
    shape = tuple(len(axis) for axis in axes)
    out = torch.zeros((*train.shape[:2], *shape), dtype=train.dtype)
    for sample in range(train.shape[1]):
        for place in itertools.product(*map(range, shape)):
            positions = itertools.product(*(axes[a][o] for a, o in enumerate(place)))
            alive = list(positions)
            for t in range(train.shape[0]):
                symbols = {p: train[(t, sample, *p)].item() for p in alive}
                winner = max(symbols.values())
                alive = [p for p in alive if symbols[p] == winner]
                out[(t, sample, *place)] = winner
    return out


@given(windows(), radix_codes(max_steps=8), st.booleans(), st.integers(0, 2**31 - 1))
def test_streaming_gate_is_the_code_of_the_maximum(
    window: Window, code: Radix, signed: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand((1, 1, *window.size), generator=generator) * (code.max_value + 1.5)
    if signed:
        target = target - 0.7 * code.max_value
    if seed % 2:  # many equal values: ties inside a window
        target = (target / 3.0).round() * 3.0
    train = code.encode(target, signed)
    expected = code.encode(window.pool(target), signed)
    literal = alive_gate(train[:, :, 0], window)[:, :, None]
    state = None
    for t in range(code.steps):
        before = train[t].clone()
        pooled, state = max_gate.step(state, train[t], window.pool, code.pool_base)
        assert torch.equal(train[t], before)
        assert torch.equal(pooled, expected[t])
        assert torch.equal(pooled, literal[t])


@given(st.data())
def test_a_code_gives_the_largest_level_not_above_its_target(data: st.DataObject) -> None:
    code = data.draw(radix_codes(max_steps=9))
    target = data.draw(targets()).of(code)
    levels = code.levels(2**12)
    assert levels is not None
    assert list(levels) == sorted(set(levels))
    assert levels[-1] == code.max_value
    expected = [max(level for level in levels if level <= max(t, 0.0)) for t in target.tolist()]
    assert code.quantise_(target).tolist() == expected
    assert code.levels(len(levels) - 1) is None
