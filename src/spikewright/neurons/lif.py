# SPDX-License-Identifier: Apache-2.0
"""The leaky neuron of directly trained networks (STBP)."""

from typing import ClassVar

from spikewright.neurons.base import Effort, Firing, State
from spikewright.neurons.if_hard import HardResetIF
from spikewright.shapes import Current, Spikes

__all__ = ["LIF"]


class LIF(HardResetIF):
    """v ← τ·v·(1 - s') + I;  s = [v ≥ θ], s' the spike of the step before (τ = ``Firing.leak``).

    The potential is set to zero where a spike was, at once: the same, since a spike of the step
    before always empties it. Ties fire. Signed: s = [v ≥ θ] - [v ≤ -θ].

    References:
        Y. Wu, L. Deng, G. Li, J. Zhu, L. Shi, Spatio-temporal backpropagation for training
        high-performance spiking neural networks, Frontiers in Neuroscience 2018, equations 9 to 12.

    Example:
        >>> import torch
        >>> firing, current = Firing(leak=0.5), torch.tensor([0.6])
        >>> state, out = LIF.begin(current, firing), torch.empty(1)
        >>> [int(LIF.step_(state, current, firing, out)) for _ in range(5)]
        [0, 0, 1, 0, 0]
    """

    name: ClassVar[str] = "lif"

    @classmethod
    def effort(cls, firing: Firing) -> Effort:
        """Return what a step costs: the leak and a threshold; a reset to zero adds nothing."""
        return Effort(comparisons=2 if firing.signed else 1, factor=firing.leak, per_spike=0)

    @staticmethod
    def step_(state: State, current: Current, firing: Firing, out: Spikes) -> Spikes:
        """Advance one step; see :meth:`Stepping.step_`."""
        state["v"].mul_(firing.leak)
        return HardResetIF.step_(state, current, firing, out)
