# SPDX-License-Identifier: Apache-2.0
"""Integrate-and-fire with soft reset (reset by subtraction): what exceeds the threshold stays."""

from typing import ClassVar

import torch
from torch import Tensor

from spikewright.neurons.base import Firing, State, Stepping
from spikewright.shapes import Current, Potential, Spikes

__all__ = ["SoftResetIF", "fire_once_", "reset_by_subtraction_"]


class SoftResetIF(Stepping):
    """v ← v + I;  s = [v ≥ θ];  v ← v - θ·s.  Signed: s = [v ≥ θ] - [v ≤ -θ].

    Ties fire. Charge is conserved: v_T = v_0 + Σ I - θ·N, whatever the currents.

    References:
        B. Rueckauer et al., Frontiers in Neuroscience 2017 (reset by subtraction);
        B. Han et al., RMP-SNN, CVPR 2020 (residual membrane potential). The signed form is ours:
        an ON and an OFF neuron on opposite currents whose potentials never both exceed θ.

    Example:
        >>> firing, current = Firing(threshold=1.0), torch.tensor([0.7])
        >>> state, out = SoftResetIF.begin(current, firing), torch.empty(1)
        >>> [int(SoftResetIF.step_(state, current, firing, out)) for _ in range(5)]
        [0, 1, 1, 0, 1]
    """

    name: ClassVar[str] = "if-soft"

    @staticmethod
    def step_(state: State, current: Current, firing: Firing, out: Spikes) -> Spikes:
        """Advance one step; see :meth:`Stepping.step_`."""
        v: Tensor = state["v"]
        v.add_(current)
        fire_once_(v, firing, out)
        return reset_by_subtraction_(v, out, firing.threshold)


def fire_once_(v: Potential, firing: Firing, out: Spikes) -> Spikes:
    """Write [v ≥ θ] (signed: - [v ≤ -θ]) to ``out``."""
    torch.ge(v, firing.threshold, out=out)
    if firing.signed:
        out.sub_(torch.le(v, -firing.threshold, out=torch.empty_like(v)))
    return out


def reset_by_subtraction_(v: Potential, spikes: Spikes, threshold: float | Tensor) -> Spikes:
    """Do v ← v - θ·s in place and return the spikes."""
    if isinstance(threshold, Tensor):
        v.addcmul_(spikes, threshold, value=-1.0)
    else:
        v.sub_(spikes, alpha=threshold)
    return spikes
