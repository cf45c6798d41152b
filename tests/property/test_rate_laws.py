# SPDX-License-Identifier: Apache-2.0
"""Laws of neurons and gates whose steps all weigh the same; the references are fractions."""

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikewright.neurons import Firing, LateralInhibition, stepping
from spikewright.neurons.count_gate import AccumulatedCountGate
from tests.property.strategies import Drive, Symbols, Window, drives, symbols, windows

DTYPES = st.sampled_from([torch.float32, torch.float64])


def exact(values: Tensor) -> list[Fraction]:
    return [Fraction(float(x)) for x in values.flatten()]


def steps(
    name: str, currents: list[Tensor], firing: Firing
) -> Iterator[tuple[list[Fraction], list[Fraction]]]:
    """Yield spikes and potentials after each step as fractions."""
    neuron = stepping(name)
    state = neuron.begin(currents[0], firing)
    for current in currents:
        spikes = neuron.step_(state, current, firing, torch.empty_like(current))
        yield exact(spikes), exact(state["v"])


def sixteenths(numbers: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.tensor([numbers], dtype=dtype) / 16


def driven(drive: Drive, dtype: torch.dtype, gamma: int, signed: bool) -> tuple[list, Firing]:
    firing = Firing(
        threshold=sixteenths(drive.thresholds, dtype),
        v_init=sixteenths(drive.v_init, dtype),
        gamma=gamma,
        signed=signed,
    )
    return [sixteenths(row, dtype) for row in drive.currents], firing


@given(
    drive=drives(),
    name=st.sampled_from(["if-soft", "burst"]),
    gamma=st.integers(1, 6),
    signed=st.booleans(),
    dtype=DTYPES,
)
def test_law_2_subtraction_conserves_charge(
    drive: Drive, name: str, gamma: int, signed: bool, dtype: torch.dtype
) -> None:
    """v_t = v_0 + Σ_(τ ≤ t) I[τ] - θ·N_t at every step, exactly; silent neurons keep v."""
    currents, firing = driven(drive, dtype, gamma, signed)
    charge = [Fraction(v, 16) for v in drive.v_init]
    sent = [Fraction(0) for _ in charge]
    before = charge
    for row, (spikes, v) in zip(drive.currents, steps(name, currents, firing), strict=True):
        charge = [c + Fraction(i, 16) for c, i in zip(charge, row, strict=True)]
        sent = [n + s for n, s in zip(sent, spikes, strict=True)]
        for i, theta in enumerate(drive.thresholds):
            assert v[i] == charge[i] - Fraction(theta, 16) * sent[i]
            if spikes[i] == 0:
                assert v[i] == before[i] + Fraction(row[i], 16)
        before = v


@given(drive=drives(), gamma=st.integers(1, 6), signed=st.booleans(), dtype=DTYPES)
def test_a_burst_is_what_its_equation_says(
    drive: Drive, gamma: int, signed: bool, dtype: torch.dtype
) -> None:
    """Spikes are clamp(floor(v/θ), 0, Γ), signed clamp(trunc(v/θ), -Γ, Γ), in fractions."""
    currents, firing = driven(drive, dtype, gamma, signed)
    v = [Fraction(x, 16) for x in drive.v_init]
    for row, (spikes, _) in zip(drive.currents, steps("burst", currents, firing), strict=True):
        for i, theta in enumerate(drive.thresholds):
            v[i] += Fraction(row[i], 16)
            whole = v[i] / Fraction(theta, 16)
            low, number = (-gamma, math.trunc(whole)) if signed else (0, math.floor(whole))
            assert spikes[i] == max(low, min(gamma, number))
            v[i] -= Fraction(theta, 16) * spikes[i]


@given(drive=drives(), signed=st.booleans())
def test_hard_reset_forgets_what_exceeds_the_threshold(drive: Drive, signed: bool) -> None:
    """After a spike v is 0, in silence v + I; the charge law breaks by what was thrown away."""
    currents, firing = driven(drive, torch.float32, 1, signed)
    v = [Fraction(x, 16) for x in drive.v_init]
    for row, (spikes, after) in zip(
        drive.currents, steps("if-hard", currents, firing), strict=True
    ):
        for i, theta in enumerate(drive.thresholds):
            full = v[i] + Fraction(row[i], 16)
            fires = full >= Fraction(theta, 16) or (signed and full <= Fraction(-theta, 16))
            assert abs(spikes[i]) == fires
            assert after[i] == (0 if fires else full)
        v = after


@given(
    seed=st.integers(0, 2**31 - 1),
    signed=st.booleans(),
    scalar=st.booleans(),
    dtype=DTYPES,
)
def test_law_3_a_burst_of_one_is_the_soft_reset_neuron(
    seed: int, signed: bool, scalar: bool, dtype: torch.dtype
) -> None:
    """Γ = 1: the same spikes and potentials bit for bit, for any float currents and thresholds."""
    generator = torch.Generator().manual_seed(seed)
    thresholds = torch.rand((4, 1), generator=generator, dtype=dtype) * 3 + 1e-3
    currents = torch.randn((20, 2, 4, 3), generator=generator, dtype=dtype) * 2
    currents[::4] = thresholds * currents[::4].round()  # ties, as far as float goes
    firing = Firing(
        threshold=float(thresholds[0]) if scalar else thresholds,
        v_init=float(thresholds[0]) / 2 if scalar else thresholds / 2,
        signed=signed,
    )
    soft, burst = stepping("if-soft"), stepping("burst")
    a, b = soft.begin(currents[0], firing), burst.begin(currents[0], firing)
    for current in currents:
        one = soft.step_(a, current, firing, torch.empty_like(current))
        other = burst.step_(b, current, firing, torch.empty_like(current))
        assert torch.equal(one, other)
        assert torch.equal(a["v"], b["v"])


@given(
    numerator=st.integers(-400, 400),
    threshold=st.integers(1, 64),
    T=st.integers(1, 40),
    gamma=st.integers(1, 5),
    dtype=DTYPES,
)
def test_law_7_a_constant_current_is_rounded(
    numerator: int, threshold: int, T: int, gamma: int, dtype: torch.dtype
) -> None:
    """Constant a of any sign, v_0 = θ/2: N = clip(floor(aT/θ + ½), 0, ΓT); soft reset is Γ = 1."""
    a, theta = Fraction(numerator, 32), Fraction(threshold, 16)
    firing = Firing(threshold=float(theta), v_init=float(theta / 2), gamma=gamma)
    currents = [torch.tensor([[float(a)]], dtype=dtype)] * T
    for name, most in (("if-soft", 1), ("burst", gamma)):
        count = sum(spikes[0] for spikes, _ in steps(name, currents, firing))
        assert count == max(0, min(most * T, math.floor(a * T / theta + Fraction(1, 2))))


@given(
    drive=drives(low=0, high=48),
    start=st.fractions(0, Fraction(15, 16), max_denominator=16),
    dtype=DTYPES,
)
def test_a_count_is_what_fits_into_the_charge(
    drive: Drive, start: Fraction, dtype: torch.dtype
) -> None:
    """0 ≤ I ≤ θ and v_0 in [0, θ): N = floor((v_0 + Σ I)/θ) at every step, soft reset and burst."""
    thresholds = tuple(max(row[i] for row in drive.currents) or 1 for i in range(len(drive.v_init)))
    v_init = tuple(math.floor(start * theta) for theta in thresholds)
    drive = Drive(drive.currents, v_init, thresholds)
    currents, firing = driven(drive, dtype, 3, False)
    for name in ("if-soft", "burst"):
        charge, sent = list(v_init), [Fraction(0)] * len(v_init)
        for row, (spikes, _) in zip(drive.currents, steps(name, currents, firing), strict=True):
            charge = [c + i for c, i in zip(charge, row, strict=True)]
            sent = [n + s for n, s in zip(sent, spikes, strict=True)]
            assert sent == [c // theta for c, theta in zip(charge, thresholds, strict=True)]


@given(
    drive=drives(),
    exponent=st.integers(-20, 20),
    name=st.sampled_from(["if-soft", "if-hard", "burst"]),
    signed=st.booleans(),
)
def test_units_do_not_matter(drive: Drive, exponent: int, name: str, signed: bool) -> None:
    """I, θ and v_0 scaled together by a power of two: the same spikes."""
    currents, firing = driven(drive, torch.float32, 3, signed)
    factor = 2.0**exponent
    scaled = Firing(
        threshold=firing.threshold * factor,
        v_init=firing.v_init * factor,
        gamma=3,
        signed=signed,
    )
    plain = [spikes for spikes, _ in steps(name, currents, firing)]
    assert plain == [spikes for spikes, _ in steps(name, [c * factor for c in currents], scaled)]


def pooled(gate: type, train: Tensor, pool: Callable[[Tensor], Tensor]) -> Tensor:
    """Run a gate over a train; return its output train."""
    state, found = None, []
    for spikes in train:
        kept = spikes.clone()
        out, state = gate.step(state, spikes, pool)
        assert torch.equal(spikes, kept)
        found.append(out.clone())
    return torch.stack(found)


def members_of(window: Window) -> tuple[Tensor, Tensor]:
    """Unfold: flat input position of every member of every window, and whether it is there.

    Both are "window member"; members that fall into the padding are not there.
    """
    flat = torch.arange(math.prod(window.size)).reshape(window.size)
    axes = range(len(window.size))
    lists = [
        [int(flat[at]) for at in itertools.product(*inside)]
        for inside in itertools.product(*(window.members(a) for a in axes))
    ]
    longest = max(map(len, lists))
    index = torch.tensor([[*row, *[0] * (longest - len(row))] for row in lists])
    there = torch.tensor([[i < len(row) for i in range(longest)] for row in lists])
    return index, there


def literal(train: Tensor, window: Window) -> Tensor:
    """The equations as they stand, with a state for every member j of every window o.

    S_oj += x_j;  y_o = max_j S_oj;  S_oj -= y_o.
    """
    index, there = members_of(window)
    inhibition = torch.zeros((*train.shape[1:3], *index.shape))
    inhibition[..., ~there] = -torch.inf
    found = []
    for spikes in train:
        inhibition += spikes.flatten(2)[..., index]
        y = inhibition.amax(-1)
        inhibition -= y.unsqueeze(-1)
        found.append(y)
    return torch.stack(found)


@settings(max_examples=150)
@given(window=windows(), recipe=symbols())
def test_law_4_lateral_inhibition_sends_the_maximum(window: Window, recipe: Symbols) -> None:
    """Σ_(τ ≤ t) y_o = max_j Σ_(τ ≤ t) x_j at every step, and y is that of the literal equations."""
    train = recipe.make(window.size)
    sent = pooled(LateralInhibition, train, window.pool)
    index, there = members_of(window)
    totals = train.cumsum(0).flatten(3)[..., index].masked_fill(~there, -torch.inf).amax(-1)
    assert torch.equal(sent.cumsum(0).flatten(3), totals)
    assert torch.equal(sent.flatten(3), literal(train, window))


@given(window=windows(), recipe=symbols(low=0, high=1))
def test_counts_are_gate_enough_for_single_spikes(window: Window, recipe: Symbols) -> None:
    """Spikes in {0, 1}: the leader's spikes are the maximum's, so both gates send the same."""
    train = recipe.make(window.size)
    by_count = pooled(AccumulatedCountGate, train, window.pool)
    assert torch.equal(by_count, pooled(LateralInhibition, train, window.pool))


@given(window=windows(), recipe=symbols())
def test_gating_by_counts_never_sends_more_than_the_maximum(
    window: Window, recipe: Symbols
) -> None:
    """The maximum grows at least by what its leader sends."""
    train = recipe.make(window.size)
    by_count = pooled(AccumulatedCountGate, train, window.pool).cumsum(0)
    assert bool((by_count <= pooled(LateralInhibition, train, window.pool).cumsum(0)).all())


@pytest.mark.parametrize(
    ("train", "sent", "maximum"),
    [
        ([[1, 0], [0, 3]], [1, 0], [1, 3]),  # a burst overtakes: it is lost
        ([[1, 0], [-1, 1]], [1, -1], [1, 1]),  # the lead changes in one step
    ],
)
def test_gating_by_counts_breaks_law_4(train: list, sent: list, maximum: list) -> None:
    """Two inputs of one window, worked out by hand: y = max(x + 1000·Σx) - max(1000·Σx)."""

    def pool(maps: Tensor) -> Tensor:
        return maps.amax(-1, keepdim=True)

    x = torch.tensor(train, dtype=torch.float32)[:, None, None, :]
    assert pooled(AccumulatedCountGate, x, pool).flatten().tolist() == sent
    exactly = pooled(LateralInhibition, x, pool).flatten()
    assert exactly.cumsum(0).tolist() == maximum
    assert sum(sent) < maximum[-1]
