# SPDX-License-Identifier: Apache-2.0
"""Poisson input: a current becomes random spikes of that probability, one draw a step."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.neurons.base import Effort, Firing, State, Stepping
from spikewright.shapes import Current, Spikes

__all__ = ["Poisson"]


class Poisson(Stepping):
    """s = sign(I)·[u < |I|/θ] with u uniform in [0, 1), drawn anew for every neuron and step.

    All samples of a batch see the same draws, so that what a sample does depends neither on the
    batch it comes in nor on how a simulator cuts it; every run draws the same. The mean over
    samples is unbiased. This sharing is ours; published code draws afresh for each sample.

    References:
        P. U. Diehl et al., IJCNN 2015; A. Sengupta et al., Frontiers in Neuroscience 2019.
        Negative spikes for negative inputs follow the latter's public code.

    Example:
        >>> current = torch.tensor([[1.0, 0.0, -1.0]])
        >>> firing, out = Firing(signed=True), torch.empty(1, 3)
        >>> Poisson.step_(Poisson.begin(current, firing), current, firing, out).tolist()
        [[1.0, 0.0, -1.0]]
    """

    name: ClassVar[str] = "poisson"
    states: ClassVar[Mapping[str, float]] = MappingProxyType({})

    @classmethod
    def begin(cls, like: Tensor, firing: Firing) -> State:
        """Return a generator at its start, the same on every device."""
        return {"generator": torch.Generator().manual_seed(firing.seed)}

    @classmethod
    def effort(cls, firing: Firing) -> Effort:
        """Return what a step costs: one comparison with a draw; nothing is kept or reset."""
        return Effort(per_spike=0)

    @staticmethod
    def step_(state: State, current: Current, firing: Firing, out: Spikes) -> Spikes:
        """Advance one step; see :meth:`Stepping.step_`."""
        draws = torch.rand(current.shape[1:], generator=state["generator"]).to(current.device)
        if not firing.signed:
            return torch.gt(current, draws * firing.threshold, out=out)
        sign = current.sign()
        torch.gt(current.abs(), draws * firing.threshold, out=out)
        return out.mul_(sign)
