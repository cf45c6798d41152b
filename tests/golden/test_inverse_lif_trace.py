# SPDX-License-Identifier: Apache-2.0
"""Inverse-LIF traces worked out by hand from the equations of SpikeConverter (AAAI 2022).

Accumulate v ← k·v + I; fire s = [v ≥ θ] with θ = V_th·k^(T - 1), v ← k·(v - θ·s).
"""

import pytest
import torch

from spikewright.neurons.inverse_lif import accumulate_, begin_fire_, fire_

pytestmark = pytest.mark.golden


def trace(start: float, threshold: float, k: float, steps: int, signed: bool = False) -> list:
    """Spikes and potentials after each firing step, one pair per step."""
    v = torch.tensor([start], dtype=torch.float64)
    return [(fire_(v, threshold, k, signed).item(), v.item()) for _ in range(steps)]


def test_binary_train_with_nothing_left() -> None:
    # 11 = 1011 in binary, T = 4, V_th = 1, θ = 8: ends at zero, the identical relation.
    assert trace(11.0, 8.0, 2.0, 4) == [(1, 6.0), (0, 12.0), (1, 8.0), (1, 0.0)]


def test_binary_train_with_a_rest() -> None:
    # 11.25: the same spikes, and 2^4·0.25 stays.
    assert trace(11.25, 8.0, 2.0, 4) == [(1, 6.5), (0, 13.0), (1, 10.0), (1, 4.0)]


def test_base_one_and_a_half() -> None:
    # T = 3, θ = 1.5² = 2.25; n = 2.25 + 1 = 3.25, rest 0.25·1.5³ = 0.84375.
    assert trace(3.5, 2.25, 1.5, 3) == [(1, 1.875), (0, 2.8125), (1, 0.84375)]


def test_a_tie_fires() -> None:
    assert trace(8.0, 8.0, 2.0, 2) == [(1, 0.0), (0, 0.0)]
    below = 7.999999999999999
    assert [s for s, _ in trace(below, 8.0, 2.0, 2)] == [0, 1]


def test_negative_potential_is_silent_and_grows() -> None:
    # ReLU: no spike ever, v = -1·2^3.
    assert trace(-1.0, 4.0, 2.0, 3) == [(0, -2.0), (0, -4.0), (0, -8.0)]


def test_signed_potential_mirrors() -> None:
    assert trace(-11.25, 8.0, 2.0, 4, signed=True) == [
        (-1, -6.5),
        (0, -13.0),
        (-1, -10.0),
        (-1, -4.0),
    ]


def test_accumulate_then_round() -> None:
    # Train 1, 0, 1 through weight 2 and bias 0.5: v = 2.5, 5.5, 13.5 = 2·5 + 0.5·7.
    v = torch.zeros(1)
    seen = [accumulate_(v, torch.tensor([2.0 * s + 0.5]), 2.0).item() for s in (1, 0, 1)]
    assert seen == [2.5, 5.5, 13.5]
    assert begin_fire_(v, 0.5).item() == 14.0
