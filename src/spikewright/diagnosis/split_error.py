# SPDX-License-Identifier: Apache-2.0
"""What a population sends wrongly, split by cause; units are explained in ``diagnose.py``."""

from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.graph import Node, ops
from spikewright.graph.activation import activate
from spikewright.network import Site

__all__ = ["Split", "split_error"]

_ROUNDING = 1e-6
"""Share by which a value may exceed the largest that can be sent and not count as clipped."""


@dataclass(frozen=True)
class Split:
    """What a population made of what entered it, float64, "batch *neuron".

    Attributes:
        value: r, what its spikes stand for.
        ideal: What an ideal neuron would have sent for the same drive.
        own: Cause to its part of r − ideal; in every neuron at most one is not zero.
    """

    value: Tensor
    ideal: Tensor
    own: dict[str, Tensor]


def split_error(
    node: Node,
    site: Site,
    scale: Tensor,
    full: float,
    entered: Tensor,
    sent: Tensor,
    added: Tensor | float = 0.0,
) -> Split:
    """Split what a population sends wrongly by cause.

    z = λ·(entered/θ)/S − added;  ideal = activation(z);  r = λ·sent/S;  r − ideal is one of

    * *inactivated*: z ≤ 0, yet the neuron has sent spikes, which it cannot call back;
    * *clipping*: ideal is beyond Γ·λ (or below 0 where only the input is negative);
    * *residual*: all else: charge left over, lost at a hard reset, sent in excess, or rounded.

    Args:
        node: The site in the original network, which knows its activation.
        site: The population.
        scale: λ, broadcastable with a value.
        full: S, the value of a full train in units.
        entered: All that entered, in units, "batch *neuron".
        sent: All that was sent, in units, "batch *neuron".
        added: What the method added to the drive, in the original network's numbers.
    """
    z = entered.double() / site.threshold * scale / full - added
    value, ideal = sent.double() * scale / full, activate(node, z)
    top = site.gamma * scale * (1.0 + _ROUNDING)
    clipped = (ideal > top) | (ideal < (-top if site.signed or node.op == ops.CURVE else 0.0))
    error = value - ideal
    zero = torch.zeros_like(error)
    own = {"clipping": torch.where(clipped, error, zero)}
    if node.op == ops.RECTIFY:
        early = (z <= 0) & (sent != 0)
        own = {"inactivated": torch.where(early, error, zero), **own}
        clipped = clipped | early
    own["residual"] = torch.where(clipped, zero, error)
    return Split(value, ideal, own)
