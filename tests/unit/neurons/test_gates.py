# SPDX-License-Identifier: Apache-2.0
"""Max-pool gates of rate codes on traces by hand, two members a window."""

import pytest
import torch
from torch import Tensor

from spikewright.neurons.count_gate import AccumulatedCountGate
from spikewright.neurons.lateral_inhibition import LateralInhibition
from spikewright.neurons.spike_max import SpikeMax

GATES = {gate.name: gate for gate in (AccumulatedCountGate, LateralInhibition, SpikeMax)}


def pool(x: Tensor) -> Tensor:
    return x.amax(-1, keepdim=True)


def passed(name: str, *members: list[float]) -> list[float]:
    """What a gate passes on of the trains of a window's members."""
    state, out = None, list[float]()
    for spikes in torch.tensor(members).T:
        given = spikes.clone()[None]
        pooled, state = GATES[name].step(state, given, pool, 1.0)
        assert torch.equal(given[0], spikes)  # the input is not changed
        out.append(float(pooled))
    return out


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        # Spikes of 0 and 1: nobody overtakes the leader in one step, so both are the maximum.
        (([1, 0, 0, 1], [0, 1, 1, 0]), {"accumulated-count": [1, 0, 1, 0]}),
        (([1, 0, 0, 1], [0, 1, 1, 0]), {"lateral-inhibition": [1, 0, 1, 0]}),
        (([1, 0, 0, 1], [0, 1, 1, 0]), {"spike-max": [1, 1, 1, 1]}),
        # A burst carries the second past the leader: the count gate loses it.
        (([1, 0, 0], [0, 3, 0]), {"accumulated-count": [1, 0, 0]}),
        (([1, 0, 0], [0, 3, 0]), {"lateral-inhibition": [1, 2, 0]}),
        # The leader takes back more than its lead.
        (([2, -2, 0], [1, 0, 0]), {"accumulated-count": [2, -2, 0]}),
        (([2, -2, 0], [1, 0, 0]), {"lateral-inhibition": [2, -1, 0]}),
        # The leader of long ago still leads, whoever sends now.
        (([2, 2, 0, 0], [0, 1, 1, 1]), {"accumulated-count": [2, 2, 0, 0]}),
        (([2, 2, 0, 0], [0, 1, 1, 1]), {"lateral-inhibition": [2, 2, 0, 0]}),
    ],
)
def test_what_a_gate_passes_on(
    members: tuple[list[float], list[float]], expected: dict[str, list[float]]
) -> None:
    for name, train in expected.items():
        assert passed(name, *([float(x) for x in m] for m in members)) == train


@pytest.mark.parametrize("name", GATES)
def test_runs_do_not_share_state(name: str) -> None:
    once = passed(name, [1.0, 0.0, 2.0], [0.0, 3.0, 0.0])
    assert passed(name, [1.0, 0.0, 2.0], [0.0, 3.0, 0.0]) == once
