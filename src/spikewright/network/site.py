# SPDX-License-Identifier: Apache-2.0
"""A population of neurons: everything about it is said here, nothing about it anywhere else."""

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spikewright.codes import Code
from spikewright.functions import Function, Identity
from spikewright.neurons import Firing

__all__ = ["Site", "plain"]


@dataclass(frozen=True, kw_only=True)
class Site:
    """A population of neurons, or a read-out.

    Attributes:
        name: Name of its node in the graph.
        code: How its values become trains; whoever reads them asks it for the weights of its
            steps. Read-outs and relays left analog send none: theirs says over how many steps a
            constant current enters them where nothing else does.
        neuron: Name of its neuron model; empty for a read-out or a relay left analog.
        function: What it computes from all that entered before it fires, in the original
            network's numbers.
        signed: Whether every element is an ON/OFF pair, whose spikes carry + and −.
        channel_axis: Axis of the value (batch counted) that runs over channels.
        scale: λ > 0, the original network's value that a full train stands for; ``"channel"``
            or one for all, ``""``.
        threshold: V_th > 0 in the unit of the accumulated input, of the same two forms shaped to
            broadcast with the value. It is 1 after weight normalisation; integer networks have
            integers.
        pre_bias: Charge that a neuron is given before it can fire, in the unit of ``threshold``:
            half a threshold turns flooring into rounding. Neurons of the layered schedule get it
            between accumulating and firing, others start with it (their ``v_init``). Integer
            networks add what their biases lack.
        gamma: Γ ≥ 1, the most spikes of a neuron in one step.
        leak: τ in [0, 1], share of the potential that is left after a step, for neurons that leak.
        seed: Where its random numbers start, if it draws any.
        shift: What the method adds to the current on purpose, in the original network's numbers,
            of the same two forms as ``scale``; it is in the graph's biases already.
    """

    name: str
    code: Code
    neuron: str = ""
    function: Function = field(default_factory=Identity)
    signed: bool = False
    channel_axis: int = 1
    scale: Tensor
    threshold: Tensor
    pre_bias: Tensor
    gamma: int = 1
    leak: float = 1.0
    seed: int = 0
    shift: Tensor = field(default_factory=lambda: torch.tensor(0.0))

    def broadcast(self, value: Tensor, ndim: int) -> Tensor:
        """Shape one number a channel, or one for all, to broadcast with the population's value."""
        if value.ndim == 0:
            return value
        size = [1] * ndim
        size[self.channel_axis] = -1
        return value.reshape(size)

    def firing(self, wake: int | None = None) -> Firing:
        """Return the constants that its neurons step with.

        Args:
            wake: Steps before the input goes off; None: it never does.
        """
        return Firing(
            threshold=plain(self.threshold),
            v_init=plain(self.pre_bias),
            gamma=self.gamma,
            signed=self.signed,
            wake=wake,
            leak=self.leak,
            seed=self.seed,
        )

    def to(self, device: torch.device | str) -> "Site":
        """Return the population with its tensors on another device."""
        return dataclasses.replace(
            self,
            scale=self.scale.to(device),
            threshold=self.threshold.to(device),
            pre_bias=self.pre_bias.to(device),
            shift=self.shift.to(device),
        )


def plain(value: Tensor) -> float | Tensor:
    """Return a tensor of one element as a number (cheaper arithmetic), any other as it is."""
    return float(value) if value.numel() == 1 else value
