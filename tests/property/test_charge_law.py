# SPDX-License-Identifier: Apache-2.0
"""Law 2: soft reset conserves charge, tick by tick, and moves no neuron that did not fire."""

from fractions import Fraction

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.neurons.inverse_lif import accumulate_, fire_

CURRENTS = st.lists(st.integers(-200, 200), min_size=1, max_size=10)


@settings(max_examples=60, deadline=None)
@given(currents=CURRENTS, threshold=st.integers(1, 50), signed=st.booleans())
def test_charge_in_equals_charge_out_plus_what_is_left(
    currents: list[int], threshold: int, signed: bool
) -> None:
    """K = 2: v_final/2^T = Σ I[t]·2^(T-t) - V_th·Σ s[t]·2^(T-t), in exact integers."""
    steps = len(currents)
    v = torch.zeros(1, dtype=torch.float64)
    for current in currents:
        accumulate_(v, torch.tensor([float(current)], dtype=torch.float64), 2.0)
    charge = sum(Fraction(c) * 2 ** (steps - t) for t, c in enumerate(currents, 1))
    assert Fraction(float(v)) == charge
    sent = Fraction(0)
    for t in range(1, steps + 1):
        before = float(v)
        spike = float(fire_(v, float(threshold * 2 ** (steps - 1)), 2.0, signed=signed))
        if spike == 0:
            assert float(v) == 2 * before  # a silent neuron is inflated and nothing else
        sent += Fraction(spike) * 2 ** (steps - t)
    assert Fraction(float(v)) == 2**steps * (charge - threshold * sent)
