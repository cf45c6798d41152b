# SPDX-License-Identifier: Apache-2.0
"""The burst neuron: residual charge leaves in several spikes a step, up to Γ."""

from typing import ClassVar

import torch
from torch import Tensor

from spikewright.neurons.base import Effort, Firing, State, Stepping
from spikewright.neurons.if_soft import reset_by_subtraction_
from spikewright.shapes import Current, Spikes

__all__ = ["Burst"]


class Burst(Stepping):
    """v ← v + I;  s = clamp(floor(v/θ), 0, Γ);  v ← v - θ·s.  Signed: truncated, within ±Γ.

    Ties fire. With Γ = 1 it is the soft-reset neuron, spike for spike. Charge is conserved. The
    spikes of a step are one symbol s on the wire and count as s spikes.

    References:
        Y. Li, Y. Zeng, Efficient and accurate conversion of spiking neural network with burst
        spikes, IJCAI 2022. The signed form is ours.

    Example:
        >>> firing, current = Firing(threshold=1.0, gamma=3), torch.tensor([2.6])
        >>> state, out = Burst.begin(current, firing), torch.empty(1)
        >>> [int(Burst.step_(state, current, firing, out)) for _ in range(4)]
        [2, 3, 2, 3]
    """

    name: ClassVar[str] = "burst"

    @classmethod
    def effort(cls, firing: Firing) -> Effort:
        """Return what a step costs: a comparator for each spike that it may send."""
        return Effort(comparisons=firing.gamma * (2 if firing.signed else 1))

    @staticmethod
    def step_(state: State, current: Current, firing: Firing, out: Spikes) -> Spikes:
        """Advance one step; see :meth:`Stepping.step_`."""
        v: Tensor = state["v"]
        v.add_(current)
        mode = "trunc" if firing.signed else "floor"
        if isinstance(firing.threshold, Tensor) or firing.threshold != 1.0:
            torch.div(v, firing.threshold, rounding_mode=mode, out=out)
        elif firing.signed:
            torch.trunc(v, out=out)
        else:
            torch.floor(v, out=out)
        out.clamp_(-firing.gamma if firing.signed else 0, firing.gamma)
        return reset_by_subtraction_(v, out, firing.threshold)
