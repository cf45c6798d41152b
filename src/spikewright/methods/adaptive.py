# SPDX-License-Identifier: Apache-2.0
"""Adaptive thresholds: each layer corrected on what really arrives there, for short codes.

The first of CASC's open questions. Settled neurons have a closed form, so a whole calibration
batch passes the network once; no spikes need to be simulated.
"""

import torch
from torch import Tensor

from spikewright.functions.staircase import quantised
from spikewright.graph import Graph, Node, Program, ops
from spikewright.graph.activation import activate
from spikewright.graph.batch import batch_of
from spikewright.methods.base import Prepared, channel_mean, shaped

__all__ = ["adaptive_thresholds"]

_ROUNDS = 3
"""Times that the mean is corrected: flooring makes the response to a correction uneven."""


def adaptive_thresholds(
    graph: Graph, prepared: Prepared, samples: int, T: int, offset: float, scales: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Correct the mean of every population's value, front to back.

    For population l with original activation a and quantised input y (from the layers in front as
    they have been quantised), of each channel

        b_l = Σ_rounds mean(a - θ·clip(floor(T·(y + b_l)/θ + φ)/T, 0, 1)).

    A bias b moves where a neuron's thresholds lie, T of them at multiples of θ. Ours; the
    correction is that of SNN Calibration (Li et al., ICML 2021), applied to settled neurons.
    Populations with a trained staircase are left alone.

    Args:
        graph: The network with its sites, in its own numbers.
        prepared: The calibrated model.
        samples: Calibration inputs to look at.
        T: Levels.
        offset: φ, in levels.
        scales: Site to θ, "channels" or "".

    Returns:
        Site to b of the rectified populations, "channels" or "".
    """
    shifts: dict[str, Tensor] = {}

    def site(node: Node, value: Tensor, overwrite: bool) -> Tensor:
        if node.op not in ops.SPIKING_OPS or node.op == ops.INPUT_SITE:
            return value
        at = batch_of(node.shape)
        x, y = at.split(value, 2)
        wanted = activate(node, x)
        if "levels" in node.kwargs:
            return at.unsplit(torch.stack([wanted, activate(node, y)]))
        signed, axis = node.op == ops.RELAY, prepared.channel_axis(node)
        scale = shaped(scales[node.name], axis, node)
        sent = quantised_to(y, scale, T, offset, signed)
        if not signed:
            shift = torch.zeros_like(channel_mean(wanted, axis))
            for _ in range(_ROUNDS):
                shift += channel_mean(wanted - sent, axis)
                sent = quantised_to(y + shaped(shift, axis, node), scale, T, offset, signed)
            shifts[node.name] = shift
        return at.unsplit(torch.stack([wanted, sent]))

    inputs = prepared.some_inputs(samples, "adaptive thresholds")
    with torch.no_grad():
        Program(graph, site=site)(*(torch.cat([x, x]) for x in inputs))
    return shifts


def quantised_to(x: Tensor, scale: float | Tensor, T: int, offset: float, signed: bool) -> Tensor:
    """Return what settled neurons send, in the numbers of ``x``; θ may differ by channel."""
    return quantised(x / scale, 1.0, T, offset, signed) * scale
