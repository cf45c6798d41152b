# SPDX-License-Identifier: Apache-2.0
"""The consistent integrate-and-fire neuron: it takes spikes back until its total is right."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.neurons.base import Effort, Firing, State, Stepping
from spikewright.neurons.if_soft import reset_by_subtraction_
from spikewright.shapes import Current, Spikes

__all__ = ["ConsistentIF"]


class ConsistentIF(Stepping):
    """v ← v + I;  s = clamp(floor(v/θ), -1, 1), but 0 ≤ N + s ≤ τ;  N ← N + s;  v ← v - θ·s.

    N is the running sum of the neuron's spikes and τ counts its steps awake: no total below zero,
    none above what one spike in every step awake could make. The clock stands still asleep
    (``Firing.wake`` steps after the start), while spikes of either sign go on correcting.
    A neuron at rest has N = clamp(floor((v_0 + Σ I)/θ), 0, T). Signed: -τ ≤ N + s ≤ τ, and the
    same with -T for 0, which is ours. Ties fire.

    References:
        CASC, 2024 (consistent IF), official code.

    Example:
        >>> firing, state = Firing(wake=2), None
        >>> for current in (torch.tensor([1.5]), torch.tensor([-1.5]), torch.tensor([0.0])):
        ...     state = state or ConsistentIF.begin(current, firing)
        ...     print(int(ConsistentIF.step_(state, current, firing, torch.empty(1))))
        1
        -1
        0
    """

    name: ClassVar[str] = "consistent-if"
    states: ClassVar[Mapping[str, float]] = MappingProxyType({"v": 0.0, "n": 0.0})

    @classmethod
    def begin(cls, like: Tensor, firing: Firing) -> State:
        """Return the state before the first step; ``t`` is the clock τ."""
        return {**super().begin(like, firing), "t": 0}

    @classmethod
    def effort(cls, firing: Firing) -> Effort:
        """Return what a step costs: two thresholds and two bounds, and N to keep with a spike."""
        return Effort(comparisons=4, per_spike=2)

    @staticmethod
    def step_(state: State, current: Current, firing: Firing, out: Spikes) -> Spikes:
        """Advance one step; see :meth:`Stepping.step_`."""
        v: Tensor = state["v"]
        n: Tensor = state["n"]
        if firing.wake is None or state["t"] < firing.wake:
            state["t"] += 1
        clock = state["t"]
        v.add_(current)
        if isinstance(firing.threshold, Tensor) or firing.threshold != 1.0:
            torch.div(v, firing.threshold, rounding_mode="floor", out=out)
        else:
            torch.floor(v, out=out)
        # With N in its bounds before, moving it by at most one and clamping it is the rule above.
        out.clamp_(-1, 1).add_(n).clamp_(-clock if firing.signed else 0, clock).sub_(n)
        n.add_(out)
        return reset_by_subtraction_(v, out, firing.threshold)
