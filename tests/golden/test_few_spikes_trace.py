# SPDX-License-Identifier: Apache-2.0
"""Few-spikes traces worked out by hand from equations 1 and 2 of Stöckl & Maass (2021).

s = [v ≥ θ_t], v ← v - h_t·s, the output is Σ d_t·s.
"""

import pytest
import torch

from spikewright.codes import FewSpikes
from spikewright.neurons.few_spikes import FewSpikesNeuron

pytestmark = pytest.mark.golden

CODE = FewSpikes(
    thresholds=(-3.0, 4.0, 2.0, 1.0), resets=(-3.0, 4.0, 2.0, 1.0), steps_weigh=(7, 9, -2, 4)
)


def trace(start: float, threshold: float = 1.0) -> list[tuple[float, float]]:
    """Spike and potential after each step."""
    v, found = torch.tensor([start], dtype=torch.float64), []
    for t in (1, 2, 3, 4):
        spike = FewSpikesNeuron.fire_(v, threshold, CODE, t, False, torch.empty_like(v))
        found.append((spike.item(), v.item()))
    return found


def test_a_threshold_below_zero_raises_the_potential() -> None:
    # -2.5 ≥ -3: v = 0.5, and nothing more; the output is 7.
    assert trace(-2.5) == [(1, 0.5), (0, 0.5), (0, 0.5), (0, 0.5)]


def test_every_step_fires() -> None:
    # 4.25 + 3 = 7.25; - 4 = 3.25; - 2 = 1.25; - 1 = 0.25; 7 + 9 - 2 + 4 = 18.
    assert trace(4.25) == [(1, 7.25), (1, 3.25), (1, 1.25), (1, 0.25)]
    assert CODE.quantise_(torch.tensor([4.25])).tolist() == [18.0]


def test_ties_fire_and_below_them_nothing() -> None:
    assert trace(-3.0) == [(1, 0.0), (0, 0.0), (0, 0.0), (0, 0.0)]
    assert trace(-3.5) == [(0, -3.5), (0, -3.5), (0, -3.5), (0, -3.5)]


def test_thresholds_and_resets_scale_with_the_populations() -> None:
    assert trace(8.5, 2.0) == [(s, 2.0 * v) for s, v in trace(4.25)]


def test_values_counts_and_prefixes_of_its_nine_trains() -> None:
    # From -3.5, -2.5, -1.5, …: 0; 7; 7 + 4; 7 - 2; 7 - 2 + 4; 7 + 9; … by hand.
    n = CODE.quantise_(torch.tensor([-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5]))
    assert n.tolist() == [0.0, 7.0, 11.0, 5.0, 9.0, 16.0, 20.0, 14.0, 18.0]
    assert CODE.count(n).tolist() == [0, 1, 2, 2, 3, 2, 3, 3, 4]
    assert CODE.prefix(n, 3).tolist() == [0.0, 7.0, 7.0, 5.0, 5.0, 16.0, 16.0, 14.0, 14.0]
