# SPDX-License-Identifier: Apache-2.0
"""Lateral-inhibition pooling: an exact spiking max pool for trains whose steps weigh the same."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor

from spikewright.neurons.max_gate import GateState
from spikewright.neurons.max_gate import step as gate_step

__all__ = ["LateralInhibition"]


class LateralInhibition:
    """S_oj ← S_oj + x_j;  y_o = max_j S_oj;  S_oj ← S_oj - y_o, for each output window o.

    The members of a window inhibit each other by what the winner sends. The cumulative output
    equals the maximum of the cumulative inputs at every step, for spikes of any sign and size.

    Every window has its own S_oj, which is Σ x_j - Σ y_o; so y_o[t] is the difference of
    max_j Σ_(τ ≤ t) x_j[τ] at t and t - 1, and one sum per input and one per window are all the
    state there is. Written through the network's own max pool, this holds for every kernel,
    stride, padding, dilation and ceil mode, in one, two or three dimensions.

    References:
        Y. Li, Y. Zeng, IJCAI 2022. The form with two sums is ours (equal, tested).
    """

    name: ClassVar[str] = "lateral-inhibition"
    states: ClassVar[Mapping[str, float]] = MappingProxyType({"sum": 0.0, "pooled_sum": 0.0})

    @staticmethod
    def step(
        state: GateState | None, spikes: Tensor, pool: Callable[[Tensor], Tensor], base: float = 1.0
    ) -> tuple[Tensor, GateState]:
        """Pool the spikes of one step.

        Args:
            state: What the previous step returned, None at the first; its memory is used again.
            spikes: Input spikes, "batch *map", any whole numbers. Not changed.
            pool: The network's max pool; no window may lie wholly in padding.
            base: 1, the base of trains whose steps weigh the same.

        Returns:
            Output spikes "batch *pooled" and the state for the next step.
        """
        return gate_step(state, spikes, pool, base)
