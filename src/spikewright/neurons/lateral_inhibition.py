# SPDX-License-Identifier: Apache-2.0
"""Lateral-inhibition pooling: an exact spiking max pool for trains whose steps weigh the same."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from spikewright.neurons.max_gate import step

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

    step = staticmethod(step)
