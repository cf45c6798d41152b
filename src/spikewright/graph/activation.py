# SPDX-License-Identifier: Apache-2.0
"""What a site computes in the original network: the activation that it stands for."""

from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.ir import Node
from spikewright.graph.staircase import quantised

__all__ = ["activate"]


def activate(node: Node, x: Tensor, overwrite: bool = False) -> Tensor:
    """Apply a site's activation in the original network's numbers.

    A rectified site clips to [0, cap], a relay to ±cap if it has a cap; either applies the
    staircase it was trained with if there is one. Everything else passes through.

    Args:
        node: The site.
        x: Its input, "batch *neuron".
        overwrite: Whether the memory of ``x`` may be used.
    """
    cap, levels = node.kwargs.get("cap"), node.kwargs.get("levels")
    if levels is not None:
        signed = node.op == ops.RELAY
        return quantised(x, node.kwargs["cap"], levels, node.kwargs["offset"], signed)
    if node.op == ops.RECTIFY:
        return x.clamp_(0, cap) if overwrite else x.clamp(0, cap)
    if node.op == ops.RELAY and cap is not None:
        return x.clamp(-cap, cap)
    return x
