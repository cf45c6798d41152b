# SPDX-License-Identifier: Apache-2.0
"""A trace made by hand for every reset rule, potentials written out step by step.

Each row is current → potential before firing → spikes, potential after. A tie (v = θ) fires. All
numbers are short binary fractions, so both float types must give them exactly.
"""

from dataclasses import dataclass

import pytest
import torch

from spikewright.neurons import Firing, stepping

pytestmark = pytest.mark.golden


@dataclass(frozen=True)
class Trace:
    """A run: rows of current, spikes, potential after the step."""

    neuron: str
    firing: Firing
    rows: tuple[tuple[float, int, float], ...]


TRACES = {
    # CASC 2024, official code: spikes are taken back while the total is above zero, asleep too.
    "consistent": Trace(
        "consistent-if",
        Firing(wake=3),
        (
            (2.5, 1, 1.5),  # 2.5, one spike a step at most; N = 1
            (-2.0, -1, 0.5),  # -0.5, below zero: the spike is taken back; N = 0
            (-1.0, 0, -0.5),  # -0.5, but nothing is left to take back
            (4.0, 1, 2.5),  # asleep from here, clock 3; N = 1
            (0.0, 1, 1.5),  # N = 2
            (0.0, 1, 0.5),  # N = 3
            (1.5, 0, 2.0),  # 2, but N may not pass the clock
            (-3.0, -1, 0.0),  # -1, a tie: floor(-1) = -1; N = 2
            (0.0, 0, 0.0),
        ),
    ),
    "signed consistent": Trace(
        "consistent-if",
        Firing(signed=True, v_init=0.5, wake=2),
        (
            (-1.0, -1, 0.5),  # -0.5; N = -1
            (-1.75, -1, -0.25),  # -1.25; N = -2
            (0.0, 0, -0.25),  # below zero, but N may not pass -2
            (3.5, 1, 2.25),  # N = -1
            (0.0, 1, 1.25),
            (0.0, 1, 0.25),  # N = 1
            (0.0, 0, 0.25),
        ),
    ),
    # Wu et al. 2018 (STBP): the potential decays, and is gone where a spike was.
    "leaky hard": Trace(
        "lif",
        Firing(leak=0.5),
        (
            (0.75, 0, 0.75),
            (0.5, 0, 0.875),  # half of 0.75 stays
            (0.5625, 1, 0.0),  # 1, a tie
            (0.5, 0, 0.5),
            (2.0, 1, 0.0),  # 2.25, what exceeds is lost
            (-0.5, 0, -0.5),
            (0.0, 0, -0.25),
        ),
    ),
    # Rueckauer et al. 2017: what exceeds the threshold is lost.
    "hard": Trace(
        "if-hard",
        Firing(v_init=0.5),
        (
            (0.25, 0, 0.75),  # 0.75
            (0.25, 1, 0.0),  # 1, a tie
            (0.75, 0, 0.75),  # 0.75
            (0.5, 1, 0.0),  # 1.25, a quarter is lost
            (-0.75, 0, -0.75),  # -0.75, below zero it stays
            (3.0, 1, 0.0),  # 2.25
            (0.0, 0, 0.0),
        ),
    ),
    "signed hard": Trace(
        "if-hard",
        Firing(signed=True),
        (
            (0.5, 0, 0.5),
            (0.5, 1, 0.0),  # 1, a tie
            (-1.0, -1, 0.0),  # -1, a tie
            (-0.75, 0, -0.75),
            (-0.5, -1, 0.0),  # -1.25, a quarter is lost
            (-0.25, 0, -0.25),
            (4.0, 1, 0.0),  # 3.75
        ),
    ),
    # Rueckauer et al. 2017: what exceeds the threshold stays.
    "soft": Trace(
        "if-soft",
        Firing(v_init=0.5),
        (
            (0.25, 0, 0.75),  # 0.75
            (0.25, 1, 0.0),  # 1, a tie
            (0.75, 0, 0.75),  # 0.75
            (0.5, 1, 0.25),  # 1.25
            (-0.75, 0, -0.5),  # -0.5
            (3.5, 1, 2.0),  # 3, a tie of the third spike; only one leaves
            (0.0, 1, 1.0),  # 2
            (0.0, 1, 0.0),  # 1, a tie
            (0.0, 0, 0.0),
        ),
    ),
    "soft, θ = 3": Trace(
        "if-soft",
        Firing(threshold=3.0, v_init=1.5),
        ((1.0, 0, 2.5), (1.0, 1, 0.5), (2.5, 1, 0.0), (2.75, 0, 2.75)),  # 2.5, 3.5, 3, 2.75
    ),
    "signed soft": Trace(
        "if-soft",
        Firing(signed=True),
        (
            (0.75, 0, 0.75),
            (-2.0, -1, -0.25),  # -1.25
            (-0.75, -1, 0.0),  # -1, a tie
            (1.0, 1, 0.0),  # 1, a tie
            (-2.5, -1, -1.5),  # -2.5, one leaves
            (0.0, -1, -0.5),  # -1.5
            (1.5, 1, 0.0),  # 1, a tie
        ),
    ),
    # Li & Zeng 2022: s = clamp(floor(v/θ), 0, Γ).
    "burst, Γ = 2": Trace(
        "burst",
        Firing(gamma=2),
        (
            (2.5, 2, 0.5),  # 2.5
            (0.5, 1, 0.0),  # 1, a tie
            (2.0, 2, 0.0),  # 2, a tie
            (4.25, 2, 2.25),  # 4.25: two of four leave
            (0.0, 2, 0.25),  # 2.25: the other two
            (-1.0, 0, -0.75),  # -0.75, no negative spike
            (1.5, 0, 0.75),  # 0.75
            (0.25, 1, 0.0),  # 1, a tie
        ),
    ),
    "burst, Γ = 5, θ = 1/2": Trace(
        "burst",
        Firing(gamma=5, threshold=0.5),
        (
            (2.75, 5, 0.25),  # 2.75 = 5.5 θ
            (0.25, 1, 0.0),  # 0.5, a tie
            (3.0, 5, 0.5),  # 3 = 6 θ: five leave
            (0.0, 1, 0.0),  # 0.5, a tie
            (1.5, 3, 0.0),  # 1.5, a tie of the third
            (-0.25, 0, -0.25),  # floor(-0.5) = -1 is clamped to no spike
            (0.5, 0, 0.25),
        ),
    ),
    # Ours: truncated, within ±Γ; the mirror image of the unsigned rule below zero.
    "signed burst, Γ = 2": Trace(
        "burst",
        Firing(gamma=2, signed=True),
        (
            (-2.75, -2, -0.75),  # -2.75
            (0.5, 0, -0.25),  # -0.25 truncates to none
            (-3.75, -2, -2.0),  # -4: two of four leave
            (0.0, -2, 0.0),  # -2, a tie
            (3.25, 2, 1.25),  # 3.25
            (-0.5, 0, 0.75),
            (-1.75, -1, 0.0),  # -1, a tie
            (1.0, 1, 0.0),  # 1, a tie
        ),
    ),
    "signed burst, Γ = 5, θ = 1/2": Trace(
        "burst",
        Firing(gamma=5, threshold=0.5, signed=True),
        (
            (-3.0, -5, -0.5),  # -3 = -6 θ
            (-0.25, -1, -0.25),  # -0.75 = -1.5 θ
            (2.25, 4, 0.0),  # 2, a tie of the fourth
            (0.25, 0, 0.25),
        ),
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES)
def test_the_trace_made_by_hand(trace: Trace, dtype: torch.dtype) -> None:
    neuron = stepping(trace.neuron)
    state = neuron.begin(torch.zeros(1, 1, dtype=dtype), trace.firing)
    seen = []
    for current, _, _ in trace.rows:
        into = torch.full((1, 1), current, dtype=dtype)
        spikes = neuron.step_(state, into, trace.firing, torch.empty_like(into))
        seen.append((current, int(spikes), state["v"].item()))
    assert tuple(seen) == trace.rows


@pytest.mark.parametrize("threshold", [1.0, 0.75, torch.tensor([[3.0]])])
@pytest.mark.parametrize("neuron", ["if-soft", "burst", "if-hard"])
def test_inputs_that_sum_to_nothing_fire_once(neuron: str, threshold: float | torch.Tensor) -> None:
    """Inputs (+θ, -θ): a spike that has left cannot be recalled, -θ stays behind."""
    firing = Firing(threshold=threshold)
    theta = torch.full((1, 1), float(threshold))
    state = stepping(neuron).begin(theta, firing)
    sent = [
        stepping(neuron).step_(state, current, firing, torch.empty(1, 1)).item()
        for current in (theta, -theta)
    ]
    assert sent == [1, 0]
    assert torch.equal(state["v"], -theta)


@pytest.mark.parametrize("neuron", ["if-soft", "burst", "if-hard"])
def test_a_pair_of_neurons_takes_such_a_spike_back(neuron: str) -> None:
    """Signed, the same inputs send +1 and -1, which sum to nothing again."""
    firing, theta = Firing(signed=True), torch.ones(1, 1)
    state = stepping(neuron).begin(theta, firing)
    sent = [
        stepping(neuron).step_(state, current, firing, torch.empty(1, 1)).item()
        for current in (theta, -theta)
    ]
    assert sent == [1, -1]
    assert state["v"].item() == 0.0


def test_two_neurons_of_one_layer_with_thresholds_of_their_own() -> None:
    """The same current 1.5 each step: θ = 1 fires 1, 1, 1, 1 and θ = 2 fires 0, 1, 1, 1."""
    firing = Firing(threshold=torch.tensor([1.0, 2.0]))
    current = torch.tensor([[1.5, 1.5]])
    state, rows = stepping("if-soft").begin(current, firing), []
    for _ in range(4):
        spikes = stepping("if-soft").step_(state, current, firing, torch.empty(1, 2))
        rows.append((spikes[0].tolist(), state["v"][0].tolist()))
    assert rows == [
        ([1, 0], [0.5, 1.5]),  # 1.5, 1.5
        ([1, 1], [1.0, 1.0]),  # 2, 3
        ([1, 1], [1.5, 0.5]),  # 2.5, 2.5
        ([1, 1], [2.0, 0.0]),  # 3, 2 (a tie)
    ]
