# SPDX-License-Identifier: Apache-2.0
"""What a neuron's own arithmetic costs, as its equations write it."""

import pytest

from spikewright.neurons import Firing, Stepping, neurons, stepping
from spikewright.neurons.base import Effort

EFFORTS = {  # unsigned, and an ON/OFF pair written as one neuron
    "burst": (Effort(comparisons=3), Effort(comparisons=6)),  # Γ = 3: a comparator a spike
    "consistent-if": (Effort(comparisons=4, per_spike=2),) * 2,
    "if-hard": (Effort(comparisons=1, per_spike=0), Effort(comparisons=2, per_spike=0)),
    "if-soft": (Effort(comparisons=1), Effort(comparisons=2)),
    "lif": (
        Effort(comparisons=1, factor=0.5, per_spike=0),
        Effort(comparisons=2, factor=0.5, per_spike=0),
    ),
    "poisson": (Effort(comparisons=1, per_spike=0),) * 2,
}


def test_every_neuron_that_steps_is_in_the_table() -> None:
    assert set(EFFORTS) == {n for n in neurons() if issubclass(neurons()[n], Stepping)}


@pytest.mark.parametrize("name", EFFORTS)
def test_what_a_step_and_a_spike_cost(name: str) -> None:
    found = tuple(
        stepping(name).effort(Firing(signed=signed, gamma=3, leak=0.5)) for signed in (False, True)
    )
    assert found == EFFORTS[name]


def test_by_default_a_step_is_one_comparison_and_a_spike_one_subtraction() -> None:
    assert Effort() == Effort(comparisons=1, factor=1.0, per_spike=1)
