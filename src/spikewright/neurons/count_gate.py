# SPDX-License-Identifier: Apache-2.0
"""Max pooling gated by accumulated counts: the usual approximation, kept to compare with."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.neurons.max_gate import GateState

__all__ = ["AccumulatedCountGate"]

_GATE = 1000.0


class AccumulatedCountGate:
    """y = maxpool(x + 1000·Σx) - maxpool(1000·Σx), with Σx over the steps before this one.

    Passes on the spikes of the member that has sent most so far. With 0/1 spikes the total is the
    maximum of the totals, since nobody overtakes the leader in one step. With bursts and negative
    spikes it is not: what carries a member past the leader is lost, and what a leader takes back
    is taken back although another one leads by then.

    References:
        B. Rueckauer et al., Frontiers in Neuroscience 2017 (gate on the largest
        accumulated rate); this form: the comparison baseline of Y. Li, Y. Zeng, IJCAI 2022.
    """

    name: ClassVar[str] = "accumulated-count"
    states: ClassVar[Mapping[str, float]] = MappingProxyType({"gate": 0.0, "pooled_gate": 0.0})

    @staticmethod
    def step(
        state: GateState | None, spikes: Tensor, pool: Callable[[Tensor], Tensor], base: float = 1.0
    ) -> tuple[Tensor, GateState]:
        """Pool the spikes of one step; see :func:`spikewright.neurons.max_gate.step`."""
        if state is None:
            gate = torch.zeros_like(spikes)
            state = (gate, pool(gate))
        gate, pooled = state
        out = pool(spikes + gate).sub_(pooled)
        gate.add_(spikes, alpha=_GATE)
        return out, (gate, pool(gate))
