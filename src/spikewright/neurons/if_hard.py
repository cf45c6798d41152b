# SPDX-License-Identifier: Apache-2.0
"""Integrate-and-fire with hard reset (to zero): what exceeds the threshold is lost."""

from typing import ClassVar

from torch import Tensor

from spikewright.neurons.base import Effort, Firing, State, Stepping
from spikewright.neurons.if_soft import fire_once_
from spikewright.shapes import Current, Spikes

__all__ = ["HardResetIF"]


class HardResetIF(Stepping):
    """v ← v + I;  s = [v ≥ θ];  v ← 0 where s fired, else v.  Signed: s = [v ≥ θ] - [v ≤ -θ].

    Ties fire. Neurons that stay silent keep their potential.

    References:
        P. U. Diehl et al., IJCNN 2015; A. Sengupta et al., Frontiers in Neuroscience 2019;
        B. Rueckauer et al., Frontiers in Neuroscience 2017 (reset to zero).

    Example:
        >>> import torch
        >>> firing, current = Firing(threshold=1.0), torch.tensor([0.7])
        >>> state, out = HardResetIF.begin(current, firing), torch.empty(1)
        >>> [int(HardResetIF.step_(state, current, firing, out)) for _ in range(5)]
        [0, 1, 0, 1, 0]
    """

    name: ClassVar[str] = "if-hard"

    @classmethod
    def effort(cls, firing: Firing) -> Effort:
        """Return what a step costs: a threshold; a reset to zero adds nothing."""
        return Effort(comparisons=2 if firing.signed else 1, per_spike=0)

    @staticmethod
    def step_(state: State, current: Current, firing: Firing, out: Spikes) -> Spikes:
        """Advance one step; see :meth:`Stepping.step_`."""
        v: Tensor = state["v"]
        v.add_(current)
        fire_once_(v, firing, out)
        # v - |s|·v is exactly 0 where a neuron fired and exactly v where it did not.
        v.addcmul_(out.abs() if firing.signed else out, v, value=-1.0)
        return out
